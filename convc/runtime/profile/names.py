"""Where a layer belongs, told from its name: `stage.0.1.conv1.conv` is in block `stage.0.1` of stage `stage.0`.

    word.i.j.rest    stage word.i   block word.i.j          word.i.rest      stage word     block word.i
    word.rest        stage word     block word              word             stage word     no block

Names of exported modules, `/layer1/layer1.0/conv1/Conv`, repeat the parent in each part: the first part is the stage, the second
the block. Groupings sum rows by one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .record import LayerRow


@dataclass(frozen=True, slots=True)
class Group:
    """Rows summed; `share` is of all rows."""

    name: str
    rows: int
    time_ms: float
    share: float
    macs: int | None
    gmacs_per_s: float | None


def place(name: str) -> tuple[str, str]:
    """(stage, block) of a layer."""
    if name.startswith("/"):
        parts = name.strip("/").split("/")[:-1]
        return (parts[0], parts[1] if len(parts) > 2 else parts[0]) if parts else ("", "")
    parts = name.split(".")
    numbers = 0
    while 1 + numbers < len(parts) and parts[1 + numbers].isdigit() and numbers < 2:
        numbers += 1
    block = ".".join(parts[: 1 + numbers])
    inside = len(parts) > 1 + numbers or numbers > 0
    stage = ".".join(parts[:2]) if numbers == 2 else parts[0]
    return stage, block if inside else ""


GROUPINGS: Mapping[str, Callable[[LayerRow], str]] = {
    "layer": lambda row: row.layer,
    "block": lambda row: row.block or row.layer,
    "stage": lambda row: row.stage or row.layer,
    "op": lambda row: row.op,
}


def grouped(rows: Iterable[LayerRow], by: str) -> tuple[Group, ...]:
    """Rows summed by layer, block, stage or op, the dearest first."""
    key = GROUPINGS[by]
    members: dict[str, list[LayerRow]] = {}
    for row in rows:
        members.setdefault(key(row), []).append(row)
    total = sum(row.time_ms for some in members.values() for row in some)
    found = [_group(name, some, total) for name, some in members.items()]
    return tuple(sorted(found, key=lambda group: -group.time_ms))


def _group(name: str, rows: list[LayerRow], total: float) -> Group:
    time_ms = sum(row.time_ms for row in rows)
    counts = [None if row.macs is None else row.macs + (row.attention_macs or 0) for row in rows]
    macs = None if any(count is None for count in counts) else sum(count for count in counts if count is not None)
    rate = macs / time_ms / 1e6 if macs and time_ms else None
    return Group(name, len(rows), time_ms, time_ms / total if total else 0.0, macs, rate)
