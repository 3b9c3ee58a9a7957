"""Run convolutions that read one value as one, their outputs side by side.

    concat(conv_a(x), conv_b(x))  =  conv_ab(x)                         weights stacked
    f(conv_a(x)), g(conv_b(x))    =  f(part a), g(part b) of conv_ab(x)

Joined in a concat nothing is left to cut, and it pays wherever the kernels are of one size. Otherwise parts are cut out again,
which copies: on most runtimes that costs more than a second convolution (Inception's 1x1 reductions).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ...algebra import LinearMap, Why, stacked
from ...ir import Editor, Node
from ...ops.conv import Conv
from ...ops.join import Concat
from ...ops.shape import Slice
from ..forms import fresh, planned, why_not_alone
from ..linear import become, linear_map
from ..rewrite import Match, Miss, Rewrite
from ..worth import price

_CHANNELS = 1
# Of more readers than these nobody looks for siblings: asking all of them each time would cost n^2.
_MOST = 32
# Where a row does not pay as a whole, parts of it up to this long are tried.
_LONGEST = 8


@dataclass(frozen=True)
class Joined(Match):
    """`node`, the concat or the first sibling; the siblings in order; what they are together; the parts cut out, if any, and
    the seconds that it saves."""

    siblings: tuple[Node, ...]
    map: LinearMap
    conv: Node
    parts: tuple[Node, ...] = ()
    gain: float = 0.0


class MergeSiblings(Rewrite[Joined], name="merge_siblings", root=(Concat, Conv)):
    """Merge convolutions of one value into one, for a concat or with its outputs cut apart."""

    exact_when = "they read one value with one stride, without groups, and give maps of one size"
    worth_when = "the cost model says so: for a concat nearly always, cut apart seldom, as a cut copies"

    def match(self, edit: Editor, node: Node) -> Joined | Miss | None:
        if node.train_only:
            return None
        if isinstance(node.op, Concat):
            return self._in_a_row(edit, node) if node.op.axis == _CHANNELS else None
        return self._apart(edit, node)

    def _in_a_row(self, edit: Editor, node: Node) -> Joined | Miss | None:
        """The first siblings that stand next to each other in the concat: all of a row, or the part of it that saves most."""
        answer: Miss | None = None
        start = 0
        while start < len(node.inputs):
            row = self._row(edit, node, start)
            if len(row) > 1:
                found = self._best(edit, node, row)
                if isinstance(found, Joined):
                    return found
                answer = answer or found
            start += max(1, len(row))
        return answer or _why_no_row(edit, node)

    def _row(self, edit: Editor, node: Node, start: int) -> list[Node]:
        row: list[Node] = []
        for value in node.inputs[start:]:
            conv = edit.node(value)
            if conv is None or _why_not_joined(edit, node, conv) is not None:
                break
            if row and (conv.inputs != row[0].inputs or not _alike(conv, row[0])):
                break
            row.append(conv)
        return row

    def _best(self, edit: Editor, node: Node, row: list[Node]) -> Joined | Miss:
        whole = self._judged(edit, node, row, cut=False)
        if isinstance(whole, Joined) or len(row) == 2:
            return whole
        best: Joined | None = None
        for start in range(len(row) - 1):
            for end in range(start + 2, min(len(row), start + _LONGEST) + 1):
                part = self._judged(edit, node, row[start:end], cut=False)
                if isinstance(part, Joined) and (best is None or self._better(part, best)):
                    best = part
        return best or whole

    def _better(self, one: Joined, other: Joined) -> bool:
        return one.gain > other.gain if self.worth.enabled else len(one.siblings) > len(other.siblings)

    def _apart(self, edit: Editor, node: Node) -> Joined | Miss | None:
        """All siblings of the same window that are no outputs; asked at the first of them alone."""
        if not _plain(node):
            return None
        found = _siblings(edit, node)
        if (first := next(found, None)) is None or first.name != node.name:
            return None
        every = [node, *found]
        siblings = [sibling for sibling in every if not edit.is_output(sibling.name)]
        if len(siblings) < 2:
            shown = next((s.name for s in every if edit.is_output(s.name)), "")
            return Miss(f"its sibling {shown!r} is an output of the network") if len(every) > 1 else None
        if len({edit.users(s.name) for s in siblings}) == 1 and isinstance(_reader(edit, siblings[0]).op, Concat):
            return None  # the concat is asked itself
        # All or none: of Inception's reductions the narrow ones alone, measured, are no faster as one with two cuts.
        return self._judged(edit, node, siblings, cut=True)

    def _judged(self, edit: Editor, node: Node, siblings: list[Node], cut: bool) -> Joined | Miss:
        maps = [linear_map(edit, sibling) for sibling in siblings]
        linear = [one for one in maps if isinstance(one, LinearMap)]
        what = ", ".join(repr(sibling.name) for sibling in siblings)
        if len(linear) != len(maps):
            why = next((one.reason for one in maps if isinstance(one, Why)), "not all are maps of feature maps")
            return Miss(f"{what} cannot merge: {why}")
        one = stacked(linear)
        if not isinstance(one, LinearMap):
            return Miss(f"{what} cannot merge: {one.reason}")
        first = siblings[0]
        conv = planned(edit, fresh(edit, f"{first.name}.siblings"), one.conv(), first.inputs, first)
        parts = tuple(
            planned(
                edit,
                fresh(edit, f"{sibling.name}.part"),
                Slice(axis=_CHANNELS, start=start, end=end),
                (conv.name,),
                sibling,
                given={conv.name: conv.type},
            )
            for sibling, (start, end) in zip(siblings, _rows(siblings), strict=True)
            if cut
        )
        if conv.type.spatial != first.type.spatial:
            return Miss(f"{what} cannot merge: together they give {conv.type}")
        before, after = price(edit, siblings), price(edit, (conv, *parts))
        verdict = self.worth.judge(before, after)
        if not verdict.pays:
            return Miss(f"{what} could merge: {verdict.reason}")
        gain = self.worth.seconds(before) - self.worth.seconds(after)
        return Joined(node, tuple(siblings), one, conv, parts, gain)

    def rewrite(self, edit: Editor, match: Joined) -> None:
        first, *others = match.siblings
        if match.parts:
            self._cut(edit, match)
            return
        concat, names = match.node, {other.name for other in others}
        kept = tuple(value for value in concat.inputs if value not in names)
        for sibling in match.siblings:
            edit.include(sibling.name)
        edit.include(concat.name)
        become(edit, first, first.inputs[0], match.map, others)
        if len(kept) == 1:
            edit.bypass(concat.name, first.name)
        else:
            edit.set_inputs(concat.name, kept)
        for other in others:
            edit.drop(other.name)

    def _cut(self, edit: Editor, match: Joined) -> None:
        first = match.siblings[0]
        origins = tuple(dict.fromkeys(o for sibling in match.siblings for o in sibling.origins))
        roles = ("weight", "bias") if match.map.bias is not None else ("weight",)
        held = {role: f"{match.conv.name}.{role}" for role in roles}
        values = {"weight": match.map.weight} | ({} if match.map.bias is None else {"bias": match.map.bias})
        conv = Node(
            match.conv.name, match.conv.op, match.conv.inputs, match.conv.type, held, origins, match.conv.train_only
        )
        edit.insert(conv, values, before=first.name)
        for part in match.parts:
            edit.insert(part, {}, before=first.name)
        for sibling, part in zip(match.siblings, match.parts, strict=True):
            edit.bypass(sibling.name, part.name)


def _siblings(edit: Editor, node: Node) -> Iterator[Node]:
    """The readers of what a convolution reads that are convolutions of the same window, itself among them."""
    for name in edit.users(node.inputs[0])[:_MOST]:
        reader = edit.node(name)
        if reader is not None and _plain(reader) and _same_window(reader, node):
            yield reader


def _reader(edit: Editor, node: Node) -> Node:
    """The first that reads a node, else the node itself."""
    names = edit.users(node.name)
    return (edit.node(names[0]) if names else None) or node


def _rows(siblings: list[Node]) -> list[tuple[int, int]]:
    """First and last row of each, the one behind it, in the convolution of all."""
    rows: list[tuple[int, int]] = []
    for sibling in siblings:
        start = rows[-1][1] if rows else 0
        rows.append((start, start + sibling.type.channels))
    return rows


def _why_not_joined(edit: Editor, concat: Node, conv: Node) -> str | None:
    """Why a value of a concat is no convolution that can run with its neighbours; None where it is."""
    if not isinstance(conv.op, Conv) or conv.train_only:
        return "it is no convolution"
    if concat.inputs.count(conv.name) > 1:
        return f"{conv.name!r} stands in the concat twice"
    if conv.op.groups > 1:
        return f"{conv.name!r} has groups: the outputs would stand between each other"
    return why_not_alone(edit, conv.name, concat.name)


def _why_no_row(edit: Editor, concat: Node) -> Miss | None:
    """Why two convolutions of one value that are neighbours in a concat are no row."""
    for pair in pairwise(concat.inputs):
        first, second = map(edit.node, pair)
        if first is None or second is None or not isinstance(first.op, Conv) or not isinstance(second.op, Conv):
            continue
        if first.inputs != second.inputs or first is second:
            continue
        why = _why_not_joined(edit, concat, first) or _why_not_joined(edit, concat, second)
        if why is not None:
            return Miss(f"{first.name!r}, {second.name!r} cannot merge: {why}")
    return None


def _plain(node: Node) -> bool:
    return isinstance(node.op, Conv) and node.op.groups == 1 and not node.train_only


def _alike(one: Node, other: Node) -> bool:
    """Whether two convolutions give maps of one size."""
    return one.type.spatial == other.type.spatial and one.type.shape[0] == other.type.shape[0]


def _same_window(one: Node, other: Node) -> bool:
    assert isinstance(one.op, Conv)
    assert isinstance(other.op, Conv)
    return one.op.window() == other.op.window() and one.op.padding == other.op.padding and _alike(one, other)
