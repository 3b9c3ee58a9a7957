"""Concatenate later, where there is less to copy: behind what shrinks each channel by itself, and behind sums of concats.

    f(concat(a, b))                  =  concat(f_a(a), f_b(b))          f channel by channel, its parameters cut like the concat
    concat(a, b) + concat(c, d)      =  concat(a + c, b + d)            cut at the same channels

Ghost bottlenecks (Han et al., 2020) stride with a depthwise convolution behind the concat of a ghost module: the copy is four
times as large as it need be. The sums about their shortcuts then follow a convolution, into which runtimes fuse them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ...ir import Editor, Node, Op, Param
from ...ops.arithmetic import Add
from ...ops.conv import Conv
from ...ops.join import Concat
from ...ops.pool import AvgPool, MaxPool
from ..channels import is_depthwise
from ..forms import fresh, only_reader, planned, why_not_alone
from ..layouts import taken
from ..rewrite import Match, Miss, Rewrite
from ..worth import Price, fuses, price

# A node that takes over some of the channels, and its parameters by role.
Part = tuple[Node, Mapping[str, Param]]


@dataclass(frozen=True)
class Later(Match):
    """`node`, behind a concat or several; the nodes that take its place, one a part, their parameters, and the new concat."""

    parts: tuple[Part, ...]
    concat: Node


class LateConcat(Rewrite[Later], name="late_concat", root=(Add, Conv, AvgPool, MaxPool)):
    """Move a concat of channels behind pools and depthwise convolutions that stride, and behind sums of concats."""

    exact_when = (
        "the concat joins channels, and what moves before it treats each channel by itself; sums are of concats that are cut"
        " at the same channels"
    )
    worth_when = (
        "the cost model counts fewer bytes; a sum behind a convolution that it alone reads is fused, and costs a read"
    )

    def match(self, edit: Editor, node: Node) -> Later | Miss | None:
        concats = [one for value in node.inputs if (one := _concat(edit, value)) is not None]
        if len(concats) != len(node.inputs) or len(concats) != (2 if isinstance(node.op, Add) else 1):
            return None
        if isinstance(node.op, Add):
            return self._sum(edit, node, concats[0], concats[1])
        x = edit.type_of(node.inputs[0])
        if isinstance(node.op, Conv) and not is_depthwise(node.op, x):
            return None
        if (shared := why_not_alone(edit, concats[0].name, node.name)) is not None:
            return Miss(f"{shared}: the concat would stay")
        return self._judged(edit, node, concats[:1], self._split(edit, node, concats[0]))

    def _split(self, edit: Editor, node: Node, concat: Node) -> list[Part]:
        """The node once for each operand of the concat."""
        parts: list[Part] = []
        first = 0
        for i, value in enumerate(concat.inputs):
            count = edit.type_of(value).channels
            name = fresh(edit, f"{node.name}/part{i}")
            rows = tuple(range(first, first + count))
            held = {role: taken(param, 0, rows) for role, param in edit.params_of(node).items()}
            op: Op = replace(node.op, out=count, groups=count) if isinstance(node.op, Conv) else node.op
            names = {role: f"{name}.{role}" for role in held}
            parts.append((planned(edit, name, op, (value,), node, params=names), MappingProxyType(held)))
            first += count
        return parts

    def _sum(self, edit: Editor, node: Node, left: Node, right: Node) -> Later | Miss:
        cuts = [[edit.type_of(value).channels for value in one.inputs] for one in (left, right)]
        if cuts[0] != cuts[1] or left.type != right.type:
            return Miss(f"{left.name!r} is cut into {_and(cuts[0])} channels, {right.name!r} into {_and(cuts[1])}")
        if not only_reader(edit, left.name) and not only_reader(edit, right.name):
            return Miss(f"{left.name!r} and {right.name!r} are both read elsewhere: a third concat would be made")
        pairs = zip(left.inputs, right.inputs, strict=True)
        parts: list[Part] = [
            (planned(edit, fresh(edit, f"{node.name}/part{i}"), Add(), pair, node), MappingProxyType[str, Param]({}))
            for i, pair in enumerate(pairs)
        ]
        gone = [one for one in (left, right) if only_reader(edit, one.name)]
        return self._judged(edit, node, gone, parts)

    def _judged(self, edit: Editor, node: Node, gone: list[Node], parts: list[Part]) -> Later | Miss:
        given = {one.name: one.type for one, _ in parts}
        concat = planned(edit, fresh(edit, f"{node.name}/concat"), Concat(), tuple(given), node, given=given)
        after = price(edit, (*(one for one, _ in parts), concat))
        for one, _ in parts:
            if fuses(edit, one, {c.name for c in gone}):
                # It is part of the convolution, and reads one value.
                whole = price(edit, (one,))
                after = after.plus(Price(-whole.macs, -whole.bytes * 2 // 3, -1))
        verdict = self.worth.judge(price(edit, (*gone, node)), after)
        return Later(node, tuple(parts), concat) if verdict.pays else Miss(verdict.reason)

    def rewrite(self, edit: Editor, match: Later) -> None:
        old = match.node
        for value in dict.fromkeys(old.inputs):
            # One that is read elsewhere stays: that it is the concat of what the parts read, the proof must know.
            edit.include(value)
        for node, held in match.parts:
            edit.insert(node, held, before=old.name)
        edit.insert(match.concat, {}, before=old.name)
        edit.bypass(old.name, match.concat.name)
        for value in dict.fromkeys(old.inputs):
            gone = edit.node(value)
            if gone is not None and not edit.users(value) and not edit.is_output(value):
                edit.add_origins(match.concat.name, gone.origins)
                edit.drop(value)


def _concat(edit: Editor, value: str) -> Node | None:
    """The concat of channels that writes a value, if one does."""
    node = edit.node(value)
    return (
        node if node is not None and isinstance(node.op, Concat) and node.op.axis == 1 and node.type.rank > 2 else None
    )


def _and(counts: list[int]) -> str:
    return " + ".join(map(str, counts))
