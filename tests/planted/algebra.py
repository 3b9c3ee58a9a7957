"""Mistakes in the algebra, and in the passes that write on it: sums, compositions, stacks, where a kernel lies in another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.planted.mutant import Mutant, Swap

IMAGE = "input x: [N, 4, 9, 9]"
COMBINE = "convc.compiler.algebra.combine"
PAIR = f"{IMAGE}\na = conv(x)\nc = conv(x, kernel=1)\nb = add(a, c)\nr = relu(b)"
CHAIN = f"{IMAGE}\na = conv(x, out=3, kernel=1)\nb = conv(a, out=5, padding=0)\nr = relu(b)"


def _further(found: Any) -> Any:
    """Each tap one place further, where there is room."""

    def spots(whole: Any, part: Any) -> Any:
        places = found(whole, part)
        return [place + 1 for place in places] if places[-1] + 1 < whole.size else places

    return spots


def _first_tap(found: Any) -> Any:
    return lambda whole, part: list(range(part.size))


def sums() -> Iterator[Mutant]:
    def wrong(mistake: str, name: str, swap: Swap, text: str = PAIR) -> Mutant:
        return Mutant("merge_branches", mistake, f"{COMBINE}:{name}", swap, text, "b")

    yield wrong("a kernel one place off", "_spots", _further)
    yield wrong("a kernel in the corner", "_spots", _first_tap)
    grouped = PAIR.replace("conv(x, kernel=1)", "conv(x, kernel=1, groups=2)")
    yield wrong("groups at the first inputs", "widened", _first_inputs, grouped)


def _first_inputs(found: Any) -> Any:
    """Every group reads the first inputs."""

    def widened(weight: Any, groups: int, wanted: int) -> Any:
        import numpy as np

        wide = found(weight, groups, wanted)
        if groups == wanted:
            return wide
        result = np.zeros(wide.shape)
        result[:, : weight.shape[1]] = weight
        return result

    return widened


def chains() -> Iterator[Mutant]:
    def wrong(mistake: str, name: str, swap: Swap, text: str = CHAIN) -> Mutant:
        return Mutant("fuse_pointwise", mistake, f"{COMBINE}:{name}", swap, text, "b")

    yield wrong("the first's bias forgotten", "_carried", lambda f: lambda first, second: second.bias)
    yield wrong("the second's bias forgotten", "_carried", _second_forgotten)
    yield wrong("factors the other way round", "_product", _transposed)


def _second_forgotten(found: Any) -> Any:
    return lambda first, second: found(first, replace(second, bias=None))


def _transposed(found: Any) -> Any:
    def chained(left: Any, right: Any, *rest: Any) -> Any:
        return found(left[::-1], right, *rest)

    return chained


def stacks() -> Iterator[Mutant]:
    text = f"{IMAGE}\nb = conv(x, out=3)\nc = conv(x, out=5)\nd = relu(b)\ne = tanh(c)\noutput d = d\noutput e = e"

    def wrong(mistake: str, name: str, swap: Swap) -> Mutant:
        return Mutant("merge_siblings", mistake, f"{COMBINE}:{name}", swap, text, "b")

    yield wrong("biases the other way round", "_stacked_bias", lambda f: lambda maps, out: f(maps[::-1], out))
    yield wrong("no bias", "_stacked_bias", lambda f: lambda maps, out: f(maps, out) * 0.0)


def mutants() -> Iterator[Mutant]:
    for family in (sums, chains, stacks):
        yield from family()
