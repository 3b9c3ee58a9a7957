"""Layers put together by what they share: stage, block or kind of operator. Every row is in exactly one group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..profile.record import LayerRow, LayerTable


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the time. `share` is of the sum of all rows; macs is None where no row has any."""

    name: str
    layers: int
    time_ms: float
    share: float
    macs: int | None

    @property
    def gmacs_per_s(self) -> float | None:
        return None if not self.macs or self.time_ms <= 0 else self.macs / self.time_ms / 1e6


Key = Callable[[LayerRow], str]
KEYS: dict[str, Key] = {
    "stage": lambda row: row.stage or row.layer,
    "block": lambda row: row.block or row.layer,
    "operator": lambda row: row.op,
}


def grouped(table: LayerTable, key: Key) -> list[Group]:
    """Groups, the dearest first; equal ones in the network's order."""
    members: dict[str, list[LayerRow]] = {}
    for row in table.rows:
        members.setdefault(key(row), []).append(row)
    found = [_group(name, rows, table.sum_ms) for name, rows in members.items()]
    return sorted(found, key=lambda group: -group.time_ms)


def ranked(table: LayerTable) -> list[LayerRow]:
    """Rows, the dearest first."""
    return sorted(table.rows, key=lambda row: -row.time_ms)


def share(row: LayerRow, table: LayerTable) -> float:
    """Of the sum of the rows, 0 where nothing took time."""
    return row.time_ms / table.sum_ms if table.sum_ms > 0 else 0.0


def _group(name: str, rows: Sequence[LayerRow], total: float) -> Group:
    time = sum(row.time_ms for row in rows)
    macs = [row.macs for row in rows if row.macs is not None]
    return Group(name, len(rows), time, time / total if total > 0 else 0.0, sum(macs) if macs else None)
