"""Channels chosen twice are chosen once: slices, gathers and shuffles behind each other become one, or none.

    pick_q(pick_p(x))  =  pick_r(x)        r[i] = p[q[i]]

A shuffle behind its inverse is r = (0, 1, 2, ...), the value itself. A shuffle that is only read in slices, as between the units
of ShuffleNetV2 (Ma et al., 2018), goes: each slice becomes a gather with constant indices, and the channels are moved once.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir import Editor, Node, Op
from ...ops.channels import ChannelShuffle, Gather
from ...ops.shape import Slice
from ...ops.train import Identity
from ..channels import channels, picked
from ..rewrite import Match, Miss, Rewrite


@dataclass(frozen=True)
class Picks(Match):
    """`node`, the last choice; the channels of `source` that it comes to."""

    source: str
    indices: tuple[int, ...]


class MergePicks(Rewrite[Picks], name="merge_picks", root=(ChannelShuffle, Gather, Slice)):
    """Choose channels once: shuffles, slices and gathers behind each other become one gather or slice, or cancel."""

    exact_when = "both choose channels (axis 1), with indices that are known"
    worth_when = "the first choice then is read by nobody, or the two cancel"

    def match(self, edit: Editor, node: Node) -> Picks | Miss | None:
        source = node.inputs[0]
        indices = picked(node.op, edit.type_of(source))
        if indices is None:
            return None
        first = edit.node(source)
        inner = None if first is None else picked(first.op, edit.type_of(first.inputs[0]))
        if first is None or inner is None:
            return self._alone(edit, node, source, indices)
        composed = tuple(inner[i] for i in indices)
        others = [name for name in edit.users(source) if _picks(edit, name) is None]
        beyond = first.inputs[0]
        if _is_all(edit, beyond, composed):
            return self._alone(edit, node, beyond, composed)
        if others or edit.is_output(source):
            return Miss(f"{source!r} is read as it is, by {', '.join(others[:3]) or 'an output'}: it would stay")
        return Picks(node, beyond, composed)

    def _alone(self, edit: Editor, node: Node, source: str, indices: tuple[int, ...]) -> Picks | Miss | None:
        """A choice that comes to all channels in their order is none."""
        if not _is_all(edit, source, indices):
            return None
        if edit.node(source) is None and edit.is_output(node.name):
            return Miss(f"an output would be the network's input {source!r} itself: a node must stand between")
        return Picks(node, source, indices)

    def rewrite(self, edit: Editor, match: Picks) -> None:
        node, first = match.node, edit.node(match.node.inputs[0])
        if match.source != node.inputs[0]:
            assert first is not None
            edit.include(first.name)
            # For a moment it takes any channels: a shuffle in 6 groups would refuse a source of 32, of which a gather took 24.
            edit.set_op(node.name, Identity())
            edit.set_inputs(node.name, (match.source,))
            edit.set_op(node.name, _op(match.indices).bind(edit.type_of(match.source)))
            edit.add_origins(node.name, first.origins)
        if _is_all(edit, match.source, match.indices):
            _stand_for(edit, match.source, node.name)
            edit.bypass(node.name)
        if (
            first is not None
            and match.source != first.name
            and not edit.users(first.name)
            and not edit.is_output(first.name)
        ):
            edit.drop(first.name)


def _stand_for(edit: Editor, value: str, gone: str) -> None:
    """Who writes `value` now stands for a node that goes, too; an input of the network cannot."""
    node = edit.node(gone)
    if edit.node(value) is not None and node is not None:
        edit.add_origins(value, node.origins)


def _op(indices: tuple[int, ...]) -> Op:
    """A slice where the indices are a row of neighbours."""
    if indices == tuple(range(indices[0], indices[0] + len(indices))):
        return Slice(axis=1, start=indices[0], end=indices[-1] + 1)
    return Gather(indices=indices, axis=1)


def _picks(edit: Editor, name: str) -> tuple[int, ...] | None:
    node = edit.node(name)
    return None if node is None else picked(node.op, edit.type_of(node.inputs[0]))


def _is_all(edit: Editor, value: str, indices: tuple[int, ...]) -> bool:
    return indices == tuple(range(channels(edit.type_of(value))))
