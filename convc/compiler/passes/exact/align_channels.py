"""Pad channels with zeros to whole blocks where ONNX Runtime's blocked layout would otherwise be left.

On a CPU ONNX Runtime keeps values in blocks of 16 channels (8 without AVX-512). What it does so:

    concat               where every operand is whole blocks         pools               where their input is
    dense convolutions   of 16 channels or more, in fours            depthwise ones      in fours

Before any other, values are written out in plain order and read in again behind it. A segment of channels (see channels.py)
grows to whole blocks: whoever writes it writes zeros there (rows of zeros), whoever reads it does not look (columns of zeros).

    W relu(V x)  =  [W 0] relu([V; 0] x)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...ir import Editor, Model, Node, Op, Param
from ...ops.channels import Gather
from ...ops.conv import Conv
from ...ops.global_pool import GlobalAvgPool, GlobalMaxPool
from ...ops.join import Concat
from ...ops.pool import AvgPool, MaxPool
from ..channels import Channels, Segment, picked
from ..rewrite import Match, Miss, Result, Rewrite
from ..worth import Price, price

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 16
# A depthwise convolution outside the blocked layout takes so many times as long: measured 8 to 20.
_PLAIN = 10

Layout = tuple[int, ...]


@dataclass(frozen=True)
class Growing(Match):
    """`node` would leave the blocked layout; `segments` grow, and `touched` write or read them, in order."""

    segments: frozenset[Segment]
    touched: tuple[Node, ...]


class AlignChannels(
    Rewrite[Growing], name="align_channels", root=(Concat, Conv, MaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool)
):
    """Pad channels to multiples of 16 where ONNX Runtime would leave its blocked layout on a CPU."""

    exact_when = (
        "whoever writes the channels is a convolution or a choice of channels, whoever reads them too, and what stands"
        " between treats each channel by itself; inputs and outputs of the network keep theirs"
    )
    worth_when = "on a CPU, where the reordering that is saved outweighs the padding"

    _channels: Channels
    _grown: frozenset[Segment]
    _together: dict[Segment, set[Segment]]
    _touching: dict[Segment, list[str]]
    _order: dict[str, int]

    def run(self, model: Model) -> Result:
        """As every pass; what is known of this model's channels is held by this run alone."""
        return Rewrite.run(copy(self), model)

    def prepare(self, edit: Editor) -> None:
        self._channels, self._grown = Channels(edit), frozenset()
        self._order = {node.name: i for i, node in enumerate(edit)}
        self._touching = {}
        for node in edit:
            for segment in dict.fromkeys(s for value in (*node.inputs, node.name) for s in self._channels.of(value)):
                self._touching.setdefault(segment, []).append(node.name)
        self._together = _groups(self._wanted(edit, node) for node in edit if isinstance(node.op, self.root))

    def match(self, edit: Editor, node: Node) -> Growing | Miss | None:
        wanted = self._wanted(edit, node)
        if not wanted:
            return None
        if held := next((segment.fixed for segment in wanted if segment.fixed), ""):
            return Miss(f"its channels cannot grow to blocks of {BLOCK}: {held}")
        segments = frozenset(self._together[wanted[0]])
        names = {name for segment in segments for name in self._touching[segment]}
        touched = [one for name in sorted(names, key=self._order.__getitem__) if (one := edit.node(name)) is not None]
        verdict = self.worth.judge(*self._prices(edit, touched, segments))
        return Growing(node, segments, tuple(touched)) if verdict.pays else Miss(verdict.reason)

    def rewrite(self, edit: Editor, match: Growing) -> None:
        old, self._grown = self._grown, self._grown | match.segments
        for node in match.touched:
            values = (*node.inputs, node.name)
            before, after = ([self._layout(value, grown) for value in values] for grown in (old, self._grown))
            _follow(edit, node, before, after)

    def _wanted(self, edit: Editor, node: Node) -> list[Segment]:
        """The segments that must grow for the node to run in blocks; none where it does, or never would."""
        op = node.op
        if node.type.rank != 4:
            return []
        if isinstance(op, Concat):
            return [s for value in node.inputs for s in self._uneven(value, BLOCK)] if op.axis == 1 else []
        source = node.inputs[0]
        if not isinstance(op, Conv):
            return self._uneven(source, BLOCK)
        if edit.node(source) is None or 1 < op.groups < edit.type_of(source).channels:
            return []  # an image is read in plain order in any case
        return self._uneven(source, BLOCK if op.groups == 1 and edit.type_of(source).channels < BLOCK else 4)

    def _uneven(self, value: str, block: int) -> list[Segment]:
        """The segments that break whole blocks, of a value whose channels are no multiple of `block`."""
        sizes = {segment: self._size(segment, self._grown) for segment in self._channels.of(value)}
        if sum(self._size(s, self._grown) for s in self._channels.of(value)) % block == 0:
            return []
        return [segment for segment, size in sizes.items() if size % BLOCK]

    def _size(self, segment: Segment, grown: frozenset[Segment]) -> int:
        return _whole(segment.size) if segment in grown else segment.size

    def _layout(self, value: str, grown: frozenset[Segment]) -> Layout:
        """The channel that stands at each place, -1 for a zero."""
        places: list[int] = []
        first = 0
        for segment in self._channels.of(value):
            places += range(first, first + segment.size)
            places += [-1] * (self._size(segment, grown) - segment.size)
            first += segment.size
        return tuple(places)

    def _prices(self, edit: Editor, nodes: Sequence[Node], segments: frozenset[Segment]) -> tuple[Price, Price]:
        """Of the nodes as they are, with what they write out and read in again; and of those with grown channels."""
        before = after = Price()
        for node in nodes:
            values = (*node.inputs, node.name)
            now = [len(self._layout(value, self._grown)) for value in values]
            then = [len(self._layout(value, self._grown | segments)) for value in values]
            one = price(edit, (node,))
            before = before.plus(_blocked(node.op, one, now, now))
            after = after.plus(_blocked(node.op, one, now, then))
            if isinstance(node.op, self.root) and not segments.isdisjoint(self._wanted(edit, node)):
                slow = _PLAIN if isinstance(node.op, Conv) and node.op.groups > 1 else 0
                before = before.plus(Price(one.macs * slow, 2 * one.bytes, 2))
        return before, after


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


