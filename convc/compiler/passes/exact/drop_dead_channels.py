"""Leave out channels that nobody reads: a convolution does not write what every choice of channels behind it passes over.

    slice(V x)  =  V' x        V' has the rows that the slice takes

A channel lives where a dense convolution, or what wants its channels as they are, reads it, or a choice of channels picks it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from ...ir import Editor, Model, Node
from ...ops.conv import Conv
from ..channels import Segment, picked, role
from ..layouts import Layouts
from ..rewrite import Match, Miss, Result, Rewrite


@dataclass(frozen=True)
class Living(Match):
    """`node`, a convolution that writes dead channels, the segments that have some, and those that live in each."""

    kept: tuple[tuple[Segment, tuple[int, ...]], ...]


class DropDeadChannels(Rewrite[Living], name="drop_dead_channels", root=Conv):
    """Leave out channels that nobody reads."""

    exact_when = "whoever reads the channels chooses others, and no output of the network holds them"
    worth_when = "always: fewer channels are computed"

    _layouts: Layouts
    _living: dict[Segment, set[int]]

    def run(self, model: Model) -> Result:
        """As every pass; what is known of this model's channels is held by this run alone."""
        return Rewrite.run(copy(self), model)

    def prepare(self, edit: Editor) -> None:
        self._layouts, self._living = Layouts(edit), {}
        for node in edit:
            types = [edit.type_of(value) for value in node.inputs]
            kind = role(node, types)
            if kind in ("tie", "join"):
                continue  # these read nothing of their own: who reads them decides
            picks = picked(node.op, types[0]) if kind == "pick" else None
            for value in node.inputs:
                self._read(value, picks)

    def _read(self, value: str, picks: tuple[int, ...] | None) -> None:
        """Somebody reads the channels `picks` of a value, or all."""
        wanted = None if picks is None else set(picks)
        first = 0
        for segment in self._layouts.segments(value):
            here = range(first, first + segment.size)
            living = here if wanted is None else [channel for channel in here if channel in wanted]
            self._living.setdefault(segment, set()).update(channel - first for channel in living)
            first += segment.size

    def match(self, edit: Editor, node: Node) -> Living | Miss | None:
        kept = []
        held = ""
        for segment in dict.fromkeys(self._layouts.segments(node.name)):
            living = self._living.get(segment, set())
            count = len(self._layouts.of_segment(segment))
            if not 0 < len(living) < count:
                continue
            if segment.fixed and not edit.is_output(node.name):
                held = held or f"no node reads {count - len(living)} of its channels, but they stay: {segment.fixed}"
            elif not segment.fixed:
                kept.append((segment, tuple(sorted(living))))
        return Living(node, tuple(kept)) if kept else Miss(held) if held else None

    def rewrite(self, edit: Editor, match: Living) -> None:
        self._layouts.change(edit, dict(match.kept))
