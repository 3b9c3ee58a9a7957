"""Channels in another order, fewer of them, or with zeros between: a layout per segment, and the nodes that must follow.

A layout says which channel stands at each place, -1 where a zero stands. Changing that of a segment (see channels.py) changes
its place in every value; who writes such a value writes other rows, who reads it other columns, and a choice of channels has
other indices. What was computed stays what it was:

    W relu(V x)  =  (W P^T) relu((P V) x)          P picks places: a permutation, with rows of zeros or without some
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..ir import Editor, Node, Param
from ..ops.channels import Gather
from ..ops.conv import Conv
from .channels import Channels, Segment, picked

if TYPE_CHECKING:
    from numpy.typing import NDArray

Layout = tuple[int, ...]


class Layouts:
    """The layouts of a graph's channels. It begins with every channel in its place, and knows what `change` did since."""

    def __init__(self, edit: Editor) -> None:
        self._channels = Channels(edit)
        self._layouts: dict[Segment, Layout] = {}
        self._order = {node.name: i for i, node in enumerate(edit)}
        self._touching: dict[Segment, list[str]] = {}
        for node in edit:
            for segment in dict.fromkeys(s for value in (*node.inputs, node.name) for s in self.segments(value)):
                self._touching.setdefault(segment, []).append(node.name)

    def segments(self, value: str) -> list[Segment]:
        """The segments of a value, in order; none where its channels are not known."""
        return self._channels.of(value)

    def of_segment(self, segment: Segment) -> Layout:
        return self._layouts.get(segment, tuple(range(segment.size)))

    def of(self, value: str, changed: Mapping[Segment, Layout] | None = None) -> Layout:
        """The channel of a value, as it was to begin with, at each of its places; with some layouts `changed`, if given."""
        places: list[int] = []
        first = 0
        for segment in self.segments(value):
            layout = (changed or {}).get(segment) or self.of_segment(segment)
            places += [-1 if channel < 0 else first + channel for channel in layout]
            first += segment.size
        return tuple(places)

    def touched(self, edit: Editor, segments: Iterable[Segment]) -> list[Node]:
        """The nodes that read or write some of the segments, in order."""
        names = {name for segment in segments for name in self._touching[segment]}
        nodes = (edit.node(name) for name in sorted(names, key=self._order.__getitem__))
        return [node for node in nodes if node is not None]

    def change(self, edit: Editor, changed: Mapping[Segment, Layout], but: str = "") -> None:
        """Give segments other layouts; every node that reads or writes them follows, save the one called `but`."""
        for node in self.touched(edit, changed):
            if node.name == but:
                continue
            values = (*node.inputs, node.name)
            before, after = [self.of(value) for value in values], [self.of(value, changed) for value in values]
            _follow(edit, node, before, after)
        self._layouts.update(changed)


def _follow(edit: Editor, node: Node, before: Sequence[Layout], after: Sequence[Layout]) -> None:
    """Let a node read and write the new layouts (of its inputs, then of its output) instead of the old ones."""
    op = node.op
    held = edit.params_of(node)
    writes = _moves(before[-1], after[-1])
    dense = isinstance(op, Conv) and op.groups == 1
    if isinstance(op, Conv):
        op = replace(op, out=len(writes), groups=1 if dense else len(writes))
    x = edit.type_of(node.inputs[0])
    if (picks := picked(op, x.with_shape(x.shape[0], len(before[0]), *x.shape[2:]))) is not None:
        op = Gather(indices=_chosen(picks, writes, before[0], after[0]), axis=1)
    edit.set_op(node.name, op.bind(*map(edit.type_of, node.inputs)))
    changed = {role: taken(p, 0, writes, _fill(role)) for role, p in held.items() if p.shape[0] == len(before[-1])}
    if dense:
        changed["weight"] = taken(changed["weight"], 1, _moves(before[0], after[0]))
    if changed:
        edit.set_params(node.name, **changed)


def _moves(before: Layout, after: Layout) -> Layout:
    """Where what stands at each new place stood, -1 for a zero."""
    places = {channel: i for i, channel in enumerate(before) if channel >= 0}
    return tuple(places.get(channel, -1) for channel in after)


def _chosen(picks: Layout, writes: Layout, before: Layout, after: Layout) -> Layout:
    """Indices into the new input for each place of the new output.

    What nobody reads is a channel that is chosen anyhow: another one might hold what is not finite, and 0 * inf is no 0.
    """
    places = {channel: i for i, channel in enumerate(after)}
    chosen = [places[before[picks[place]]] if place >= 0 else -1 for place in writes]
    spare = next(index for index in chosen if index >= 0)
    return tuple(spare if index < 0 else index for index in chosen)


def _fill(role: str) -> float:
    """What a channel of nothing has: its variance must not be 0."""
    return 1.0 if role == "running_var" else 0.0


def taken(param: Param, axis: int, source: Layout, fill: float = 0.0) -> Param:
    """The slices of a parameter at `source` along an axis, `fill` where that is -1."""
    if source == tuple(range(param.shape[axis])):
        return param
    shape = (*param.shape[:axis], len(source), *param.shape[axis + 1 :])

    def take(values: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        there = np.array(source) >= 0
        result = np.full(shape, fill)
        np.moveaxis(result, axis, 0)[there] = np.moveaxis(values, axis, 0)[np.array(source)[there]]
        return result

    return param.apply(shape, take, "rows" if axis == 0 else "columns", (axis, source, fill))