def _follow(edit: Editor, node: Node, before: Sequence[Layout], after: Sequence[Layout]) -> None:
    """Let a node read and write the new layouts (of its inputs, then of its output) instead of the old ones."""
    op = node.op
    held = edit.params_of(node)
    writes = _moves(before[-1], after[-1])
    dense = isinstance(op, Conv) and op.groups == 1
    if isinstance(op, Conv):
        op = replace(op, out=len(writes), groups=1 if dense else len(writes))
    x = edit.type_of(node.inputs[0])
    old = x.with_shape(x.shape[0], len(before[0]), *x.shape[2:])
    if (picks := picked(op, old)) is not None:
        op = Gather(indices=_chosen(picks, writes, before[0], after[0]), axis=1)
    edit.set_op(node.name, op.bind(*map(edit.type_of, node.inputs)))
    changed = {role: _taken(p, 0, writes, _fill(role)) for role, p in held.items() if p.shape[0] == len(before[-1])}
    if dense:
        changed["weight"] = _taken(changed["weight"], 1, _moves(before[0], after[0]), 0.0)
    if changed:
        edit.set_params(node.name, **changed)


def _moves(before: Layout, after: Layout) -> Layout:
    """Where what stands at each new place stood, -1 for a zero."""
    places = {channel: i for i, channel in enumerate(before) if channel >= 0}
    return tuple(places.get(channel, -1) for channel in after)


def _chosen(picks: Layout, writes: Layout, before: Layout, after: Layout) -> Layout:
    """Indices into the new input for each place of the new output; what nobody reads is any channel."""
    places = {channel: i for i, channel in enumerate(after)}
    return tuple(places[before[picks[place]]] if place >= 0 else 0 for place in writes)


def _fill(role: str) -> float:
    """What a channel of nothing has: its variance must not be 0."""
    return 1.0 if role == "running_var" else 0.0


def _taken(param: Param, axis: int, source: Layout, fill: float) -> Param:
    """The slices of a parameter at `source` along an axis, `fill` where that is -1."""
    if source == tuple(range(param.shape[axis])):
        return param
    shape = (*param.shape[:axis], len(source), *param.shape[axis + 1 :])

    def taken(values: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        there = np.array(source) >= 0
        result = np.full(shape, fill)
        np.moveaxis(result, axis, 0)[there] = np.moveaxis(values, axis, 0)[np.array(source)[there]]
        return result

    return param.apply(shape, taken, "padded" if axis == 0 else "padded columns")
