"""Mistakes in what moves, orders, pads and swaps channels and layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from convc.compiler.ops.shape import Slice
from tests.planted.mutant import Mutant, Swap

IMAGE = "input x: [N, 6, 9, 9]"


def picks() -> Iterator[Mutant]:
    def pick(mistake: str, name: str, swap: Swap, lines: str, site: str = "b") -> Mutant:
        return Mutant("merge_picks", mistake, f"exact.merge_picks:{name}", swap, f"{IMAGE}\nr = relu(x)\n{lines}", site)

    two = "a = channel_shuffle(r, groups=2)\nb = gather(a, indices=[5, 3, 1, 0])\nc = relu(b)"
    yield pick("composed backwards", "MergePicks.match", _indices(lambda found: found[::-1]), two)
    yield pick("one place further", "MergePicks.match", _indices(lambda found: (*found[1:], found[0])), two)
    rows = "a = slice(r, start=1)\nb = slice(a, start=1, end=3)\nc = relu(b)"
    yield pick("slice one place early", "_op", lambda f: lambda at: Slice(axis=1, start=at[0] - 1, end=at[-1]), rows)
    yield pick("any order is none", "_is_all", lambda f: lambda edit, value, at: len(at) == 6,
               "a = channel_shuffle(r, groups=2)\nc = relu(a)", "a")  # fmt: skip


def _indices(change: Any) -> Swap:
    def swap(found: Any) -> Any:
        def match(self: Any, edit: Any, node: Any) -> Any:
            answer = found(self, edit, node)
            return replace(answer, indices=tuple(change(answer.indices))) if hasattr(answer, "indices") else answer

        return match

    return swap


SHUFFLED = f"{IMAGE}\nc = conv(x, out=6)\nn = batch_norm(c)\nb = channel_shuffle(n, groups=2)\nd = conv(b, out=6)"


def _taken(axis: int | None, vectors: bool | None = None) -> Swap:
    """taken(...) that leaves some parameters as they were."""

    def swap(found: Any) -> Any:
        def taken(param: Any, along: int, source: Any, fill: float = 0.0) -> Any:
            stale = along == axis if vectors is None else along == 0 and (len(param.shape) == 1) == vectors
            return param if stale and len(source) == param.shape[along] else found(param, along, source, fill)

        return taken

    return swap


def _inverse(layout: Any) -> Any:
    return tuple(layout.index(i) for i in range(len(layout)))


def _layout(change: Any) -> Swap:
    def swap(found: Any) -> Any:
        def match(self: Any, edit: Any, node: Any) -> Any:
            answer = found(self, edit, node)
            return replace(answer, layout=change(answer.layout)) if hasattr(answer, "layout") else answer

        return match

    return swap


def shuffles() -> Iterator[Mutant]:
    def shuffle(mistake: str, place: str, swap: Swap, text: str = SHUFFLED) -> Mutant:
        return Mutant("fold_shuffle", mistake, place, swap, text, "b")

    yield shuffle("the inverse order", "exact.fold_shuffle:FoldShuffle.match", _layout(_inverse))
    yield shuffle("no order", "exact.fold_shuffle:FoldShuffle.match", _layout(lambda at: tuple(range(len(at)))))
    yield shuffle("columns forgotten", "layouts:taken", _taken(1))
    yield shuffle("moved from where they are", "layouts:_moves", lambda f: lambda before, after: f(after, before))
    # Behind the shuffle an output, so that what writes it follows instead.
    writes = SHUFFLED.replace("d = conv(b, out=6)", "d = lrn(b, size=3)")
    yield shuffle("rows forgotten", "layouts:taken", _taken(0, vectors=False), writes)
    yield shuffle("biases and statistics forgotten", "layouts:taken", _taken(0, vectors=True), writes)


def swaps() -> Iterator[Mutant]:
    def narrow(mistake: str, name: str, swap: Swap, lines: str, site: str = "b") -> Mutant:
        return Mutant("narrow_pointwise", mistake, f"exact.narrow_pointwise:{name}", swap, f"{IMAGE}\n{lines}", site)

    pooled = "a = conv(x, out=8, kernel=1)\nb = avg_pool(a, kernel=3, stride=2, padding=1)"
    yield narrow("padding that counts", "_counts_padding", lambda f: lambda op: False, pooled)
    padded = "a = conv(x, out=8, kernel=1, padding=1)\nb = avg_pool(a, kernel=3, stride=3)\nc = relu(b)"
    yield narrow("a 1x1 that pads", "is_pointwise", lambda f: lambda op: op.name == "conv", padded)
    wide = "a = conv(x, out=8, kernel=3)\nb = avg_pool(a, kernel=2, padding=1, count_include_pad=false)\nc = relu(b)"
    yield narrow("any conv", "is_pointwise", lambda f: lambda op: op.name == "conv", wide)
    read = (
        "a = conv(x, out=8, kernel=1)\nb = avg_pool(a, kernel=2)\nd = global_max_pool(a, keepdims=true)\ne = add(b, d)"
    )
    yield narrow("another reader overlooked", "why_not_alone", lambda f: lambda edit, value, reader: None, read)
    enlarged = "a = resize(x, scale=2)\nb = conv(a, out=6, kernel=3)"
    yield narrow("any conv before an enlargement", "is_pointwise", lambda f: lambda op: op.name == "conv", enlarged)


def concats() -> Iterator[Mutant]:
    def late(mistake: str, name: str, swap: Swap, lines: str = "") -> Mutant:
        text = f"{IMAGE}\np = relu(x)\nq = sigmoid(x)\nk = concat(p, q)\n"
        return Mutant("late_concat", mistake, f"exact.late_concat:{name}", swap, text + (lines or DEPTH), "b")

    yield late(
        "every part from channel 0", "taken", lambda f: lambda p, axis, rows: f(p, axis, tuple(range(len(rows))))
    )
    yield late("joined the other way round", "LateConcat.rewrite", _reversed)
    yield late(
        "sums of what does not meet", "LateConcat.rewrite", _reversed, "m = concat(p, q)\nb = add(k, m)\nc = relu(b)"
    )


DEPTH = "b = conv(k, groups=12, stride=2)\nc = relu(b)"


def _reversed(found: Any) -> Any:
    def rewrite(self: Any, edit: Any, match: Any) -> None:
        concat = replace(match.concat, inputs=match.concat.inputs[::-1])
        found(self, edit, replace(match, concat=concat))

    return rewrite


TURNED = f"""{IMAGE}
t = transpose(x, perm=[0, 2, 3, 1])
n = layer_norm(t, axis=last)
l = linear(n)
b = transpose(l, perm=[0, 3, 1, 2])
r = relu(b)"""


def turns() -> Iterator[Mutant]:
    def first(mistake: str, name: str, swap: Swap, text: str = TURNED, site: str = "b") -> Mutant:
        return Mutant("channels_first", mistake, f"layout.channels_first:{name}", swap, text, site)

    yield first("bias left behind", "_channels_second", _without_bias, site="l")
    yield first("any turn back", "_turns_back", lambda f: lambda op, rank: op.name == "transpose" and op.perm[0] == 0,
                TURNED.replace("perm=[0, 3, 1, 2]", "perm=[0, 3, 2, 1]"))  # fmt: skip
    yield first("a norm over a row", "_channels_second", _norm_kept, site="n")
    yield first("softmax follows", "_follows", lambda f: lambda op: True, TURNED.replace("linear(n)", "softmax(n)"))
    yield first("prelu follows", "_follows", lambda f: lambda op: True,
                TURNED.replace("linear(n)", "prelu(n)").replace("[N, 6, 9, 9]", "[N, 9, 9, 9]"))  # fmt: skip


def _without_bias(found: Any) -> Any:
    def second(op: Any, x: Any) -> Any:
        made = found(op, x)
        return replace(made, bias=False) if op.name == "linear" else made

    return second


def _norm_kept(found: Any) -> Any:
    return lambda op, x: op if op.name == "layer_norm" else found(op, x)


ALIGNED = f"{IMAGE}\na = conv(x, out=20)\nn = relu(a)\np = avg_pool(n, kernel=2)\nd = conv(p, out=5)"


def paddings() -> Iterator[Mutant]:
    def align(mistake: str, place: str, swap: Swap) -> Mutant:
        return Mutant("align_channels", mistake, place, swap, ALIGNED, "p")

    yield align("ones instead of zeros", "layouts:taken", lambda f: lambda p, axis, at, fill=0.0: f(p, axis, at, 1.0))
    yield align("a channel twice", "layout.align_channels:_grown", _twice)
    yield align("a channel lost", "layout.align_channels:_grown", _lost)


def _twice(found: Any) -> Any:
    """Channel 0 twice, channel 1 nowhere."""
    return lambda segments: {s: tuple(0 if c == 1 else c for c in at) for s, at in found(segments).items()}


def _lost(found: Any) -> Any:
    return lambda segments: {s: (-1, *at[1:]) for s, at in found(segments).items()}


def mutants() -> Iterator[Mutant]:
    for family in (picks, shuffles, swaps, concats, turns, paddings):
        yield from family()
