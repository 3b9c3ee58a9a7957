"""Mistakes in the algebra of linear maps and in the passes that are written on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from convc.compiler.algebra import Axis, LinearMap

from .mutant import Mutant

IMAGE = "input x: [N, 4, 9, 8]"
BRANCHES = f"{IMAGE}\na = conv(x)\nb = conv(x, kernel=1)\nc = batch_norm(x)\ny = add(a, b, c)"
GROUPED = f"{IMAGE}\na = conv(x, groups=2)\nb = conv(x, kernel=1, groups=4)\ny = add(a, b)"
HOLES = f"{IMAGE}\na = conv(x, dilation=2)\nb = conv(x, kernel=1)\ny = add(a, b)"
SMALL_FIRST = f"{IMAGE}\na = conv(x, kernel=1)\nb = conv(x)\ny = add(a, b)"
POINT = f"{IMAGE}\na = conv(x, kernel=1, bias=false)\nb = conv(a)"
DENSE = f"{IMAGE}\na = conv(x, stride=2)\nb = conv(a, kernel=1)"
NESTED = f"{IMAGE}\na = conv(x)\ns = relu(x)\nb = conv(x, kernel=1)\nt = tanh(x)\np = add(a, s)\nq = sub(t, b)\ny = sub(p, q)"
JOINED = f"{IMAGE}\na = conv(x)\nb = conv(x, kernel=1, out=5)\ny = concat(a, b)"
COMBINE = "convc.compiler.algebra.combine"
MAPS = "convc.compiler.algebra.linear_map"


def linear() -> Iterator[Mutant]:
    yield _merge("taps in a corner", f"{COMBINE}:_spots", lambda f: lambda whole, part: list(range(part.size)))
    yield _merge("dilation of the frame forgotten", f"{COMBINE}:_around", _one_step, HOLES)
    yield _merge("padding of the first branch kept", f"{COMBINE}:_around", _own_padding, SMALL_FIRST)
    yield _merge("groups side by side", f"{MAPS}:widened", _first_group, GROUPED, f"{COMBINE}:widened")
    yield _merge("shift of the norm forgotten", "linear:shift_of", lambda f: lambda bias, norm, scale: scale * 0)
    yield _merge("eps forgotten", "linear:scale_of", lambda f: lambda norm, eps: f(norm, 0.1))
    yield _merge("identity of two", "linear:identity", _doubled, f"{IMAGE}\na = conv(x)\ny = add(a, x)")
    yield _merge("a difference added", "exact.merge_branches:scaled", lambda f: lambda one, factor: one,
                 f"{IMAGE}\na = conv(x)\nb = conv(x, kernel=1)\ny = sub(a, b)")  # fmt: skip
    yield _merge("mean by a wrong count", "linear:average", lambda f: lambda c, axes: _times(f(c, axes), 0.5),
                 f"{IMAGE}\na = conv(x)\nb = avg_pool(x, kernel=3, stride=1, padding=1)\ny = add(a, b)")  # fmt: skip
    yield _merge("a sign of an inner sum lost", "exact.merge_branches:flattened", _all_positive, NESTED)
    yield _merge("a stranger forgotten", "exact.merge_branches:rebuilt", _without_strangers, NESTED)
    yield _fuse("bias not carried", f"{COMBINE}:_carried", lambda f: lambda a, b: b.bias, DENSE)
    yield _fuse("kernels not turned", f"{COMBINE}:_product", _swapped, POINT)
    yield _fuse("border overlooked", "exact.fuse_pointwise:compose", _no_border, POINT.replace(", bias=false", ""))
    yield _fuse("taps the other way round", f"{COMBINE}:_steps", lambda f: lambda *axes: f(*axes)[::-1], POINT)
    yield _sibling("order turned", f"{COMBINE}:stacked", lambda f: lambda maps: f(maps[::-1]))
    yield _sibling("biases left out", f"{COMBINE}:_stacked_bias", lambda f: lambda maps, n: f(maps, n) * 0.0, JOINED,
                   f"{COMBINE}:_stacked_bias")  # fmt: skip


def joins() -> Iterator[Mutant]:
    yield _join("inputs the other way round", "exact.join_summands:joined", lambda f: lambda maps: f(maps[::-1]))
    yield _join("the second bias left out", "exact.join_summands:joined",
                lambda f: lambda maps: f([maps[0], *(replace(one, bias=None) for one in maps[1:])]))  # fmt: skip
    yield _join("a difference added", "exact.join_summands:scaled", lambda f: lambda one, factor: one)
    yield _join("taps in a corner", f"{COMBINE}:_spots", lambda f: lambda whole, part: list(range(part.size)))
    yield _join("a concat in part", "exact.join_summands:_parts",
                lambda f: lambda edit, convs: (f(edit, convs)[0][::-1], f(edit, convs)[1]))  # fmt: skip

    before = f"{IMAGE}\nz = relu(x)\nc = concat(x, z, x)\ny = conv(c, out=4)"
    for mistake, swap in (
        ("the last counts", lambda f: lambda w, at: f(w, (*[-1] * 4, *at[4:]))),
        ("zeros at the wrong end", lambda f: lambda w, at: f(w, at[::-1])),
    ):
        yield Mutant("merge_repeats", mistake, "exact.merge_repeats:_added", swap, before, "y")

    parts = f"{IMAGE}\na = conv(x)\nr = tanh(x)\nc = concat(a, r)\ny = batch_norm(c)"
    for mistake, place, swap in (
        ("the part of another", "exact.fold_affine_back:in_parts", _other_part),
        ("no part for the rest", "exact.fold_affine_back:in_parts", _no_rest),
        ("shift of the part forgotten", "exact.fold_affine_back:mapped", _no_shift),
    ):
        yield Mutant("fold_affine_back", mistake, place, swap, parts, "y")


def _other_part(found: Any) -> Any:
    def in_parts(*where: Any) -> Any:
        if (split := found(*where)) is None:
            return None
        (value, part), (_, taken) = split.rest[0], split.plan.taken[0]
        split.plan.taken[0] = (split.plan.taken[0][0], part)
        return replace(split, rest=((value, taken),))

    return in_parts


def _no_rest(found: Any) -> Any:
    return lambda *where: replace(found(*where), rest=())


def _no_shift(found: Any) -> Any:
    def mapped(edit: Any, name: str, value: str, one: Any, like: Any) -> Any:
        node, held = found(edit, name, value, one, like)
        return node, {**held, "bias": held["bias"] * 0.0}

    return mapped


def _join(mistake: str, place: str, swap: Any) -> Mutant:
    before = "\nz = relu(x)\nc = concat(x, z)\nd = tanh(x)\na = conv(c, out=4)\nb = conv(d, kernel=1)\ny = sub(a, b)"
    return Mutant("join_summands", mistake, place, swap, IMAGE + before, "y")


def _merge(mistake: str, place: str, swap: Any, before: str = BRANCHES, at: str = "") -> Mutant:
    return Mutant("merge_branches", mistake, at or place, swap, before, "y")


def _fuse(mistake: str, place: str, swap: Any, before: str) -> Mutant:
    return Mutant("fuse_pointwise", mistake, place, swap, before, "b")


def _sibling(mistake: str, place: str, swap: Any, before: str = JOINED, at: str = "") -> Mutant:
    there = at or place.replace(f"{COMBINE}:stacked", "exact.merge_siblings:stacked")
    return Mutant("merge_siblings", mistake, there, swap, before, "y")


def _one_step(found: Any) -> Any:
    def around(axes: Any) -> Axis:
        axis: Axis = found(axes)
        return replace(axis, begin=axis.begin // axis.dilation, end=axis.end // axis.dilation, dilation=1)

    return around


def _own_padding(found: Any) -> Any:
    def around(axes: Any) -> Axis:
        axis: Axis = found(axes)
        shift = axis.begin - axes[0].begin
        return replace(axis, begin=axis.begin - shift, end=axis.end + shift)

    return around


def _first_group(found: Any) -> Any:
    def widened(weight: Any, groups: int, wanted: int) -> Any:
        import numpy as np

        right = found(weight, groups, wanted)
        return right if groups == wanted else np.flip(right, 1)

    return widened


def _doubled(found: Any) -> Any:
    return lambda channels, rank: _times(found(channels, rank), 2.0)


def _all_positive(found: Any) -> Any:
    def flattened(edit: Any, root: Any) -> Any:
        tree = found(edit, root)
        return replace(tree, terms=tuple(term._replace(positive=True) for term in tree.terms))

    return flattened


def _without_strangers(found: Any) -> Any:
    def rebuilt(edit: Any, tree: Any, became: Any, types: Any) -> Any:
        return found(edit, tree, {**became, 1: None}, types)

    return rebuilt


def _times(one: LinearMap, factor: float) -> LinearMap:
    return replace(one, weight=one.weight * factor)


def _swapped(found: Any) -> Any:
    def product(left: Any, right: Any, *rest: Any) -> Any:
        return found(left.swapaxes(0, 1), right, *rest)

    return product


def _no_border(found: Any) -> Any:
    def compose(first: LinearMap, second: LinearMap) -> Any:
        bare = found(replace(first, bias=None), second)
        return replace(bare, bias=found(first, replace(second, axes=_unpadded(second))).bias)

    return compose


def _unpadded(one: LinearMap) -> tuple[Axis, ...]:
    return tuple(replace(axis, begin=0, end=0) for axis in one.axes)
