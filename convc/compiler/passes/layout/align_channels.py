"""Pad channels with zeros to whole blocks where ONNX Runtime's blocked layout would otherwise be left.

On a CPU ONNX Runtime keeps values in blocks of 16 channels (8 without AVX-512). What it does so:

    concat               where every operand is whole blocks         pools               where their input is
    dense convolutions   of 16 channels or more, in fours            depthwise ones      in fours
    gates                written out (widen_gates), of whole blocks

Before any other, values are written out in plain order and read in again behind it. A segment of channels (see channels.py)
grows to whole blocks: whoever writes it writes zeros there (rows of zeros), whoever reads it does not look (columns of zeros).

    W relu(V x)  =  [W 0] relu([V; 0] x)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass

from ...ir import Editor, Model, Node, Op
from ...ops.arithmetic import Mul
from ...ops.conv import Conv
from ...ops.global_pool import GlobalAvgPool, GlobalMaxPool
from ...ops.join import Concat
from ...ops.pool import AvgPool, MaxPool
from ..blocks import BLOCK
from ..channels import Segment
from ..layouts import Layout, Layouts
from ..rewrite import Match, Miss, Result, Rewrite
from ..worth import Price, price

# A depthwise convolution outside the blocked layout takes so many times as long: measured 8 to 20.
_PLAIN = 10


@dataclass(frozen=True)
class Growing(Match):
    """`node` would leave the blocked layout unless `segments` grow."""

    segments: frozenset[Segment]


class AlignChannels(
    Rewrite[Growing], name="align_channels", root=(Concat, Conv, MaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, Mul)
):
    """Pad channels to multiples of 16 where ONNX Runtime would leave its blocked layout on a CPU."""

    exact_when = (
        "whoever writes the channels is a convolution or a choice of channels, whoever reads them too, and what stands"
        " between treats each channel by itself; inputs and outputs of the network keep theirs"
    )
    worth_when = "on a CPU, where the reordering that is saved outweighs the padding"

    _layouts: Layouts
    _together: dict[Segment, set[Segment]]

    def run(self, model: Model) -> Result:
        """As every pass; what is known of this model's channels is held by this run alone."""
        return Rewrite.run(copy(self), model)

    def prepare(self, edit: Editor) -> None:
        self._layouts = Layouts(edit)
        self._together = _groups(self._wanted(edit, node) for node in edit if isinstance(node.op, self.root))

    def match(self, edit: Editor, node: Node) -> Growing | Miss | None:
        wanted = self._wanted(edit, node)
        if not wanted:
            return None
        if held := next((segment.fixed for segment in wanted if segment.fixed), ""):
            return Miss(f"its channels cannot grow to blocks of {BLOCK}: {held}")
        segments = frozenset(self._together[wanted[0]])
        verdict = self.worth.judge(*self._prices(edit, segments))
        return Growing(node, segments) if verdict.pays else Miss(verdict.reason)

    def rewrite(self, edit: Editor, match: Growing) -> None:
        self._layouts.change(edit, _grown(match.segments))

    def _wanted(self, edit: Editor, node: Node) -> list[Segment]:
        """The segments that must grow for the node to run in blocks; none where it does, or never would."""
        op = node.op
        if node.type.rank != 4:
            return []
        if isinstance(op, Concat):
            return [s for value in node.inputs for s in self._uneven(value, BLOCK)] if op.axis == 1 else []
        if isinstance(op, Mul):
            return self._uneven(node.name, BLOCK) if _gated(edit, node) else []
        source = node.inputs[0]
        if not isinstance(op, Conv):
            return self._uneven(source, BLOCK)
        if edit.node(source) is None or 1 < op.groups < edit.type_of(source).channels:
            return []  # an image is read in plain order in any case
        return self._uneven(source, BLOCK if op.groups == 1 and edit.type_of(source).channels < BLOCK else 4)

    def _uneven(self, value: str, block: int) -> list[Segment]:
        """The segments that break whole blocks, of a value whose channels are no multiple of `block`."""
        sizes = {segment: len(self._layouts.of_segment(segment)) for segment in self._layouts.segments(value)}
        if len(self._layouts.of(value)) % block == 0:
            return []
        return [segment for segment, size in sizes.items() if size % BLOCK]

    def _prices(self, edit: Editor, segments: frozenset[Segment]) -> tuple[Price, Price]:
        """Of the nodes as they are, with what they write out and read in again; and of those with grown channels."""
        before = after = Price()
        grown = _grown(segments)
        for node in self._layouts.touched(edit, segments):
            values = (*node.inputs, node.name)
            now = [len(self._layouts.of(value)) for value in values]
            then = [len(self._layouts.of(value, grown)) for value in values]
            one = price(edit, (node,))
            before = before.plus(_blocked(node.op, one, now, now))
            after = after.plus(_blocked(node.op, one, now, then))
            if isinstance(node.op, self.root) and not segments.isdisjoint(self._wanted(edit, node)):
                slow = _PLAIN if isinstance(node.op, Conv) and node.op.groups > 1 else 0
                before = before.plus(Price(one.macs * slow, 2 * one.bytes, 2))
        return before, after


def _gated(edit: Editor, node: Node) -> bool:
    """Whether it multiplies by a gate per channel, at fixed sizes: see widen_gates."""
    sizes = {edit.type_of(value).spatial for value in node.inputs}
    return (1, 1) in sizes and len(sizes) == 2 and all(isinstance(size, int) for size in node.type.spatial)


def _grown(segments: Iterable[Segment]) -> dict[Segment, Layout]:
    return {s: (*range(s.size), *(-1,) * (_whole(s.size) - s.size)) for s in segments}


def _groups(wanted: Iterable[Sequence[Segment]]) -> dict[Segment, set[Segment]]:
    """The segments that grow together with each: those of one node do, or the node gains nothing."""
    groups: dict[Segment, set[Segment]] = {}
    for segments in wanted:
        if any(segment.fixed for segment in segments):
            continue
        joined = set(segments).union(*(groups.get(segment, ()) for segment in segments))
        groups.update(dict.fromkeys(joined, joined))
    return groups


def _whole(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _blocked(op: Op, one: Price, now: Sequence[int], then: Sequence[int]) -> Price:
    """The price of a node whose channels grow from `now` to `then`; convolutions compute whole blocks in any case."""
    wider = max([b / a for a, b in zip(now, then, strict=True) if a], default=1.0)
    macs = float(one.macs)
    if isinstance(op, Conv):
        macs *= _whole(then[-1]) / now[-1] * (_whole(then[0]) / now[0] if op.groups == 1 else 1)
    return Price(round(macs), round(one.bytes * wider), one.launches)
