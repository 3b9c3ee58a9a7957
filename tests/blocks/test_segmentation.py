"""Segmentation and detection networks against torch written from the papers: heads, decoders, dilated and deformable ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import convc
from convc import zoo
from convc.compiler.ir import Model
from convc.compiler.ir.param import Stored
from convc.compiler.lower.to_torch import evaluate
from tests.blocks.one import below, bn, close, conv, conv_bn, one


def enlarged(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=align_corners)


def outputs(model: Model, x: Tensor, inner: dict[str, str] | None = None) -> dict[str, Tensor]:
    """In float64; `inner` are further values by a name to give them."""
    wanted = {**model.graph.outputs, **(inner or {})}
    nodes = [node for node in model.graph if not node.train_only]
    (image,) = model.graph.inputs
    values: dict[str, Any] = evaluate(nodes, {image: x}, model.params, "float64", list(wanted.values()))
    return {name: torch.as_tensor(np.asarray(values[value])) for name, value in wanted.items()}


def numbers(model: Model) -> dict[str, Tensor]:
    return {name: torch.from_numpy(param.as_float64().copy()) for name, param in model.params.items()}


def telling(variant: str, size: int, **settings: Any) -> tuple[Model, Tensor]:
    """A shipped network with norms and biases that say something, and an input."""
    model = convc.load(variant, size=size, **settings).model()
    rng = np.random.default_rng(3)
    found = dict(model.params)
    for name, param in model.params.items():
        if len(param.shape) == 1 or "offset" in name:
            values = rng.standard_normal(param.shape) * 0.1
            found[name] = Stored(np.abs(values) + 0.7 if name.endswith(("running_var", "bn.weight")) else values)
    (type_,) = model.graph.inputs.values()
    x = torch.from_numpy(rng.standard_normal((2, *type_.at({"N": 2})[1:])))
    return Model(model.graph, found, model.trained), x


@pytest.mark.parametrize("pool", [True, False])
def test_aspp_is_the_papers(tmp_path: Path, pool: bool) -> None:
    block = one(tmp_path, f"aspp: {{out: 5, rates: [2, 3], image_pool: {str(pool).lower()}}}", 2, 4, 9, 8)
    p, x = below(block.p, "aspp"), block.x

    def atrous(k: int, rate: int) -> Tensor:
        y = F.conv2d(x, p[f"atrous.{k}.conv.weight"], None, 1, rate, rate)
        return F.relu(bn(y, p, f"atrous.{k}.bn"))

    parts = [F.relu(conv_bn(x, p, "point")), atrous(0, 2), atrous(1, 3)]
    if pool:
        parts.append(enlarged(F.relu(conv_bn(x.mean((2, 3), keepdim=True), p, "pool.unit")), x))
    close(block.run(), F.relu(conv_bn(torch.cat(parts, 1), p, "project")))


def test_the_head_of_fcn_is_a_3x3_of_a_quarter_and_scores(tmp_path: Path) -> None:
    block = one(tmp_path, "fcn_head: {classes: 3}", 2, 8, 6, 5)
    p = below(block.p, "fcn_head")
    assert p["unit.conv.weight"].shape == (2, 8, 3, 3)
    close(block.run(), conv(F.relu(conv_bn(block.x, p, "unit")), p, "score"))


def test_a_deconvolution_begins_as_bilinear_interpolation() -> None:
    """Away from the border, where the authors' deconvolution reads zeros beyond it."""
    model = convc.load("fcn32s", size=64, width=16).model()
    weight = numbers(model)["up.weight"]
    assert weight.shape == (21, 21, 64, 64)
    scores = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 21, 5, 5)))
    large = F.conv_transpose2d(scores, weight, None, 32)[:, :, 16:-16, 16:-16]
    wanted = enlarged(scores, large)
    close(large[:, :, 16:-16, 16:-16], wanted[:, :, 16:-16, 16:-16])


