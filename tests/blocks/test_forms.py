"""Forms of one function: what a paper or a tutorial draws in several ways is the same network with mapped weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import convc
from convc.compiler.ops.train import DropPath
from convc.runtime.session import Session
from tests.blocks.one import Numbers, below, close, conv, one


def renamed(p: Numbers, name: str) -> dict[str, Tensor]:
    return {f"{name}.{k}": v for k, v in p.items()}


@pytest.mark.parametrize("stride", [1, 2])
def test_resnexts_three_forms(tmp_path: Path, stride: int) -> None:
    """Figure 3 of Xie et al.: (c) with groups, (b) with concatenated paths, (a) with summed ones."""
    paths, shape = 4, (2, 64, 6, 6)
    given = f"width: 16, groups: {paths}, group_width: 8, stride: {stride}"
    grouped = one(tmp_path, f"bottleneck: {{{given}}}", *shape)
    p = below(grouped.p, "bottleneck")
    assert p["conv2.conv.weight"].shape == (8, 2, 3, 3)
    rest = {k: v for k, v in p.items() if k.startswith("shortcut")}
    rest |= {k.replace("conv3.bn", "bn3"): v for k, v in p.items() if k.startswith("conv3.bn")}
    rest |= {
        f"path.{k}.{name}": value.chunk(paths)[k]
        for k in range(paths)
        for name, value in p.items()
        if name.startswith(("conv1", "conv2"))
    }
    last = p["conv3.conv.weight"]
    summed = {f"path.{k}.conv3.weight": part for k, part in enumerate(last.chunk(paths, 1))}
    for merge, more in (("concat", {"conv3.weight": last}), ("add", summed)):
        drawn = one(tmp_path, f"split_bottleneck: {{{given}, merge: {merge}}}", *shape)
        drawn = drawn.with_numbers(renamed(rest | more, "split_bottleneck"))
        close(drawn.run(grouped.x), grouped.run())


@pytest.mark.parametrize("segments", [3, 6])
def test_a_convolution_for_each_segment_is_one_with_groups(tmp_path: Path, segments: int) -> None:
    """Figures 2 to 4 of Chollet; with as many segments as channels, a depthwise convolution."""
    given = f"out: 6, segments: {segments}"
    grouped = one(tmp_path, f"cross_channel_conv: {{{given}}}", 2, 4, 6, 5)
    p = below(grouped.p, "cross_channel_conv")
    close(grouped.run(), conv(F.relu(conv(grouped.x, p, "reduce")), p, "spatial", groups=segments))
    parts = {
        f"spatial.{k}.{role}": p[f"spatial.{role}"].chunk(segments)[k]
        for k in range(segments)
        for role in ("weight", "bias")
    }
    numbers = {k: v for k, v in p.items() if k.startswith("reduce")} | parts
    drawn = one(tmp_path, f"cross_channel_conv: {{{given}, parallel: true}}", 2, 4, 6, 5)
    close(drawn.with_numbers(renamed(numbers, "cross_channel_conv")).run(grouped.x), grouped.run())


def test_a_linear_layer_over_all_places_is_a_convolution(tmp_path: Path) -> None:
    """Figure 2 of Long et al.; on a larger map the convolution gives a map of scores."""
    linear = one(tmp_path, "classifier_head: {classes: 3, form: fc}", 2, 4, 5, 6)
    p = linear.p
    close(linear.run(), linear.x.flatten(1) @ p["classifier_head.fc.weight"].T + p["classifier_head.fc.bias"])
    convolved = one(tmp_path, "classifier_head: {classes: 3, form: conv}", 2, 4, 5, 6)
    weight = p["classifier_head.fc.weight"].reshape(3, 4, 5, 6)
    close(convolved.with_numbers(p | {"classifier_head.fc.weight": weight}).run(linear.x), linear.run())


def test_pooling_and_a_map_for_each_class_are_one(tmp_path: Path) -> None:
    pooled = one(tmp_path, "classifier_head: 3", 2, 4, 5, 6)
    p = pooled.p
    close(pooled.run(), F.linear(pooled.x.mean((2, 3)), p["classifier_head.fc.weight"], p["classifier_head.fc.bias"]))
    maps = one(tmp_path, "classifier_head: {classes: 3, form: gap}", 2, 4, 5, 6)
    weight = p["classifier_head.fc.weight"][:, :, None, None]
    close(maps.with_numbers(p | {"classifier_head.fc.weight": weight}).run(pooled.x), pooled.run())


@pytest.mark.parametrize("groups", [1, 2])
def test_a_repvgg_block_is_one_convolution(tmp_path: Path, groups: int) -> None:
    """Section 3.3 of Ding et al.: every branch a 3x3 with a bias, then their sum."""
    trained = one(tmp_path, f"repvgg_block: {{groups: {groups}}}", 2, 6, 5, 5)
    p = below(trained.p, "repvgg_block")
    each = 6 // groups
    eye = torch.zeros(6, each, 3, 3, dtype=torch.float64)
    eye[range(6), [i % each for i in range(6)], 1, 1] = 1
    kernels = {
        "dense.bn": p["dense.conv.weight"],
        "point.bn": F.pad(p["point.conv.weight"], (1, 1, 1, 1)),
        "identity": eye,
    }
    weight, bias = torch.zeros_like(eye), torch.zeros(6, dtype=torch.float64)
    for name, kernel in kernels.items():
        factor = p[f"{name}.weight"] / (p[f"{name}.running_var"] + 1e-5).sqrt()
        weight += kernel * factor[:, None, None, None]
        bias += p[f"{name}.bias"] - p[f"{name}.running_mean"] * factor
    deployed = one(tmp_path, f"repvgg_block: {{groups: {groups}, deploy: true}}", 2, 6, 5, 5)
    deployed = deployed.with_numbers({"repvgg_block.dense.weight": weight, "repvgg_block.dense.bias": bias})
    close(deployed.run(trained.x), trained.run())
    close(trained.run(), F.relu(F.conv2d(trained.x, weight, bias, padding=1, groups=groups)))


def test_a_flattened_convolution_is_one_of_rank_one_filters(tmp_path: Path) -> None:
    """Equation 5 of Jin et al.: the outer product of a filter over channels, one over height and one over width."""
    block = one(tmp_path, "flattened_conv: {out: 6, kernel: 3, sets: 1, bias: false}", 2, 4, 7, 6)
    p = below(block.p, "flattened_conv.0")
    lateral, vertical = p["lateral.weight"][:, :, 0, 0], p["vertical.weight"][:, 0, :, 0]
    weight = torch.einsum("oc,oi,oj->ocij", lateral, vertical, p["horizontal.weight"][:, 0, 0])
    close(block.run(), F.conv2d(block.x, weight, padding=1))


def test_a_flattened_layer_is_two_sets_with_biases(tmp_path: Path) -> None:
    block = one(tmp_path, "flattened_conv: 6", 2, 4, 7, 6)
    x = block.x
    for k in range(2):
        p = below(block.p, f"flattened_conv.{k}")
        x = conv(x, p, "lateral")
        x = conv(conv(x, p, "vertical", groups=6), p, "horizontal", groups=6)
    close(block.run(), x)


def test_offsets_of_a_deformable_convolution_may_come_from_an_existing_layer(tmp_path: Path) -> None:
    """`offset_src`: a layer that is there anyway predicts where to look."""
    steps = (
        "  - conv: {out: 18}\n    id: features\n  - deform_conv: {out: 5}\n    from: [image, features]\n"
        "    id: deform\n  - concat: [x, features]\n"
    )
    block = one(tmp_path, steps, 1, 4, 7, 6)
    p = block.p
    assert "deform.offset.weight" not in p
    y = block.run()
    features = conv(block.x, p, "features")
    close(y[:, 5:], features)
    # With no displacement it is the convolution itself.
    still = block.with_numbers(
        {**p, "features.weight": 0 * p["features.weight"], "features.bias": torch.zeros(18).double()}
    )
    close(still.run()[:, :5], F.conv2d(block.x, p["deform.weight"], p["deform.bias"], padding=1))
    # One whole element to the right: the image moved by one.
    right = torch.tensor([0.0, 1.0] * 9, dtype=torch.float64)
    moved = block.with_numbers({**p, "features.weight": 0 * p["features.weight"], "features.bias": right})
    expected = F.conv2d(F.pad(block.x, (0, 1))[..., 1:], p["deform.weight"], p["deform.bias"], padding=1)
    # The taps that hang over on the left now see the first column, where the moved image has zeros.
    close(moved.run()[:, :5, :, 1:], expected[..., 1:])


@pytest.mark.parametrize(
    ("variant", "allowed"),
    [("convnext_tiny", [0.1 * k / 17 for k in range(18)]), ("efficientnet_v2_s", [0.2 * k / 40 for k in range(40)])],
)
def test_stochastic_depth_rises_from_nothing_in_equal_steps(variant: str, allowed: list[float]) -> None:
    """Section 4 of Huang et al., 2016: the k-th of n blocks drops with k / (n - 1), in EfficientNet with k / n, of the last."""
    ps = [n.op.p for n in convc.load(variant).network.graph.nodes.values() if isinstance(n.op, DropPath)]
    # Where a block changes the shape there is no path to drop: ConvNeXt has no such block.
    assert len(ps) == len(allowed) or variant == "efficientnet_v2_s"
    assert len(ps) > 30 or variant == "convnext_tiny"
    places = [min(range(len(allowed)), key=lambda k: abs(allowed[k] - p)) for p in ps]
    assert all(abs(allowed[k] - p) < 1e-12 for k, p in zip(places, ps, strict=True))
    assert places == sorted(set(places))


def test_an_embedded_preprocessing_is_part_of_the_network(tmp_path: Path) -> None:
    steps = "network: [conv_bn_act: {out: 4}, global_avg_pool]\n"
    recipe = "preprocess: {scale: 1/255, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4], color: rgb, embed: %s}\n"
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 3, 8, 8)).astype(np.float32)
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    found = {}
    for embed, image in (("true", pixels), ("false", (pixels / 255 - mean) / std)):
        spec = tmp_path / "net.yaml"
        spec.write_text("convc: 1\ninput: {image: [N, 3, 8, 8]}\n" + recipe % embed + steps)
        build = convc.build(spec, tmp_path / embed, seed=3)
        assert build.verification.ok
        found[embed] = Session(build.path).run({"image": image})["output"]
    assert float(np.abs(found["true"] - found["false"]).max()) < 1e-5
