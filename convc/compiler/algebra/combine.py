"""Sum, composition, stacking and selection of linear maps: another map, or why there is none that is exact everywhere.

    sum          taps at the same offsets add. Zeros outside are zeros to all, so any kernels over one stride fit.
    composition  offsets add: those of the second count steps of the first,  offset = first + stride of the first * second
                 exact at the border where the second pads nothing, or where the first gives 0 outside: without a bias it
                 does along an axis on which it reads each place alone
    stacking     maps of one input side by side: their outputs concatenated
    joining      the sum of maps of several inputs, as a map of these inputs concatenated
    selection    some outputs of a map

Sums of products are made without BLAS, whose order of summation differs between processors: the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import product
from math import gcd
from typing import TYPE_CHECKING, Any

from ..ir import Param, constant, once
from .linear_map import Axis, LinearMap, Why, widened

if TYPE_CHECKING:
    from numpy.typing import NDArray


def total(maps: Sequence[LinearMap]) -> LinearMap | Why:
    """The sum of maps that read one value and give maps of one size."""
    first = maps[0]
    if any(one.strides != first.strides for one in maps):
        return Why(f"their strides differ: {', '.join(_x(one.strides) for one in maps)}")
    axes = tuple(_around([one.axes[k] for one in maps]) for k in range(len(first.axes)))
    groups = reduce(gcd, (one.groups for one in maps))
    shape = (first.outputs, first.inputs // groups, *(axis.size for axis in axes))
    spots = [[_spots(axis, one.axes[k]) for k, axis in enumerate(axes)] for one in maps]
    fine = [one.groups for one in maps]

    def added(*weights: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        result = np.zeros(shape)
        for weight, places, own in zip(weights, spots, fine, strict=True):
            result[_at(places)] += widened(weight, own, groups)
        return result

    key = ("sum", axes, tuple(one.axes for one in maps), groups, tuple(fine))
    weight = once(key, shape, added, tuple(one.weight for one in maps), "sum")
    biases = [one.bias for one in maps if one.bias is not None]
    bias = reduce(lambda a, b: a + b, biases) if biases else None
    return LinearMap(axes, first.inputs, first.outputs, groups, weight, bias)


def compose(first: LinearMap, second: LinearMap) -> LinearMap | Why:
    """second(first(x)) as one map."""
    if any((b.begin or b.end) and not a.is_point for a, b in zip(first.axes, second.axes, strict=True)):
        return Why("the second pads what the first computes from more than one place: at the border that is no zero")
    if second.is_padded and first.has_bias():
        return Why("the second pads with zeros where the first would give its bias")
    axes = tuple(_chained(a, b) for a, b in zip(first.axes, second.axes, strict=True))
    groups = gcd(first.groups, second.groups)
    shape = (second.outputs, first.inputs // groups, *(axis.size for axis in axes))
    steps = [_steps(a, b, axis) for a, b, axis in zip(first.axes, second.axes, axes, strict=True)]
    fine = (first.groups, second.groups)

    def chained(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
        return _product(widened(left, fine[0], groups), widened(right, fine[1], groups), groups, shape, steps)

    key = ("composition", first.axes, second.axes, groups, fine)
    weight = once(key, shape, chained, (first.weight, second.weight), "composition")
    return LinearMap(axes, first.inputs, second.outputs, groups, weight, _carried(first, second))


def stacked(maps: Sequence[LinearMap]) -> LinearMap | Why:
    """Maps of one input as one map, whose outputs are theirs in order."""
    first = maps[0]
    if any(one.strides != first.strides for one in maps):
        return Why(f"their strides differ: {', '.join(_x(one.strides) for one in maps)}")
    if any(one.groups != 1 for one in maps):
        return Why("they have groups: their outputs would stand between each other")
    axes = tuple(_around([one.axes[k] for one in maps]) for k in range(len(first.axes)))
    outputs = sum(one.outputs for one in maps)
    shape = (outputs, first.inputs, *(axis.size for axis in axes))
    spots = [[_spots(axis, one.axes[k]) for k, axis in enumerate(axes)] for one in maps]

    def side_by_side(*weights: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        result, start = np.zeros(shape), 0
        for weight, places in zip(weights, spots, strict=True):
            rows = slice(start, start + weight.shape[0])
            result[_at(places, rows)] = weight
            start += weight.shape[0]
        return result

    key = ("stack", tuple(one.axes for one in maps))
    weight = once(key, shape, side_by_side, tuple(one.weight for one in maps), "stack")
    return LinearMap(axes, first.inputs, outputs, 1, weight, _stacked_bias(maps, outputs))


def joined(maps: Sequence[LinearMap]) -> LinearMap | Why:
    """The sum of maps that read several values of one size and give maps of one size, as one map of their concat."""
    first = maps[0]
    if any(one.strides != first.strides for one in maps):
        return Why(f"their strides differ: {', '.join(_x(one.strides) for one in maps)}")
    if any(one.groups != 1 for one in maps):
        return Why("they have groups: each output would read a part of each input, and these stand apart")
    axes = tuple(_around([one.axes[k] for one in maps]) for k in range(len(first.axes)))
    inputs = sum(one.inputs for one in maps)
    shape = (first.outputs, inputs, *(axis.size for axis in axes))
    spots = [[_spots(axis, one.axes[k]) for k, axis in enumerate(axes)] for one in maps]

    def side_by_side(*weights: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        result, start = np.zeros(shape), 0
        for weight, places in zip(weights, spots, strict=True):
            columns = slice(start, start + weight.shape[1])
            result[:, columns][_at(places)] = weight
            start += weight.shape[1]
        return result

    key = ("join", tuple(one.axes for one in maps))
    weight = once(key, shape, side_by_side, tuple(one.weight for one in maps), "join")
    biases = [one.bias for one in maps if one.bias is not None]
    bias = reduce(lambda a, b: a + b, biases) if biases else None
    return LinearMap(axes, inputs, first.outputs, 1, weight, bias)


def picked(one: LinearMap, start: int, end: int) -> LinearMap | Why:
    """Outputs start to end of a map without groups."""
    if one.groups != 1:
        return Why("it has groups, and a part of its outputs may not cut them evenly")
    shape = (end - start, *one.weight.shape[1:])
    bias = None if one.bias is None else one.bias.apply((end - start,), lambda b: b[start:end], "part", start)
    return replace(
        one, outputs=end - start, weight=one.weight.apply(shape, lambda w: w[start:end], "part", start), bias=bias
    )


def _around(axes: Sequence[Axis]) -> Axis:
    """The axis whose taps cover those of all, at the widest steps that meet every one of them."""
    lowest, highest = min(a.first for a in axes), max(a.last for a in axes)
    steps = [a.dilation for a in axes if a.size > 1] + [a.first - lowest for a in axes]
    step = reduce(gcd, steps) or 1
    # Padding is never negative, so the first tap stands at 0 or in front of it.
    lowest -= max(0, -(-lowest // step)) * step
    behind = axes[0].end + highest - axes[0].last
    return Axis((highest - lowest) // step + 1, axes[0].stride, step, -lowest, behind)


def _chained(first: Axis, second: Axis) -> Axis:
    reach = second.dilation * first.stride
    step = gcd(first.dilation if first.size > 1 else 0, reach if second.size > 1 else 0) or 1
    begin = first.begin + first.stride * second.begin
    last = first.last + first.stride * second.last
    return Axis(
        (last + begin) // step + 1, first.stride * second.stride, step, begin, first.end + first.stride * second.end
    )


def _spots(whole: Axis, part: Axis) -> list[int]:
    """At which tap of `whole` each tap of `part` lies."""
    return [(offset - whole.first) // whole.dilation for offset in part.offsets()]


def _steps(first: Axis, second: Axis, whole: Axis) -> list[list[int]]:
    """For each tap of the second, at which taps of the whole those of the first lie."""
    return [[(a + first.stride * b - whole.first) // whole.dilation for a in first.offsets()] for b in second.offsets()]


def _product(
    left: NDArray[Any], right: NDArray[Any], groups: int, shape: tuple[int, ...], steps: Sequence[list[list[int]]]
) -> NDArray[Any]:
    """sum over m of right[o, m, j] left[m, c, i], at the tap where i and j meet."""
    import numpy as np

    result = np.zeros(shape)
    out, middle = right.shape[0] // groups, left.shape[0] // groups
    for group in range(groups):
        rows = slice(group * out, (group + 1) * out)
        inner = left[group * middle : (group + 1) * middle]
        for taps in product(*(range(len(axis)) for axis in steps)):
            tap: Any = (rows, slice(None), *taps)
            part = np.einsum("om,m...->o...", right[tap], inner)
            places = [axis[tap] for axis, tap in zip(steps, taps, strict=True)]
            result[_at(places, rows)] += part
    return result


def _carried(first: LinearMap, second: LinearMap) -> Param | None:
    """The bias of the composition: what the second makes of the first's, and its own."""
    if first.bias is None:
        return second.bias
    groups, rows = second.groups, second.outputs

    def through(weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        taps = np.asarray(weight, np.float64).reshape(groups, rows // groups, weight.shape[1], -1).sum(-1)
        carried: NDArray[Any] = np.einsum("gom,gm->go", taps, np.asarray(bias, np.float64).reshape(groups, -1))
        return carried.reshape(rows)

    moved = once(("through", groups), (rows,), through, (second.weight, first.bias), "bias")
    return moved if second.bias is None else second.bias + moved


def _stacked_bias(maps: Sequence[LinearMap], outputs: int) -> Param | None:
    if all(one.bias is None for one in maps):
        return None
    parts = tuple(constant(0.0, (one.outputs,)) if one.bias is None else one.bias for one in maps)

    def joined(*biases: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        return np.concatenate([np.asarray(b, np.float64) for b in biases])

    return once("biases", (outputs,), joined, parts, "stack")


def _at(places: Sequence[list[int]], rows: slice = slice(None)) -> Any:  # a slice is a value
    """Some outputs of a weight, at these taps of each axis."""
    import numpy as np

    return (rows, slice(None), *np.ix_(*places))


def _x(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