@pytest.mark.parametrize(
    ("variant", "skips"),
    [
        pytest.param("fcn32s", 0, marks=pytest.mark.slow),
        pytest.param("fcn16s", 1, marks=pytest.mark.slow),
        ("fcn8s", 2),
    ],
)
def test_fcn_fuses_and_crops_as_its_authors_do(variant: str, skips: int) -> None:
    model, x = telling(variant, 50, width=16)
    inner = {f"pool{k + 1}": f"vgg.stage.{k}.max_pool" for k in (2, 3, 4)}
    found, p = outputs(model, x, inner), numbers(model)
    y = F.relu(conv(found["pool5"], p, "fc6", padding=0))
    y = conv(F.relu(conv(y, p, "fc7")), p, "score")
    for k, (pool, offset) in enumerate([("pool4", 5), ("pool3", 9)][:skips]):
        y = F.conv_transpose2d(y, p[f"fuse.{k}.up.weight"], None, 2)
        skip = conv(found[pool], p, f"fuse.{k}.score")
        y = y + skip[:, :, offset : offset + y.shape[2], offset : offset + y.shape[3]]
    y = F.conv_transpose2d(y, p["up.weight"], None, 32 >> skips)
    offset = (19, 27, 31)[skips]
    close(found["output"], y[:, :, offset : offset + 50, offset : offset + 50])


@pytest.mark.parametrize(
    ("stride", "strides", "rates"), [(8, [1, 2, 1, 1], [1, 1, 2, 4]), (16, [1, 2, 2, 1], [1, 1, 1, 2])]
)
def test_stages_dilate_where_they_no_longer_stride(stride: int, strides: list[int], rates: list[int]) -> None:
    """torchvision's way: the first block of a stage keeps the rate of the stage before."""
    graph = convc.load("resnet50", output_stride=stride, size=64).network.graph
    for s, count in enumerate((3, 4, 6, 3)):
        windows = [graph.nodes[f"stage.{s}.{i}.conv2.conv"].op.window() for i in range(count)]
        assert [w.stride[0] for w in windows if w] == [strides[s]] + [1] * (count - 1)
        assert [w.dilation[0] for w in windows if w] == [rates[s - 1] if s else 1] + [rates[s]] * (count - 1)


def test_deformable_blocks_that_move_nothing_are_ordinary_ones() -> None:
    """And with weights for the taps, which begin at a half, the same with half of every weight."""
    plain, x = telling("resnet50", 32)
    expected = outputs(plain, x)["output"]
    for variant, factor in (("dcn_resnet50", 1.0), ("dcnv2_resnet50", 2.0)):
        model = convc.load(variant, size=32).model()
        params = dict(model.params)
        deformed = 0
        for name, param in params.items():
            own = name.removeprefix("resnet.")
            if ".offset." in name:
                assert not param.evaluate().any()
                continue
            there = plain.params[own]
            assert there.shape == param.shape
            moved = name.removesuffix("weight") + "offset.weight" in params
            deformed += moved
            params[name] = Stored(there.as_float64() * (factor if moved else 1.0))
        assert deformed == (3 if factor == 1.0 else 13)
        close(outputs(Model(model.graph, params, model.trained), x)["output"], expected)


def test_deeplab_has_a_ninth_of_fc6_over_a_large_field() -> None:
    model, x = telling("deeplab_largefov", 65)
    found, p = outputs(model, x, {"pool5": "vgg.stage.4.max_pool"}), numbers(model)
    assert found["pool5"].shape[2:] == (9, 9)
    y = F.avg_pool2d(found["pool5"], 3, 1, 1)
    y = F.relu(F.conv2d(y, p["fc6.weight"], p["fc6.bias"], 1, 12, 12))
    y = conv(F.relu(conv(y, p, "fc7")), p, "fc8")
    close(found["output"], enlarged(y, x, align_corners=True))


def test_the_pyramid_adds_from_the_top_down() -> None:
    model, x = telling("fpn_resnet50", 75)
    found = outputs(model, x, {f"c{k}": f"backbone.stage.{k}.{n}.act" for k, n in enumerate((2, 3, 5, 2))})
    p, above = numbers(model), None
    for k in (3, 2, 1, 0):
        y = conv(found[f"c{k}"], p, f"merged.{3 - k}.lateral")
        above = y if above is None else y + F.interpolate(above, y.shape[2:], mode="nearest")
        close(found[f"p{k + 2}"], conv(above, p, f"smooth.{k}"))


