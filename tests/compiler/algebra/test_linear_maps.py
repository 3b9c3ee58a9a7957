"""The algebra of linear maps against torch in float64: a combination is what its parts compute one after or beside the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from convc.compiler.algebra import (
    Axis,
    LinearMap,
    Why,
    average,
    compose,
    identity,
    joined,
    per_channel,
    picked,
    scaled,
    stacked,
    total,
)
from convc.compiler.ir.param import Stored

SIZE = (11, 13)


def applied(one: LinearMap, x: Tensor) -> Tensor:
    """By torch, which pads with zeros beforehand."""
    pads = [amount for axis in reversed(one.axes) for amount in (axis.begin, axis.end)]
    weight = torch.from_numpy(one.weight.as_float64().copy())
    bias = None if one.bias is None else torch.from_numpy(one.bias.as_float64().copy())
    dilation = [axis.dilation for axis in one.axes]
    y = torch.nn.functional.pad(x, pads)
    return torch.nn.functional.conv2d(y, weight, bias, list(one.strides), 0, dilation, one.groups)


def near(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= 1e-11 * max(1.0, float(expected.abs().max()))


def axis(size: int, stride: int = 1, dilation: int = 1, begin: int = 0, end: int = 0) -> Axis:
    return Axis(size, stride, dilation, begin, end)


def drawn(rng: np.random.Generator, axes: Any, inputs: int, outputs: int, groups: int, bias: bool) -> LinearMap:
    shape = (outputs, inputs // groups, *(one.size for one in axes))
    held = Stored(rng.standard_normal(outputs)) if bias else None
    return LinearMap(tuple(axes), inputs, outputs, groups, Stored(rng.standard_normal(shape)), held)


@st.composite
def axes_of(draw: st.DrawFn, stride: int) -> Axis:
    size, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    span = (size - 1) * dilation
    # Padding so that every map of one stride gives the same size: one place for each that the stride reaches.
    begin = draw(st.integers(0, span))
    return Axis(size, stride, dilation, begin, span - begin)


@st.composite
def summands(draw: st.DrawFn) -> list[LinearMap]:
    strides = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    found = []
    for _ in range(draw(st.integers(2, 4))):
        axes = [draw(axes_of(stride)) for stride in strides]
        found.append(drawn(rng, axes, 4, 8, draw(st.sampled_from([1, 2, 4])), draw(st.booleans())))
    return found


@settings(deadline=None, max_examples=40)
@given(summands())
def test_a_sum_is_the_sum_of_what_its_terms_give(maps: list[LinearMap]) -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 4, *SIZE)))
    one = total(maps)
    assert isinstance(one, LinearMap)
    assert all(a.begin >= 0 and a.end >= 0 for a in one.axes)
    near(applied(one, x), sum((applied(m, x) for m in maps[1:]), applied(maps[0], x)))


@settings(deadline=None, max_examples=40)
@given(summands())
def test_a_stack_gives_the_outputs_side_by_side(maps: list[LinearMap]) -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 4, *SIZE)))
    one = stacked(maps)
    if any(m.groups > 1 for m in maps):
        assert isinstance(one, Why)
        assert "groups" in one.reason
        return
    assert isinstance(one, LinearMap)
    near(applied(one, x), torch.cat([applied(m, x) for m in maps], 1))


@settings(deadline=None, max_examples=40)
@given(summands())
def test_a_join_of_several_values_gives_their_sum(maps: list[LinearMap]) -> None:
    rng = np.random.default_rng(2)
    values = [torch.from_numpy(rng.standard_normal((2, 4, *SIZE))) for _ in maps]
    one = joined(maps)
    if any(m.groups > 1 for m in maps):
        assert isinstance(one, Why)
        assert "groups" in one.reason
        return
    assert isinstance(one, LinearMap)
    parts = [applied(m, x) for m, x in zip(maps, values, strict=True)]
    near(applied(one, torch.cat(values, 1)), sum(parts[1:], parts[0]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[LinearMap, LinearMap]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def one(inputs: int, outputs: int) -> LinearMap:
        axes = []
        for _ in range(2):
            size, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
            pad = draw(st.integers(0, 2))
            axes.append(Axis(size, draw(st.integers(1, 2)), dilation, pad, draw(st.integers(0, pad))))
        return drawn(rng, axes, inputs, outputs, draw(st.sampled_from([1, 2, 4])), draw(st.booleans()))

    return one(4, 8), one(8, 4)


@settings(deadline=None, max_examples=100)
@given(pairs())
def test_a_composition_is_one_behind_the_other_or_says_why_not(pair: tuple[LinearMap, LinearMap]) -> None:
    first, second = pair
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 4, 17, 19)))
    inner = applied(first, x)
    assume(
        all(n + a.begin + a.end > (a.size - 1) * a.dilation for n, a in zip(inner.shape[2:], second.axes, strict=True))
    )
    one = compose(first, second)
    if isinstance(one, LinearMap):
        near(applied(one, x), applied(second, inner))
    else:
        assert second.is_padded
        assert first.has_bias() or not first.is_pointwise


def test_padding_behind_a_wide_kernel_or_a_bias_is_refused_for_a_reason() -> None:
    """The naive composition really differs: what is refused is no composition."""
    rng = np.random.default_rng(5)
    x = torch.from_numpy(rng.standard_normal((1, 4, *SIZE)))
    padded = drawn(rng, [axis(3, begin=1, end=1)] * 2, 4, 4, 1, True)
    for first, reason in (
        (drawn(rng, [axis(1)] * 2, 4, 4, 1, True), "would give its bias"),
        (drawn(rng, [axis(3, begin=1, end=1)] * 2, 4, 4, 1, False), "at the border that is no zero"),
    ):
        answer = compose(first, padded)
        assert isinstance(answer, Why)
        assert reason in answer.reason
        unpadded = LinearMap(tuple(Axis(a.size) for a in padded.axes), 4, 4, 1, padded.weight, padded.bias)
        naive = compose(first, unpadded)
        assert isinstance(naive, LinearMap)
        wide = [Axis(a.size, 1, 1, (a.size - 1) // 2, (a.size - 1) // 2) for a in naive.axes]
        naive = LinearMap(tuple(wide), 4, 4, 1, naive.weight, naive.bias)
        difference = (applied(naive, x) - applied(padded, applied(first, x))).abs()
        assert float(difference.max()) > 1e-3
        assert float(difference[:, :, 3:-3, 3:-3].max()) < 1e-11


def test_identity_mean_affine_and_parts() -> None:
    rng = np.random.default_rng(7)
    x = torch.from_numpy(rng.standard_normal((2, 4, *SIZE)))
    near(applied(identity(4, 2), x), x)
    scale, shift = Stored(rng.standard_normal(4)), Stored(rng.standard_normal(4))
    affine = x * torch.from_numpy(scale.array)[:, None, None] + torch.from_numpy(shift.array)[:, None, None]
    near(applied(per_channel(scale, shift, 2), x), affine)
    near(applied(scaled(per_channel(scale, shift, 2), -2.0), x), -2 * affine)
    near(applied(average(4, [axis(3, 2, begin=1, end=1)] * 2), x), torch.nn.functional.avg_pool2d(x, 3, 2, 1))
    wide = drawn(rng, [axis(3)] * 2, 4, 6, 1, True)
    part = picked(wide, 2, 5)
    assert isinstance(part, LinearMap)
    near(applied(part, x), applied(wide, x)[:, 2:5])
    assert isinstance(picked(drawn(rng, [axis(3)] * 2, 4, 6, 2, True), 2, 5), Why)


@pytest.mark.parametrize("combine", [total, stacked, joined])
def test_maps_of_different_strides_do_not_combine(combine: Any) -> None:
    rng = np.random.default_rng(0)
    maps = [drawn(rng, [axis(1, stride)] * 2, 4, 4, 1, False) for stride in (1, 2)]
    answer = combine(maps)
    assert isinstance(answer, Why)
    assert "strides differ: 1x1, 2x2" in answer.reason
