"""The order that every figure shows layers in, and each one's part of the whole; groups are those of profile/names.py."""

from __future__ import annotations

from ..profile.names import GROUPINGS, Group, grouped
from ..profile.record import LayerRow, LayerTable


def ranked(table: LayerTable) -> list[LayerRow]:
    """Rows, the dearest first."""
    return sorted(table.rows, key=lambda row: -row.time_ms)


def share(row: LayerRow, table: LayerTable) -> float:
    """Of the sum of the rows, 0 where nothing took time."""
    return row.time_ms / table.sum_ms if table.sum_ms > 0 else 0.0


__all__ = ["GROUPINGS", "Group", "grouped", "ranked", "share"]
