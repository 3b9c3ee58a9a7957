"""Operators against references that convc did not write: the papers' formulas as plain loops, onnx's evaluator, PyTorch's own."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from convc.compiler.ir import DType, TensorType
from convc.compiler.ir.text import from_text, graph, to_text
from convc.compiler.lower.to_onnx import to_onnx
from convc.compiler.lower.to_torch import to_torch
from convc.compiler.lower.writer import serialize
from tests.compiler.ops.single import Array, Single, assert_close, make


def single(name: str, *shapes: tuple[int, ...], **arguments: Any) -> Single:
    return Single(make(name, **arguments), tuple(TensorType(shape) for shape in shapes))


def held(one: Single) -> dict[str, Array]:
    """Parameters by role."""
    return {
        name.removeprefix("y."): np.asarray(param.evaluate(), np.float64) for name, param in one.model.params.items()
    }


# -- deformable convolution


def read_between(plane: Array, y: float, x: float) -> float:
    """Bilinear interpolation with zeros outside: equations 3 and 4 of Dai et al., over the four neighbours."""
    total = 0.0
    for i, j in itertools.product((int(np.floor(y)), int(np.floor(y)) + 1), (int(np.floor(x)), int(np.floor(x)) + 1)):
        if 0 <= i < plane.shape[0] and 0 <= j < plane.shape[1]:
            total += max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j)) * float(plane[i, j])
    return total


def deformable(
    x: Array,
    weight: Array,
    bias: Array,
    offsets: Array,
    mask: Array | None,
    step: int,
    pad: int,
    dilation: int,
    groups: int,
) -> Array:
    """Equation 2 of Dai et al.; with `mask`, equation 1 of Zhu et al. One offset group per half of the offsets' taps."""
    count, channels = x.shape[:2]
    out, each, height, width = weight.shape
    taps = height * width
    moved_together = channels // (offsets.shape[1] // (2 * taps))
    y = np.zeros((count, out, *offsets.shape[2:]))
    for n, o, i, j in np.ndindex(*y.shape):
        y[n, o, i, j] = bias[o]
        for c, k in itertools.product(range(each), range(taps)):
            source = o // (out // groups) * each + c
            tap = source // moved_together * taps + k
            down = i * step - pad + k // width * dilation + offsets[n, 2 * tap, i, j]
            right = j * step - pad + k % width * dilation + offsets[n, 2 * tap + 1, i, j]
            weighed = 1.0 if mask is None else mask[n, tap, i, j]
            y[n, o, i, j] += weight[o, c, k // width, k % width] * weighed * read_between(x[n, source], down, right)
    return y


@pytest.mark.parametrize("modulated", [False, True])
def test_deform_conv_is_the_papers_formula(modulated: bool) -> None:
    taps = 2 * 3
    channels = 2 * taps * (3 if modulated else 2)
    options: dict[str, Any] = {"out": 4, "kernel": (2, 3), "stride": 2, "padding": 1, "groups": 2, "offset_groups": 2}
    one = single("deform_conv", (2, 4, 6, 5), (2, channels, 4, 3), modulated=modulated, **options)
    x, offsets = one.inputs({})
    offsets *= 2
    mask = 1 / (1 + np.exp(-offsets[:, 4 * taps :].astype(np.float64))) if modulated else None
    p = held(one)
    expected = deformable(x, p["weight"], p["bias"], offsets[:, : 4 * taps], mask, 2, 1, 1, 2)
    assert_close(one.torch([x, offsets]), expected.astype(np.float32))
    for opset in (18, 20):
        assert_close(one.ort(one.session(opset), [x, offsets]), expected.astype(np.float32))


def test_deform_conv_is_onnx_s_own() -> None:
    one = single(
        "deform_conv", (2, 6, 7, 8), (2, 54, 7, 8), out=4, modulated=True, offset_groups=2, dilation=2, groups=2
    )
    arrays = one.inputs({})
    proto = onnx.load_from_string(serialize(to_onnx(one.model)))
    assert [node.op_type for node in proto.graph.node].count("DeformConv") == 1
    (expected,) = ReferenceEvaluator(proto).run(None, dict(zip(("x0", "x1"), arrays, strict=True)))
    assert_close(one.torch(arrays), np.asarray(expected, np.float32))


def test_deform_conv_below_opset_19_samples() -> None:
    proto = onnx.load_from_string(serialize(to_onnx(single("deform_conv", (1, 4, 5, 5)).model, opset=18)))
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("GridSample") == 1
    assert "DeformConv" not in kinds


def test_fresh_offsets_are_zero_and_their_weights_a_half() -> None:
    """Section 2.1 of Dai et al.: it begins as the convolution; of Zhu et al.: as half of it."""
    x = torch.from_numpy(single("conv", (1, 4, 6, 6)).inputs({})[0])
    for modulated, share in ((False, 1.0), (True, 0.5)):
        one = single("deform_conv", (1, 4, 6, 6), modulated=modulated)
        p = {role: torch.from_numpy(np.asarray(param)) for role, param in held(one).items()}
        expected = torch.nn.functional.conv2d(x.double(), p["weight"], padding=1) * share
        assert_close(one.torch([x.numpy()]), expected.numpy().astype(np.float32))


def test_the_cost_of_deform_conv_counts_both_convolutions() -> None:
    x = TensorType((1, 8, 6, 6))
    for arguments, channels in (({}, 18), ({"modulated": True}, 27), ({"offset_groups": 4}, 72)):
        op = make("deform_conv", out=4, **arguments).bind(x)
        assert op.macs(op.infer(x), x) == 36 * 9 * 8 * (4 + channels)
        assert op.params(x)["offset.weight"].shape == (channels, 8, 3, 3)


# -- quarter turns


def turned(y: Array, filters: int) -> Array:
    """A C4 value turned by a quarter: its planes turn, and its orientations move on by one."""
    planes = y.reshape(y.shape[0], filters, 4, *y.shape[2:])
    return np.roll(np.rot90(planes, 1, axes=(3, 4)), 1, axis=2).reshape(y.shape[0], -1, y.shape[3], y.shape[2])


@pytest.mark.parametrize(
    ("channels", "kind", "arguments"),
    [
        (3, "lifting", {"kernel": 3}),
        (3, "lifting", {"kernel": 4, "padding": 0}),
        (8, "group", {"kernel": 3}),
        (8, "group", {"kernel": 2, "padding": 0}),
        (8, "group", {"kernel": 3, "dilation": 2}),
    ],
)
def test_a_c4_convolution_turns_with_its_input(channels: int, kind: str, arguments: dict[str, Any]) -> None:
    one = single("c4_conv", (2, channels, 9, 9), out=5, kind=kind, **arguments)
    x = one.inputs({})[0]
    spun = turned(x, channels // 4) if kind == "group" else np.rot90(x, 1, axes=(2, 3)).copy()
    session = one.session()
    for before, after in (
        (one.torch([x]), one.torch([spun])),
        (one.ort(session, [x]), one.ort(session, [spun])),
    ):
        assert float(np.abs(after - turned(before, 5)).max()) < 1e-5
        assert float(np.abs(after - before).max()) > 1e-2


def test_a_c4_convolution_is_the_papers_formula() -> None:
    """Equations 10 and 11 of Cohen and Welling for the group of quarter turns, one turned filter at a time."""
    for kind, channels in (("lifting", 2), ("group", 8)):
        one = single("c4_conv", (1, channels, 5, 6), out=3, kind=kind)
        x = one.inputs({})[0]
        p = held(one)
        planes = [p["weight"][o] for o in range(3)]
        y = np.zeros((1, 12, 5, 6))
        for o, r in np.ndindex(3, 4):
            filter = np.rot90(planes[o], r, axes=(-2, -1))
            if kind == "group":
                filter = np.stack([filter[:, (s - r) % 4] for s in range(4)], 1).reshape(channels, 3, 3)
            weight, image = torch.from_numpy(filter[None].copy()), torch.from_numpy(x).double()
            y[:, 4 * o + r] = torch.nn.functional.conv2d(image, weight, padding=1)[:, 0].numpy() + p["bias"][o]
        assert_close(one.torch([x]), y.astype(np.float32))


def test_a_c4_pool_forgets_the_turn_and_a_c4_norm_keeps_it() -> None:
    x = single("relu", (2, 8, 6, 6)).inputs({})[0]
    for reduce in ("max", "mean"):
        pool = single("c4_pool", (2, 8, 6, 6), reduce=reduce)
        assert_close(pool.torch([turned(x, 2)]), np.rot90(pool.torch([x]), 1, axes=(2, 3)))
        assert_close(pool.torch([x]), getattr(x.reshape(2, 2, 4, 6, 6), reduce)(2))
    norm = single("c4_batch_norm", (2, 8, 6, 6))
    assert_close(norm.torch([turned(x, 2)]), turned(norm.torch([x]), 2))
    assert {role: param.shape for role, param in held(norm).items()}["weight"] == (2,)


def test_statistics_of_a_c4_norm_are_over_all_orientations() -> None:
    one = single("c4_batch_norm", (4, 8, 5, 5))
    p = {role: torch.ones(2) for role in held(one)}
    x = torch.from_numpy(one.inputs({})[0])
    one.bound.torch(torch, x, p=p, training=True)
    expected = 0.9 + 0.1 * x.reshape(4, 2, 4, 5, 5).mean(dim=(0, 2, 3, 4))
    assert torch.allclose(p["running_mean"], expected)


# -- unpooling


def unpooled(kernel: int, size: int, **arguments: Any) -> tuple[Array, Array, Array, Single]:
    """x, its pool, the pool's places, and the operator that undoes it."""
    places = single("max_pool_indices", (2, 3, size, size), kernel=kernel, **arguments)
    pool = single("max_pool", (2, 3, size, size), kernel=kernel, **arguments)
    x = places.inputs({})[0]
    y, found = pool.torch([x]), places.torch([x])
    types = (TensorType(y.shape), TensorType(y.shape, DType.int64), TensorType(x.shape))
    return x, y, found, Single(make("max_unpool", pool="pool"), types)


@pytest.mark.parametrize(("kernel", "size"), [(2, 8), (2, 7), (3, 9)])
def test_unpooling_is_pytorch_s_own(kernel: int, size: int) -> None:
    x, y, places, one = unpooled(kernel, size)
    pooled, theirs = torch.nn.functional.max_pool2d(torch.from_numpy(x), kernel, return_indices=True)
    expected = torch.nn.functional.max_unpool2d(
        pooled * 2 + 1, theirs, [kernel, kernel], output_size=[size, size]
    ).numpy()
    assert_close(one.torch([2 * y + 1, places, x]), expected)
    assert_close(one.ort(one.session(), [2 * y + 1, places, x]), expected)
    assert np.array_equal(x.reshape(-1)[places.reshape(-1)], y.reshape(-1))


def test_places_are_those_of_onnx_s_evaluator() -> None:
    for arguments in ({"kernel": 2}, {"kernel": (2, 3), "stride": 3}):
        one = single("max_pool_indices", (2, 3, 7, 9), **arguments)
        x = one.inputs({})[0]
        proto = onnx.load_from_string(serialize(to_onnx(one.model)))
        (expected,) = ReferenceEvaluator(proto).run(None, {"x0": x})
        assert np.array_equal(np.asarray(expected), one.torch([x]))


@pytest.mark.parametrize("arguments", [{"padding": 1, "stride": 3}, {"padding": (1, 0, 0, 1)}, {"ceil": True}])
def test_every_maximum_is_found_where_it_stood(arguments: dict[str, Any]) -> None:
    for kernel, size in ((2, 9), (3, 10)):
        x, y, places, _ = unpooled(kernel, size, **arguments)
        assert np.array_equal(x.reshape(-1)[places.reshape(-1)], y.reshape(-1))


def test_parameters_of_a_deform_conv_survive_a_graph_s_text_and_a_state_dict() -> None:
    model = graph(
        "input x: [N, 4, H, W]\nd = deform_conv(x, modulated=true)\ne = deform_conv(d) with offset.weight=d.own"
    )
    again = from_text(to_text(model))
    assert again.nodes["d"].params == model.graph.nodes["d"].params
    assert again.nodes["e"].params["offset.weight"] == "d.own"
    assert set(to_torch(model).state_dict()) == set(model.params) >= {"d.offset.weight", "d.offset.bias", "d.own"}