def test_unet_joins_the_middle_of_what_it_saw_on_the_way_down() -> None:
    model, x = telling("unet", 188, widths=[4, 6, 8, 10, 12])
    found, p = outputs(model, x)["output"], numbers(model)

    def double(y: Tensor, name: str) -> Tensor:
        for i in range(2):
            y = F.relu(conv(y, p, f"{name}.double_conv.conv.{i}.conv", padding=0))
        return y

    down, y = [], x
    for row in range(5):
        y = double(F.max_pool2d(y, 2) if row else y, f"down.{row}")
        down.append(y)
    for row in range(4):
        y = F.conv_transpose2d(y, p[f"up.{row}.up.weight"], p[f"up.{row}.up.bias"], 2)
        skip = down[3 - row]
        top, left = ((skip.shape[a] - y.shape[a]) // 2 for a in (2, 3))
        skip = skip[:, :, top : top + y.shape[2], left : left + y.shape[3]]
        y = double(torch.cat([skip, y], 1), f"up.{row}")
    close(found, conv(y, p, "score"))


def test_segnet_puts_values_back_to_where_the_maxima_were() -> None:
    model, x = telling("segnet_vgg16", 32)
    found, p = outputs(model, x)["output"], numbers(model)

    def unit(y: Tensor, name: str) -> Tensor:
        return F.relu(conv_bn(y, p, name))

    y, places, sizes = x, [], []
    for s, n in enumerate((2, 2, 3, 3, 3)):
        for i in range(n):
            y = unit(y, f"encoder.stage.{s}.unit.{i}")
        sizes.append(y.shape[2:])
        y, where = F.max_pool2d(y, 2, return_indices=True)
        places.append(where)
    for row, k in enumerate((4, 3, 2, 1, 0)):
        y = F.max_unpool2d(y, places[k], [2, 2], output_size=list(sizes[k]))
        for i in range((2, 2, 3, 3, 3)[k] - 1):
            y = unit(y, f"decoder.{row}.unit.{i}")
        y = unit(y, f"decoder.{row}.last") if k else y
    close(found, conv(y, p, "score"))


@pytest.mark.parametrize(
    ("variant", "settings", "said"),
    [
        ("fcn8s", {"skips": 3}, "pool4 are added, then those of pool3"),
        ("fcn8s", {"skips": -1}, "pool4 are added, then those of pool3"),
        ("dcn_resnet50", {"deformed": [0, 0, 9, 3]}, "a stage has no more blocks"),
        ("dcn_resnet50", {"deformed": [0, 0, 0, -1]}, "so many convolutions are deformable"),
        ("dcn_resnet50", {"deformed": [0, 3]}, "four stages"),
        ("fcn_resnet50", {"depths": [3, 4]}, "four stages"),
        ("deeplabv3_resnet50", {"output_stride": 12}, "stages by 2 or not"),
        ("deeplabv3_resnet50", {"output_stride": 2}, "the stem divides by 4"),
        ("deeplabv3_resnet50", {"output_stride": 0}, "the stem divides by 4"),
        ("resnet50", {"output_stride": 64}, "the stem divides by 4"),
        ("vgg16", {"output_stride": 5}, "five pools"),
        ("vgg16", {"output_stride": 0}, "five pools"),
        ("segnet_vgg16", {"widths": [64, 128]}, "five stages"),
        ("unet", {"widths": [8]}, "nothing to join"),
    ],
)
def test_what_no_such_network_has_is_refused(variant: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(convc.SpecError, match=said) as caught:
        convc.load(variant, **settings)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_every_output_stride_is_that_of_the_last_map(stride: int) -> None:
    graph = convc.load("resnet50", output_stride=stride, size=64).network.graph
    assert graph.nodes["stage.3.2.act"].type.shape[2:] == (64 // stride, 64 // stride)
    graph = convc.load("vgg16", output_stride=stride, pool=3, size=64).network.graph
    assert graph.nodes["stage.4.max_pool"].type.shape[2:] == (64 // stride, 64 // stride)


@pytest.mark.parametrize(
    "file", ["context", "dcn", "deeplab", "deeplabv3", "fcn", "fcn_resnet", "fpn", "segnet", "unet"]
)
def test_every_parameter_says_what_it_is(file: str) -> None:
    params = convc.load(next(v for v, path in zoo.variants().items() if path.stem == file)).network.spec.params
    assert all(param.doc for param in params.values())


def test_deformable_networks_sample_where_there_is_no_kernel_for_them(tmp_path: Path) -> None:
    """The GridSample form in a whole network, strided and dilated blocks among them, at a size that is odd."""
    few = {"depths": [1, 1, 1, 2], "deformed": [0, 1, 1, 2], "output_stride": 16}
    for opset, form in ((18, "GridSample"), (20, "DeformConv")):
        build = convc.build("dcn_resnet50", tmp_path / form, size=75, opset=opset, set=few)
        assert build.verification.ok
        kinds = [node.op_type for node in onnx.load(str(build.path), load_external_data=False).graph.node]
        assert kinds.count(form) == 4
        assert kinds.count("GridSample") + kinds.count("DeformConv") == 4
