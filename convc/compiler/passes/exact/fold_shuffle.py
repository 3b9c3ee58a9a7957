"""Take the order of channels into weights: a permutation of channels goes where the convolutions about it can follow.

    W P x      =  (W P) x          the columns of every dense convolution that reads the shuffled channels, or
    P (V x)    =  (P V) x          the rows of every one that writes the channels before it

What treats each channel by itself may stand between, and follows: its parameters change their order. A convolution with groups
cannot, as a shuffle between two such mixes their groups.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from ...ir import Editor, Model, Node
from ...ops.channels import ChannelShuffle, Gather
from ...ops.conv import Conv
from ..channels import Segment, picked
from ..layouts import Layout, Layouts
from ..rewrite import Match, Miss, Result, Rewrite


@dataclass(frozen=True)
class Folding(Match):
    """`node`, the shuffle, the segment that takes its order, and the layout of that."""

    segment: Segment
    layout: Layout


class FoldShuffle(Rewrite[Folding], name="fold_shuffle", root=(ChannelShuffle, Gather)):
    """Take a permutation of channels into the weights of the convolutions behind or before it."""

    exact_when = (
        "it permutes all channels, and all that reads them behind it, or writes them before it, is dense convolutions and what"
        " treats each channel by itself"
    )
    worth_when = "always: the weights only change their order"

    _layouts: Layouts

    def run(self, model: Model) -> Result:
        """As every pass; what is known of this model's channels is held by this run alone."""
        return Rewrite.run(copy(self), model)

    def prepare(self, edit: Editor) -> None:
        self._layouts = Layouts(edit)

    def match(self, edit: Editor, node: Node) -> Folding | Miss | None:
        source = node.inputs[0]
        picks = picked(node.op, edit.type_of(source))
        if picks is None or sorted(picks) != list(range(edit.type_of(source).channels)):
            return None
        behind, before = self._layouts.segments(node.name), self._layouts.segments(source)
        now = self._layouts.of(node.name)
        if len(behind) == 1 and not behind[0].fixed and behind != before:
            # At place picks[i] of the source stands what the shuffle puts at place i.
            places = {pick: i for i, pick in enumerate(picks)}
            return Folding(node, behind[0], tuple(now[places[i]] for i in range(len(now))))
        if len(before) == 1 and not before[0].fixed and behind != before:
            at = self._layouts.of(source)
            return Folding(node, before[0], tuple(at[pick] for pick in picks))
        return Miss(f"behind it {_why(behind)}; before it {_why(before)}")

    def rewrite(self, edit: Editor, match: Folding) -> None:
        edit.include(match.node.name)
        self._layouts.change(edit, {match.segment: match.layout}, but=match.node.name)
        for node in self._layouts.touched(edit, [match.segment]):
            if isinstance(node.op, Conv):
                edit.add_origins(node.name, match.node.origins)
        # From here on the values on both sides are one: neither can change its order without the other.
        for segment in (*self._layouts.segments(match.node.inputs[0]), *self._layouts.segments(match.node.name)):
            segment.fix(f"it took in the order of {match.node.name!r}")
        edit.bypass(match.node.name)


def _why(segments: list[Segment]) -> str:
    """Why segments cannot take another order."""
    if held := next((segment.fixed for segment in segments if segment.fixed), ""):
        return held
    return f"the channels stand in {len(segments)} parts that are written or read apart"
