"""A colour for each kind of operator, the same in every figure of a page: the dearest kinds get one, the others share grey."""

from __future__ import annotations

from dataclasses import dataclass

from ..profile.record import LayerTable
from .groups import grouped

_COLOURS = 6


@dataclass(frozen=True, slots=True)
class Kinds:
    """Operators in the order of their time."""

    names: tuple[str, ...]

    @staticmethod
    def of(table: LayerTable) -> Kinds:
        return Kinds(tuple(group.name for group in grouped(table.rows, "op")))

    def css(self, op: str) -> str:
        """The style class of an operator's colour."""
        place = self.names.index(op) if op in self.names else _COLOURS
        return f"k{min(place, _COLOURS)}"

    def legend(self) -> list[tuple[str, str]]:
        """(name, class) of every colour in use."""
        shown = [(name, f"k{k}") for k, name in enumerate(self.names[:_COLOURS])]
        return [*shown, ("other", f"k{_COLOURS}")] if len(self.names) > _COLOURS else shown
