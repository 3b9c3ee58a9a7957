"""Mistakes in what computes once, beforehand, by name, with fewer places or channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convc.compiler.ir import Op
from convc.compiler.ops.arithmetic import Sub
from convc.compiler.passes.exact.merge_equal import Twin
from tests.planted.mutant import Mutant, Swap

IMAGE = "input x: [N, 4, 9, 9]"


def equals() -> Iterator[Mutant]:
    def equal(mistake: str, name: str, swap: Swap, lines: str) -> Mutant:
        return Mutant(
            "merge_equal", mistake, f"exact.merge_equal:{name}", swap, f"{IMAGE}\n{lines}\nc = mul(a, b)", "b"
        )

    def by_operator(found: Any) -> Any:
        def match(self: Any, edit: Any, node: Any) -> Any:
            before = [edit.node(name) for name in edit.users(node.inputs[0])]
            return next((Twin(node, one) for one in before if one.name < node.name and one.op == node.op), None)

        return match

    yield equal("other weights", "MergeEqual.match", by_operator, "a = conv(x)\nb = conv(x)")
    yield equal("other statistics", "MergeEqual.match", by_operator, "a = batch_norm(x)\nb = batch_norm(x)")
    order = "p = relu(x)\na = sub(x, p)\nb = sub(p, x)"
    yield equal("any order", "_inputs", lambda f: lambda node: sorted(node.inputs), order)
    by_kind = "a = avg_pool(x, kernel=3, padding=1)\nb = avg_pool(x, kernel=3, padding=1, count_include_pad=false)"
    yield equal(
        "other arguments", "_same", lambda f: lambda edit, node, other: type(node.op) is type(other.op), by_kind
    )


def constants() -> Iterator[Mutant]:
    lines = "p = parameter(shape=[4, 1, 1])\nq = constant(value=3.0)\nb = sub(p, q)\ny = mul(x, b)"

    def constant(mistake: str, swap: Swap) -> Mutant:
        return Mutant("fold_constants", mistake, "exact.fold_constants:_COMPUTE", swap, f"{IMAGE}\n{lines}", "b")

    yield constant("a difference the other way round", lambda t: {**t, Sub: lambda op: lambda a, b: np.subtract(b, a)})
    yield constant("a sum for a difference", lambda t: {**t, Sub: lambda op: np.add})


SWISH = """c = constant(value={0})
a = add(x, c)
d = clip(a, min=0.0, max={1})
m = mul(x, d)
s = constant(value=6.0)
b = div(m, s)"""


def names() -> Iterator[Mutant]:
    def named(mistake: str, name: str, swap: Swap, lines: str, site: str = "b") -> Mutant:
        return Mutant("name_activations", mistake, f"exact.name_activations:{name}", swap, f"{IMAGE}\n{lines}", site)

    yield named("about 3", "_CLOSE", lambda f: 0.1, SWISH.format("2.9", "6.0"))
    yield named("any limit", "_limits", lambda f: lambda op: (0, 6), SWISH.format("3.0", "5.0"))


def pads() -> Iterator[Mutant]:
    def pad(mistake: str, name: str, swap: Swap, lines: str) -> Mutant:
        return Mutant("fold_pad", mistake, f"exact.fold_pad:{name}", swap, f"{IMAGE}\n{lines}", "b")

    one_end = "a = pad(x, padding=[1, 0, 0, 1])\nb = conv(a, padding=0)"

    def turned(found: Any) -> Any:
        return lambda op, rank: (found(op, rank)[rank:] + found(op, rank)[:rank]) if found(op, rank) else None

    def other_axis(found: Any) -> Any:
        def amounts(op: Any, rank: int) -> Any:
            low, high = found(op, rank)[:rank], found(op, rank)[rank:]
            return (*low[::-1], *high[::-1])

        return amounts

    yield pad("behind instead of before", "_amounts", turned, one_end)
    yield pad("the other axis", "_amounts", other_axis, one_end)
    yield pad("anything below a maximum", "_NOT_NEGATIVE", lambda f: (Op,),
              "n = neg(x)\na = pad(n, padding=1)\nb = max_pool(a, kernel=2)")  # fmt: skip
    yield pad("another reader overlooked", "why_not_alone", lambda f: lambda edit, value, reader: None,
              "a = pad(x, padding=1)\nb = conv(a, padding=0)\nc = global_max_pool(a, keepdims=true)\nd = add(b, c)")  # fmt: skip


def strides() -> Iterator[Mutant]:
    def stride(mistake: str, name: str, swap: Swap, lines: str) -> Mutant:
        return Mutant("pull_strides", mistake, f"exact.pull_strides:{name}", swap, f"{IMAGE}\n{lines}", "b")

    def padded(found: Any) -> Any:
        return lambda node: (2, 2) if node.op.name == "conv" and node.op.stride == (2, 2) else None

    def unasked(found: Any) -> Any:
        return lambda self, edit, node, value, pull, depth: self._walk(edit, value, pull, depth + 1)

    yield stride("a window that looks between", "_step", padded, "a = conv(x)\nr = relu(a)\nb = conv(r, stride=2)")
    yield stride("a window that pads", "_step", padded,
                 "a = conv(x)\nr = relu(a)\nb = conv(r, kernel=1, stride=2, padding=[1, 1, 0, 0])")  # fmt: skip
    lines = "a = conv(x)\nr = relu(a)\nb = conv(r, kernel=1, stride=2)\np = global_max_pool(a)"
    yield stride("read at all places", "PullStrides._below", unasked, f"{lines}\noutput y = b\noutput z = p")


def channels() -> Iterator[Mutant]:
    lines = "b = conv(x, out=6)\nr = relu(b)\ns = slice(r, start=1, end=4)\ny = tanh(s)"

    def dead(mistake: str, change: Any) -> Mutant:
        def swap(found: Any) -> Any:
            return lambda self, value, picks: found(self, value, change(picks))

        return Mutant("drop_dead_channels", mistake, "exact.drop_dead_channels:DropDeadChannels._read", swap,
                      f"{IMAGE}\n{lines}", "b")  # fmt: skip

    yield dead("one too few", lambda picks: picks[1:] if picks else picks)
    yield dead("the wrong ones", lambda picks: tuple(p - 1 for p in picks) if picks else picks)


def mutants() -> Iterator[Mutant]:
    for family in (equals, constants, names, pads, strides, channels):
        yield from family()
