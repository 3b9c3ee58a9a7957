"""Shape rules and padding arithmetic of windows, against PyTorch and ONNX Runtime over random configurations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

from convc.compiler.errors import ShapeError
from convc.compiler.ir import Op, TensorType
from convc.compiler.ops.padding import same_total
from tests.compiler.ops.single import H, Single, W, assert_close, make

MANY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def sizes(low: int, high: int, rank: int) -> SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(low, high)] * rank)


@composite
def windows(draw: DrawFn, dilated: bool = True) -> dict[str, Any]:
    """Spatial sizes and the arguments of a window over them, each axis its own."""
    rank = draw(st.integers(1, 3))
    return {
        "spatial": draw(sizes(1, 12, rank)),
        "kernel": draw(sizes(1, 4, rank)),
        "stride": draw(sizes(1, 4, rank)),
        "dilation": draw(sizes(1, 3, rank)) if dilated else (1,) * rank,
        "begins": draw(sizes(0, 3, rank)),
        "ends": draw(sizes(0, 3, rank)),
    }


def two_forms(op: Op, channels: int, spatial: tuple[int, ...]) -> tuple[Single, Single | None]:
    """The operator at these sizes, and over dynamic height and width."""
    static = Single(op, (TensorType((2, channels, *spatial)),))
    symbols = (H, W)[: len(spatial)] if len(spatial) < 3 else None
    return static, Single(op, (TensorType((2, channels, *symbols)),)) if symbols else None


def inferred(op: Op, spatial: tuple[int, ...]) -> TensorType | None:
    """The output's type, or None where the operator says that it would be empty."""
    try:
        return Single(op, (TensorType((2, 4, *spatial)),)).type
    except ShapeError as error:
        if "would be empty" not in error.message:
            raise
        return None


def agree(op: Op, channels: int, spatial: tuple[int, ...]) -> None:
    """Inference, torch and ORT agree; statically and dynamically."""
    for single in two_forms(op, channels, spatial):
        if single is None:
            continue
        at = dict(zip("HW", spatial, strict=False))
        arrays = single.inputs(at)
        expected = single.torch(arrays)
        assert expected.shape == single.type.at(at)
        assert_close(single.ort(single.session(), arrays), expected)


@MANY
@given(windows(), st.sampled_from([1, 2]))
def test_conv(w: dict[str, Any], groups: int) -> None:
    arguments = {k: w[k] for k in ("kernel", "stride", "dilation")}
    op = make("conv", **arguments, padding=w["begins"] + w["ends"], groups=groups)
    if inferred(op, w["spatial"]) is not None:
        agree(op, 4, w["spatial"])
        return
    fits = [s + b + e >= d * (k - 1) + 1 for s, b, e, d, k in zip(*(w[n] for n in NAMES), strict=True)]
    assert not all(fits)


NAMES = ("spatial", "begins", "ends", "dilation", "kernel")


