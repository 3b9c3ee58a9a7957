"""Convolutional blocks against small torch networks written from the papers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.blocks.one import Numbers, below, bn, close, conv, conv_bn, depthwise_bn, one


def unit(x: Tensor, p: Numbers, name: str, stride: int = 1, groups: int = 1) -> Tensor:
    return F.relu(conv_bn(x, p, name, stride, groups))


def layer_norm(x: Tensor, p: Numbers, name: str) -> Tensor:
    over = x.permute(0, 2, 3, 1)
    normed = F.layer_norm(over, over.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)
    return normed.permute(0, 3, 1, 2)


def shuffled(x: Tensor, groups: int) -> Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


# -- universal inverted bottleneck


def uib(x: Tensor, p: Numbers, start: int, mid: int, stride: int, out: int, start_act: bool = False) -> Tensor:
    """Figure 4 of MobileNetV4: the stride is on the second depthwise convolution where there is one."""
    y = x
    if start:
        y = depthwise_bn(y, p, "start_dw", 1 if mid else stride)
        y = F.relu6(y) if start_act else y
    act = F.relu6 if start_act else F.relu
    y = act(conv_bn(y, p, "expand", 1 if start or mid else stride))
    y = act(depthwise_bn(y, p, "mid_dw", stride)) if mid else y
    y = conv_bn(y, p, "project")
    return x + y if stride == 1 and x.shape[1] == out else y


@pytest.mark.parametrize(("name", "start", "mid"), [("ExtraDW", 3, 5), ("IB", 0, 3), ("ConvNext", 5, 0), ("FFN", 0, 0)])
@pytest.mark.parametrize(("stride", "out"), [(1, 6), (1, 4), (2, 6)])
def test_the_four_instances_of_uib(tmp_path: Path, name: str, start: int, mid: int, stride: int, out: int) -> None:
    given = f"start_kernel: {start}, mid_kernel: {mid}, out: {out}, expand: 3, stride: {stride}"
    block = one(tmp_path, f"uib: {{{given}}}", 2, 6, 9, 8)
    p = below(block.p, "uib")
    # 18 becomes 24 rather than 16, which is less than nine tenths.
    assert p["expand.conv.weight"].shape[0] == 24
    close(block.run(), uib(block.x, p, start, mid, stride, out))


def test_uib_with_the_activation_that_tutorials_put_behind_the_first_depthwise(tmp_path: Path) -> None:
    given = "start_kernel: 3, mid_kernel: 3, out: 6, start_act: relu6, act: relu6"
    block = one(tmp_path, f"uib: {{{given}}}", 2, 6, 7, 8)
    close(block.run(), uib(block.x, below(block.p, "uib"), 3, 3, 1, 6, start_act=True))


# -- inverted residuals


@pytest.mark.parametrize(("stride", "out"), [(1, 8), (1, 6), (2, 8)])
def test_an_inverted_residual_adds_only_where_the_shape_stays(tmp_path: Path, stride: int, out: int) -> None:
    block = one(tmp_path, f"inverted_residual: {{out: {out}, expand: 3, stride: {stride}}}", 2, 8, 7, 6)
    p = below(block.p, "inverted_residual")
    y = F.relu6(conv_bn(block.x, p, "expand"))
    y = conv_bn(F.relu6(depthwise_bn(y, p, "depthwise", stride)), p, "project")
    close(block.run(), block.x + y if stride == 1 and out == 8 else y)


def test_mbconv_squeezes_by_the_channels_of_its_input(tmp_path: Path) -> None:
    block = one(tmp_path, "mbconv: {out: 8, expand: 4, kernel: 5}", 2, 8, 7, 6)
    p = below(block.p, "mbconv")
    assert p["se.fc1.weight"].shape == (2, 32, 1, 1)
    y = F.silu(depthwise_bn(F.silu(conv_bn(block.x, p, "expand")), p, "depthwise"))
    gate = torch.sigmoid(conv(F.silu(conv(y.mean((2, 3), keepdim=True), p, "se.fc1")), p, "se.fc2"))
    close(block.run(), block.x + conv_bn(y * gate, p, "project"))


@pytest.mark.parametrize(("expand", "se"), [(1, 0), (4, 0), (4, 0.25)])
def test_fused_mbconv(tmp_path: Path, expand: int, se: float) -> None:
    block = one(tmp_path, f"fused_mbconv: {{out: 8, expand: {expand}, se: {se}}}", 2, 8, 7, 6)
    p = below(block.p, "fused_mbconv")
    y = F.silu(conv_bn(block.x, p, "expand"))
    if se:
        y = y * torch.sigmoid(conv(F.silu(conv(y.mean((2, 3), keepdim=True), p, "se.fc1")), p, "se.fc2"))
    close(block.run(), block.x + (conv_bn(y, p, "project") if expand > 1 else y))


# -- ConvNeXt


def test_a_convnext_block(tmp_path: Path) -> None:
    block = one(tmp_path, "convnext_block: {drop: 0.2}", 2, 6, 9, 8)
    p = below(block.p, "convnext_block")
    y = layer_norm(conv(block.x, p, "depthwise", groups=6), p, "norm")
    y = conv(F.gelu(conv(y, p, "fc1")), p, "fc2")
    assert p["fc1.weight"].shape == (24, 6, 1, 1)
    close(block.run(), block.x + y * p["layer_scale.weight"].reshape(1, -1, 1, 1))


@pytest.mark.parametrize("norm_first", [True, False])
def test_convnexts_downsampling_in_either_order(tmp_path: Path, norm_first: bool) -> None:
    block = one(tmp_path, f"convnext_down: {{out: 8, norm_first: {str(norm_first).lower()}}}", 2, 6, 8, 6)
    p = below(block.p, "convnext_down")
    x = layer_norm(block.x, p, "norm") if norm_first else block.x
    y = conv(x, p, "conv", 2, padding=0)
    close(block.run(), y if norm_first else layer_norm(y, p, "norm"))


# -- ShuffleNet


@pytest.mark.parametrize(("stride", "out", "groups"), [(1, 24, 3), (2, 48, 3), (1, 24, 1), (2, 40, 2)])
def test_shufflenets_units(tmp_path: Path, stride: int, out: int, groups: int) -> None:
    """Figure 2 (b) and (c) of Zhang et al."""
    block = one(tmp_path, f"shuffle_unit: {{out: {out}, groups: {groups}, stride: {stride}}}", 2, 24, 8, 6)
    p = below(block.p, "shuffle_unit")
    y = shuffled(unit(block.x, p, "reduce", groups=groups), groups)
    y = conv_bn(depthwise_bn(y, p, "depthwise", stride), p, "expand", groups=groups)
    pooled = F.avg_pool2d(block.x, 3, 2, 1)
    close(block.run(), F.relu(block.x + y if stride == 1 else torch.cat([pooled, y], 1)))


@pytest.mark.parametrize(("stride", "tutorial"), [(1, False), (2, False), (2, True)])
def test_shufflenet_v2s_units(tmp_path: Path, stride: int, tutorial: bool) -> None:
    """Figure 3 (c) and (d) of Ma et al."""
    given = f"out: 12, stride: {stride}, left_pointwise_first: {str(tutorial).lower()}"
    block = one(tmp_path, f"shuffle_unit_v2: {{{given}}}", 2, 12, 8, 6)
    p = below(block.p, "shuffle_unit_v2")
    left, right = block.x.chunk(2, 1) if stride == 1 else (block.x, block.x)
    if stride > 1 and tutorial:
        left = depthwise_bn(unit(left, p, "left.conv_bn_act_2", 2), p, "left.conv_bn_2")
    elif stride > 1:
        left = unit(depthwise_bn(left, p, "left.conv_bn", 2), p, "left.conv_bn_act")
    right = depthwise_bn(unit(right, p, "right.conv_bn_act"), p, "right.conv_bn", stride)
    close(block.run(), shuffled(torch.cat([left, unit(right, p, "right.conv_bn_act_2")], 1), 2))


# -- GhostNet


def ghost(x: Tensor, p: Numbers, out: int, ratio: int, linear: bool = False) -> Tensor:
    y = conv_bn(x, p, "primary")
    y = y if linear else F.relu(y)
    cheap = conv_bn(y, p, "cheap", groups=y.shape[1])
    y = torch.cat([y, cheap if linear else F.relu(cheap)], 1)
    assert y.shape[1] - out < ratio
    return y[:, :out]


@pytest.mark.parametrize(("out", "ratio"), [(8, 2), (7, 2), (9, 3), (10, 4)])
def test_a_ghost_module_is_cut_to_its_width(tmp_path: Path, out: int, ratio: int) -> None:
    block = one(tmp_path, f"ghost_module: {{out: {out}, ratio: {ratio}}}", 2, 5, 7, 6)
    close(block.run(), ghost(block.x, below(block.p, "ghost_module"), out, ratio))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("form", ["conv", "ghost"])
def test_a_ghost_bottleneck_with_either_shortcut(tmp_path: Path, form: str, stride: int) -> None:
    given = f"mid: 12, out: 8, stride: {stride}, squeeze: 4, ghost_shortcut: {str(form == 'ghost').lower()}"
    block = one(tmp_path, f"ghost_bottleneck: {{{given}}}", 2, 6, 8, 6)
    p = below(block.p, "ghost_bottleneck")
    y = ghost(block.x, below(p, "ghost1"), 12, 2)
    y = depthwise_bn(y, p, "depthwise", 2) if stride > 1 else y
    gate = F.hardsigmoid(conv(F.relu(conv(y.mean((2, 3), keepdim=True), p, "se.fc1")), p, "se.fc2"))
    y = ghost(y * gate, below(p, "ghost2"), 8, 2, linear=True)
    aside = depthwise_bn(block.x, p, "shortcut.conv_bn", stride)
    if form == "ghost":
        aside = ghost(aside, below(p, "shortcut.ghost_module"), 8, 2, linear=True)
    else:
        aside = conv_bn(aside, p, "shortcut.conv_bn_2")
    close(block.run(), y + aside)


# -- Inception


def test_the_naive_inception_module_and_se_behind_it(tmp_path: Path) -> None:
    """Figure 2 (a) of Szegedy et al.: nothing reduces; SE-Inception, figure 2 of Hu et al."""
    block = one(tmp_path, "inception_v1: {c1: 4, c3: 5, c5: 6, att: se}", 2, 8, 7, 6)
    p = below(block.p, "inception_v1")
    names = sorted({name.split(".conv.")[0] for name in p if "branch" in name})
    parts = [F.relu(conv(block.x, p, f"{name}.conv")) for name in names]
    assert [part.shape[1] for part in parts] == [4, 5, 6]
    y = torch.cat([*parts, F.max_pool2d(block.x, 3, 1, 1)], 1)
    gate = torch.sigmoid(conv(F.relu(conv(y.mean((2, 3), keepdim=True), p, "att.fc1")), p, "att.fc2"))
    close(block.run(), y * gate)


@pytest.mark.parametrize("pool", ["avg_pool", "max_pool"])
def test_bn_inceptions_modules(tmp_path: Path, pool: str) -> None:
    steps = f"inception_bn: {{c1: 2, r3: 3, c3: 4, rd: 5, cd: 6, proj: 7, pool: {pool}}}"
    block = one(tmp_path, steps, 2, 8, 7, 7)
    p = below(block.p, "inception_bn")
    pooled = F.max_pool2d(block.x, 3, 1, 1) if pool == "max_pool" else F.avg_pool2d(block.x, 3, 1, 1)
    double = unit(unit(block.x, p, "branch3x3dbl.conv_bn_act"), p, "branch3x3dbl.conv_bn_act_2")
    parts = [
        unit(block.x, p, "branch1x1"),
        unit(unit(block.x, p, "branch3x3.conv_bn_act"), p, "branch3x3.conv_bn_act_2"),
        unit(double, p, "branch3x3dbl.conv_bn_act_3"),
        unit(pooled, p, "branch_pool.conv_bn_act"),
    ]
    close(block.run(), torch.cat(parts, 1))
    assert one(tmp_path, "inception_bn: {r3: 3, c3: 4, rd: 5, cd: 6, stride: 2}", 1, 8, 8, 8).run().shape[1] == 18


def test_googlenets_auxiliary_head(tmp_path: Path) -> None:
    block = one(tmp_path, "inception_v1_aux: {classes: 5}", 2, 8, 14, 14)
    p = below(block.p, "inception_v1_aux")
    y = F.relu(conv(F.avg_pool2d(block.x, 5, 3), p, "conv.conv")).flatten(1)
    y = F.relu(F.linear(y, p["fc1.weight"], p["fc1.bias"]))
    close(block.run(), F.linear(y, p["fc2.weight"], p["fc2.bias"]))


# -- DenseNet, Xception, convolutions in parts


def test_a_dense_block_and_a_transition(tmp_path: Path) -> None:
    block = one(tmp_path, "dense_block: {layers: 3, growth: 4, bottleneck: 2}, transition", 2, 5, 8, 6)
    p, x = block.p, block.x
    for k in range(3):
        layer = below(p, f"dense_block.{k}")
        y = conv(F.relu(bn(x, layer, "norm1")), layer, "conv1")
        assert y.shape[1] == 8
        x = torch.cat([x, conv(F.relu(bn(y, layer, "norm2")), layer, "conv2")], 1)
    y = conv(F.relu(bn(x, p, "transition.norm")), p, "transition.conv")
    assert y.shape[1] == 8
    close(block.run(), F.avg_pool2d(y, 2))


def test_a_separable_convolution_bare_and_with_all_options(tmp_path: Path) -> None:
    bare = one(tmp_path, "separable_conv: {out: 5}", 2, 4, 7, 6)
    p = below(bare.p, "separable_conv")
    assert sorted(p) == ["depthwise.weight", "pointwise.weight"]
    close(bare.run(), conv(conv(bare.x, p, "depthwise", groups=4), p, "pointwise"))
    given = "out: 5, kernel: 5, stride: 2, multiplier: 2, mid_norm: true, mid_act: relu, norm: true, act: relu6"
    full = one(tmp_path, f"separable_conv: {{{given}}}", 2, 4, 7, 6)
    p = below(full.p, "separable_conv")
    y = F.relu(bn(conv(full.x, p, "depthwise", 2, groups=4), p, "depthwise_bn"))
    assert y.shape[1] == 8
    close(full.run(), F.relu6(bn(conv(y, p, "pointwise"), p, "pointwise_bn")))
    biased = one(tmp_path, "separable_conv: {bias: true, norm: true}", 1, 4, 7, 6)
    assert "separable_conv.depthwise.bias" in biased.p
    assert "separable_conv.pointwise.bias" not in biased.p


@pytest.mark.parametrize("horizontal_first", [False, True])
def test_a_spatially_separable_convolution(tmp_path: Path, horizontal_first: bool) -> None:
    given = f"out: 5, kernel: 5, mid: 3, act: relu, horizontal_first: {str(horizontal_first).lower()}"
    block = one(tmp_path, f"spatially_separable_conv: {{{given}}}", 2, 4, 7, 6)
    p = below(block.p, "spatially_separable_conv")
    assert p["first.weight"].shape == ((3, 4, 1, 5) if horizontal_first else (3, 4, 5, 1))
    close(block.run(), conv(F.relu(conv(block.x, p, "first")), p, "second"))


def test_sobel_is_a_separable_convolution(tmp_path: Path) -> None:
    """Multiplications of a 3x3 in two steps, the example that tutorials begin with: [1, 2, 1]^T [-1, 0, 1]."""
    fixed = one(tmp_path, "fixed_conv: sobel_x", 2, 1, 6, 7)
    parts = one(tmp_path, "spatially_separable_conv: {out: 1, bias: false}", 2, 1, 6, 7)
    smooth = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    slope = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    numbers = {"first.weight": smooth.reshape(1, 1, 3, 1), "second.weight": slope.reshape(1, 1, 1, 3)}
    named = {f"spatially_separable_conv.{k}": v for k, v in numbers.items()}
    close(fixed.run(), parts.with_numbers(named).run(fixed.x))


def test_a_shuffled_convolution(tmp_path: Path) -> None:
    block = one(tmp_path, "shuffled_conv: {out: 12, groups: 3, kernel: 1}", 2, 6, 5, 4)
    close(block.run(), shuffled(conv(block.x, block.p, "shuffled_conv.conv", groups=3), 3))


def test_a_warped_convolution_moves_every_channel_by_its_own_field(tmp_path: Path) -> None:
    block = one(tmp_path, "warped_conv: {out: 5}", 2, 3, 7, 6)
    p = below(block.p, "warped_conv")
    field = conv(block.x, p, "offset")
    assert field.shape == (2, 6, 7, 6)
    rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(6.0), indexing="ij")
    moved = []
    for c in range(3):
        down, right = rows + field[:, 2 * c], columns + field[:, 2 * c + 1]
        grid = torch.stack([2 * right / 5 - 1, 2 * down / 6 - 1], -1)
        moved.append(F.grid_sample(block.x[:, c : c + 1], grid, align_corners=True))
    close(block.run(), conv(torch.cat(moved, 1), p, "conv"), 1e-9)


def test_attention_in_a_ghost_module_and_in_a_repvgg_block(tmp_path: Path) -> None:
    plain = one(tmp_path, "ghost_module: 8", 2, 5, 7, 6)
    gated = one(tmp_path, "ghost_module: {out: 8, att: eca}", 2, 5, 7, 6)
    weight = gated.p["ghost_module.att.conv.weight"]
    y = plain.run()
    gate = torch.sigmoid(F.conv1d(y.mean((2, 3))[:, None], weight, padding=weight.shape[2] // 2))[:, 0]
    close(
        gated.with_numbers(plain.p | {"ghost_module.att.conv.weight": weight}).run(plain.x), y * gate[:, :, None, None]
    )
    projected = one(tmp_path, "repvgg_block: {out: 8, stride: 2, project: true}", 2, 5, 8, 6)
    p = below(projected.p, "repvgg_block")
    sides = [conv_bn(projected.x, p, name, 2) for name in ("dense", "point", "projection")]
    close(projected.run(), F.relu(torch.stack(sides).sum(0)))


def test_stacks_of_convolutions(tmp_path: Path) -> None:
    block = one(tmp_path, "mlpconv: {kernel: 5, c1: 6, c2: 5, c3: 4}, conv_stack: {out: 7, layers: 2}", 2, 3, 9, 8)
    p, x = block.p, block.x
    for name in ("mlpconv.conv_act.conv", "mlpconv.conv_act_2.conv", "mlpconv.conv_act_3.conv"):
        x = F.relu(conv(x, p, name))
    for name in ("conv_stack.conv.0.conv", "conv_stack.conv.1.conv"):
        x = F.relu(conv(x, p, name))
    close(block.run(), F.max_pool2d(x, 2))
    normed = one(tmp_path, "conv_stack: {out: 7, unit: conv_bn_act, act: silu, pool: 0}", 2, 3, 9, 8)
    close(normed.run(), F.silu(conv_bn(normed.x, normed.p, "conv_stack.conv.0")))


def test_a_deformable_and_a_c4_convolution_with_norm_and_activation(tmp_path: Path) -> None:
    block = one(tmp_path, "deform_conv_bn_act: {out: 5, kernel: 1, modulated: true}", 2, 4, 6, 7)
    p = below(block.p, "deform_conv_bn_act")
    offsets = F.conv2d(block.x, p["conv.offset.weight"], p["conv.offset.bias"])
    rows = torch.arange(6.0)[:, None] + offsets[:, 0]
    columns = torch.arange(7.0) + offsets[:, 1]
    grid = torch.stack([2 * columns / 6 - 1, 2 * rows / 5 - 1], -1)
    read = F.grid_sample(block.x, grid, align_corners=True) * torch.sigmoid(offsets[:, 2:])
    close(block.run(), F.relu(bn(F.conv2d(read, p["conv.weight"]), p, "bn")), 1e-9)
    lifted = one(tmp_path, "c4_conv_bn_act: {out: 3, kind: lifting}", 2, 4, 6, 7)
    p = below(lifted.p, "c4_conv_bn_act")
    turns = torch.stack([torch.rot90(p["conv.weight"], r, (2, 3)) for r in range(4)], 1).flatten(0, 1)
    shared = {name: value.repeat_interleave(4) for name, value in p.items() if name.startswith("bn.")}
    close(lifted.run(), F.relu(bn(F.conv2d(lifted.x, turns, padding=1), shared, "bn")))


@pytest.mark.parametrize(("name", "att"), [("basic_block", "cbam"), ("bottleneck", "coord_att"), ("bottleneck", "se")])
def test_attention_stands_before_the_sum_of_a_residual_block(tmp_path: Path, name: str, att: str) -> None:
    block = one(tmp_path, f"{name}: {{width: 16, stride: 2, att: {att}}}", 2, 16, 8, 8)
    p = below(block.p, name)
    y = unit(block.x, p, "conv1", 2 if name == "basic_block" else 1)
    if name == "bottleneck":
        y = unit(y, p, "conv2", 2)
    y = conv_bn(y, p, "conv2" if name == "basic_block" else "conv3")
    alone = one(tmp_path, f"{att}", *y.shape)
    y = alone.with_numbers({f"{att}.{k}": v for k, v in below(p, "att").items()}).run(y)
    close(block.run(), F.relu(y + bn(conv(block.x, p, "shortcut.conv", 2), p, "shortcut.bn")))


def test_inception_v3s_auxiliary_head(tmp_path: Path) -> None:
    block = one(tmp_path, "inception_aux: 5", 2, 8, 17, 17)
    p = below(block.p, "inception_aux")
    y = F.relu(bn(conv(unit(F.adaptive_avg_pool2d(block.x, 5), p, "conv0"), p, "conv1.conv", padding=0), p, "conv1.bn"))
    close(block.run(), F.linear(y.mean((2, 3)), p["fc.weight"], p["fc.bias"]))
