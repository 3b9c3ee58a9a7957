"""Attention blocks against the papers' formulas, written with torch's own functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.blocks.one import Numbers, below, bn, close, conv, one


def perceptron(x: Tensor, p: Numbers, act: str) -> Tensor:
    return conv(getattr(F, act)(conv(x, p, "fc1")), p, "fc2")


@pytest.mark.parametrize(
    ("arguments", "width", "act", "gate", "bias"),
    [
        # The paper's later edition: r = 16, no bias.
        ("", 2, "relu", torch.sigmoid, False),
        # MobileNetV3: a quarter, rounded to 8, never to less than nine tenths; a hard gate.
        ("{reduction: 4, divisor: 8, bias: true, gate: hardsigmoid}", 8, "relu", F.hardsigmoid, True),
        # EfficientNet: a quarter of the channels of the whole block's input.
        ("{reduction: 4, base: 24, act: silu, bias: true}", 6, "silu", torch.sigmoid, True),
        # GhostNet: a quarter, rounded to 4.
        ("{reduction: 4, divisor: 4, gate: hardsigmoid, bias: true}", 8, "relu", F.hardsigmoid, True),
        ("{squeeze: 5}", 5, "relu", torch.sigmoid, False),
    ],
)
def test_se(tmp_path: Path, arguments: str, width: int, act: str, gate: Callable[[Tensor], Tensor], bias: bool) -> None:
    block = one(tmp_path, f"se: {arguments}" if arguments else "se", 2, 32, 4, 5)
    p = below(block.p, "se")
    assert p["fc1.weight"].shape == (width, 32, 1, 1)
    assert ("fc1.bias" in p) is ("fc2.bias" in p) is bias
    means = block.x.mean((2, 3), keepdim=True)
    close(block.run(), block.x * gate(perceptron(means, p, act)))


def cbam_channel(x: Tensor, p: Numbers) -> Tensor:
    mean, most = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    mlp = below(p, "mlp")
    return x * torch.sigmoid(perceptron(mean, mlp, "relu") + perceptron(most, mlp, "relu"))


def cbam_spatial(x: Tensor, p: Numbers, norm: bool = True) -> Tensor:
    y = conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1), p, "conv")
    return x * torch.sigmoid(bn(y, p, "bn") if norm else y)


@pytest.mark.parametrize("spatial_first", [False, True])
def test_cbam_in_either_order(tmp_path: Path, spatial_first: bool) -> None:
    block = one(tmp_path, f"cbam: {{reduction: 4, spatial_first: {str(spatial_first).lower()}}}", 2, 16, 9, 8)
    p = below(block.p, "cbam")
    assert p["spatial.conv.weight"].shape == (1, 2, 7, 7)
    x = cbam_spatial(block.x, below(p, "spatial")) if spatial_first else block.x
    y = cbam_channel(x, below(p, "channel"))
    close(block.run(), y if spatial_first else cbam_spatial(y, below(p, "spatial")))


def test_cbam_as_the_paper_says_it(tmp_path: Path) -> None:
    block = one(tmp_path, "cbam: {reduction: 2, kernel: 3, bias: false, norm: false}", 2, 8, 5, 5)
    p = below(block.p, "cbam")
    assert sorted(p) == ["channel.mlp.fc1.weight", "channel.mlp.fc2.weight", "spatial.conv.weight"]
    close(block.run(), cbam_spatial(cbam_channel(block.x, below(p, "channel")), below(p, "spatial"), norm=False))


@pytest.mark.parametrize(("channels", "kernel"), [(64, 3), (96, 3), (128, 5), (256, 5), (512, 5), (1024, 5), (2048, 7)])
def test_eca(tmp_path: Path, channels: int, kernel: int) -> None:
    block = one(tmp_path, "eca", 2, channels, 3, 4)
    weight = block.p["eca.conv.weight"]
    assert weight.shape == (1, 1, kernel)
    gate = F.conv1d(block.x.mean((2, 3))[:, None], weight, padding=kernel // 2)[:, 0]
    close(block.run(), block.x * torch.sigmoid(gate)[:, :, None, None])


def test_coordinate_attention(tmp_path: Path) -> None:
    block = one(tmp_path, "coord_att: {reduction: 2}", 2, 24, 5, 7)
    p = below(block.p, "coord_att")
    # Equation 6 with its concatenation along the places, which the block does without.
    places = torch.cat([block.x.mean(3, keepdim=True), block.x.mean(2, keepdim=True).transpose(2, 3)], 2)
    f = F.hardswish(bn(conv(places, p, "reduce.conv_bn_act.conv"), p, "reduce.conv_bn_act.bn"))
    assert f.shape == (2, 12, 12, 1)
    down, right = f[:, :, :5], f[:, :, 5:]
    g_h, g_w = torch.sigmoid(conv(down, p, "conv_h")), torch.sigmoid(conv(right.transpose(2, 3), p, "conv_w"))
    close(block.run(), block.x * g_h * g_w)
    assert one(tmp_path, "coord_att", 1, 24, 5, 7).p["coord_att.conv_h.weight"].shape == (24, 8, 1, 1)


def attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V, every head by itself, over one set of keys and values."""
    k, v = key.flatten(2).transpose(1, 2), value.flatten(2).transpose(1, 2)
    found = []
    for q in query.flatten(2).transpose(1, 2).chunk(heads, -1):
        found.append((q @ k.transpose(1, 2) / math.sqrt(k.shape[-1])).softmax(-1) @ v)
    return torch.cat(found, -1).transpose(1, 2).reshape(query.shape[0], -1, *query.shape[2:])


@pytest.mark.parametrize(("kv_stride", "q_stride"), [(1, 1), (2, 1), (2, 2)])
def test_mobile_mqa(tmp_path: Path, kv_stride: int, q_stride: int) -> None:
    given = f"heads: 3, key_dim: 4, value_dim: 5, kv_stride: {kv_stride}, q_stride: {q_stride}, layer_scale: 0.1"
    block = one(tmp_path, f"mobile_mqa: {{{given}}}", 2, 8, 8, 6)
    p = below(block.p, "mobile_mqa")
    x = bn(block.x, p, "norm")
    q = bn(F.avg_pool2d(x, 2), p, "attn.query.norm") if q_stride > 1 else x
    sides = []
    for name in ("key", "value"):
        at = f"attn.{name}"
        y = bn(conv(x, p, f"{at}.down.conv", 2, groups=8), p, f"{at}.down.bn") if kv_stride > 1 else x
        sides.append(conv(y, p, f"{at}.proj"))
    y = attention(conv(q, p, "attn.query.proj"), sides[0], sides[1], 3)
    y = F.interpolate(y, size=(8, 6), mode="bilinear") if q_stride > 1 else y
    close(block.run(), block.x + conv(y, p, "output") * p["layer_scale.weight"].reshape(1, -1, 1, 1))


@pytest.mark.parametrize("stride", [1, 2])
def test_mqa_as_tutorials_write_it(tmp_path: Path, stride: int) -> None:
    block = one(tmp_path, f"shared_mqa: {{heads: 2, key_dim: 4, kv_stride: {stride}}}", 2, 8, 6, 6)
    p = below(block.p, "shared_mqa")
    key, value = conv(block.x, p, "key_value").chunk(2, 1)
    if stride > 1:
        key, value = (conv(v, p, "down.conv", 2, groups=4) for v in (key, value))
    y = attention(conv(block.x, p, "query"), key, value, 2)
    close(block.run(), block.x + F.relu6(conv(y, p, "output")))