@MANY
@given(windows(), st.sampled_from(["same_upper", "same_lower", "half"]))
def test_conv_words(w: dict[str, Any], word: str) -> None:
    op = make("conv", kernel=w["kernel"], stride=w["stride"], dilation=w["dilation"], padding=word)
    if word != "half":
        expected = tuple(-(-size // stride) for size, stride in zip(w["spatial"], w["stride"], strict=True))
        assert Single(op, (TensorType((2, 4, *w["spatial"])),)).type.spatial == expected
    else:
        assume(all(s >= k * d for s, k, d in zip(w["spatial"], w["kernel"], w["dilation"], strict=True)))
    agree(op, 4, w["spatial"])


@MANY
@given(windows(), st.data())
def test_conv_transpose(w: dict[str, Any], data: st.DataObject) -> None:
    more = tuple(data.draw(st.integers(0, stride - 1)) for stride in w["stride"])
    symmetric = data.draw(st.booleans())
    pads = w["begins"] + (w["begins"] if symmetric else w["ends"])
    arguments = {k: w[k] for k in ("kernel", "stride", "dilation")}
    op = make("conv_transpose", **arguments, padding=pads, output_padding=more, out=3)
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(*(w[n] for n in FULL), strict=True)]
    rank = len(full)
    sizes = tuple(full[i] + more[i] - pads[i] - pads[i + rank] for i in range(rank))
    if (size := inferred(op, w["spatial"])) is None:
        assert min(sizes) < 1
        return
    assert size.spatial == sizes
    agree(op, 4, w["spatial"])


FULL = ("spatial", "stride", "dilation", "kernel")


@MANY
@given(windows(), st.booleans(), st.booleans())
def test_max_pool(w: dict[str, Any], ceil: bool, symmetric: bool) -> None:
    extents = [d * (k - 1) + 1 for d, k in zip(w["dilation"], w["kernel"], strict=True)]
    begins = tuple(min(p, e // 2) for p, e in zip(w["begins"], extents, strict=True))
    ends = begins if symmetric else tuple(min(p, e // 2) for p, e in zip(w["ends"], extents, strict=True))
    assume(all(size >= d for size, d in zip(w["spatial"], w["dilation"], strict=True)))
    arguments = {k: w[k] for k in ("kernel", "stride", "dilation")}
    op = make("max_pool", **arguments, padding=begins + ends, ceil=ceil)
    _agree_unless_empty(op, w)


@MANY
@given(windows(dilated=False), st.booleans(), st.booleans(), st.booleans())
def test_avg_pool(w: dict[str, Any], ceil: bool, counted: bool, symmetric: bool) -> None:
    begins = tuple(min(p, k // 2) for p, k in zip(w["begins"], w["kernel"], strict=True))
    ends = begins if symmetric else tuple(min(p, k // 2) for p, k in zip(w["ends"], w["kernel"], strict=True))
    arguments = {k: w[k] for k in ("kernel", "stride")}
    op = make("avg_pool", **arguments, padding=begins + ends, ceil=ceil, count_include_pad=counted)
    _agree_unless_empty(op, w)


@MANY
@given(windows(dilated=False), st.booleans(), st.booleans(), st.sampled_from(["max", "avg"]))
def test_pool_words(w: dict[str, Any], ceil: bool, upper: bool, kind: str) -> None:
    word = "same_upper" if upper else "same_lower"
    more = {"count_include_pad": ceil} if kind == "avg" else {}
    op = make(f"{kind}_pool", kernel=w["kernel"], stride=w["stride"], padding=word, ceil=ceil, **more)
    expected = tuple(-(-size // stride) for size, stride in zip(w["spatial"], w["stride"], strict=True))
    assert Single(op, (TensorType((2, 4, *w["spatial"])),)).type.spatial == expected
    agree(op, 4, w["spatial"])


def _agree_unless_empty(op: Op, w: dict[str, Any]) -> None:
    if inferred(op, w["spatial"]) is not None:
        agree(op, 4, w["spatial"])


@MANY
@given(windows(dilated=False), st.booleans())
def test_symmetric_pools_have_pytorchs_own_size(w: dict[str, Any], ceil: bool) -> None:
    """Against torch.nn.functional itself, not through our lowering."""
    rank = len(w["spatial"])
    pads = tuple(min(p, k // 2) for p, k in zip(w["begins"], w["kernel"], strict=True))
    op = make("max_pool", kernel=w["kernel"], stride=w["stride"], padding=pads, ceil=ceil)
    x = torch.zeros(1, 1, *w["spatial"])
    pool = getattr(torch.nn.functional, f"max_pool{rank}d")
    try:
        expected = tuple(pool(x, w["kernel"], w["stride"], pads, 1, ceil).shape)
    except RuntimeError:
        with pytest.raises(ShapeError, match="would be empty"):
            Single(op, (TensorType((1, 1, *w["spatial"])),)).type  # noqa: B018
        return
    assert Single(op, (TensorType((1, 1, *w["spatial"])),)).type.shape == expected


@MANY
@given(st.integers(1, 3).flatmap(lambda rank: st.tuples(sizes(1, 12, rank), sizes(1, 9, rank))), st.booleans())
def test_adaptive_pools(both: tuple[tuple[int, ...], tuple[int, ...]], maximum: bool) -> None:
    spatial, size = both
    op = make("adaptive_max_pool" if maximum else "adaptive_avg_pool", size=size)
    single = Single(op, (TensorType((2, 3, *spatial)),))
    arrays = single.inputs({})
    expected = single.torch(arrays)
    assert expected.shape == single.type.shape == (2, 3, *size)
    assert_close(single.ort(single.session(), arrays), expected)


@MANY
@given(st.integers(1, 60), st.integers(1, 6), st.integers(1, 20))
def test_same_padding_is_the_least_that_reaches_the_size(size: int, stride: int, span: int) -> None:
    total = same_total(size, stride, span)
    count = -(-size // stride)
    assert total is not None
    assert (size + total - span) // stride + 1 == count
    assert total == 0 or (size + total - 1 - span) // stride + 1 < count
