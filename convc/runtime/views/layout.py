"""Where the boxes of a network's drawing stand: levels from the top, lanes side by side, columns one after another.

level(row) = 1 + the largest level of the rows it reads
column     = a run of levels, cut where the fewest lines cross
lane       = place among the rows of a level, near the rows it reads
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..profile.record import LayerRow

# Levels of a column: what stands on a screen; and how far a cut may move to a better place.
_MOST, _SLACK = 26, 4


@dataclass(frozen=True, slots=True)
class Box:
    """A row of the table in its place; `lanes` is how many share its level."""

    row: LayerRow
    column: int
    level: int
    lane: int
    lanes: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes by layer, lines as (from, to), and how many levels each column has."""

    boxes: Mapping[str, Box]
    lines: tuple[tuple[str, str], ...]
    columns: tuple[int, ...]

    def widest(self, column: int) -> int:
        """The most lanes of a level in that column."""
        return max(box.lanes for box in self.boxes.values() if box.column == column)


def arranged(rows: Sequence[LayerRow]) -> Layout:
    """The layout of rows in the network's order; a row that reads what comes later is taken to read nothing."""
    seen: dict[str, LayerRow] = {}
    lines: list[tuple[str, str]] = []
    for row in rows:
        lines += [(name, row.layer) for name in dict.fromkeys(row.reads) if name in seen]
        seen.setdefault(row.layer, row)
    levels = _levels(list(seen), lines)
    cuts = _cuts(max(levels.values(), default=-1) + 1, lines, levels)
    lanes = _lanes(list(seen), lines, levels)
    boxes = {}
    counts = [0] * (max(levels.values(), default=-1) + 1)
    for level in levels.values():
        counts[level] += 1
    for name, row in seen.items():
        level = levels[name]
        column = sum(level >= cut for cut in cuts) - 1
        boxes[name] = Box(row, column, level - cuts[column], lanes[name], counts[level])
    ends = [*cuts[1:], len(counts)]
    return Layout(boxes, tuple(lines), tuple(end - cut for cut, end in zip(cuts, ends, strict=True)))


def _levels(names: Sequence[str], lines: Sequence[tuple[str, str]]) -> dict[str, int]:
    reads: dict[str, list[str]] = {name: [] for name in names}
    for source, target in lines:
        reads[target].append(source)
    found: dict[str, int] = {}
    for name in names:
        found[name] = 1 + max((found[source] for source in reads[name]), default=-1)
    return found


def _cuts(height: int, lines: Sequence[tuple[str, str]], levels: Mapping[str, int]) -> list[int]:
    """First level of each column."""
    crossing = [0] * (height + 1)
    for source, target in lines:
        for level in range(levels[source] + 1, levels[target] + 1):
            crossing[level] += 1
    cuts = [0]
    columns = max(1, math.ceil(height / _MOST))
    for k in range(1, columns):
        ideal = round(k * height / columns)
        reach = range(max(cuts[-1] + 1, ideal - _SLACK), min(height - 1, ideal + _SLACK) + 1)
        cuts.append(min(reach, key=lambda level: (crossing[level], abs(level - ideal))))
    return cuts


def _lanes(names: Sequence[str], lines: Sequence[tuple[str, str]], levels: Mapping[str, int]) -> dict[str, int]:
    """From the top, each level is ordered by the mean place of what it reads; equal ones stay in the network's order."""
    by_level: dict[int, list[str]] = {}
    for name in names:
        by_level.setdefault(levels[name], []).append(name)
    reads: dict[str, list[str]] = {name: [] for name in names}
    for source, target in lines:
        reads[target].append(source)
    place: dict[str, float] = {}
    lanes: dict[str, int] = {}
    for level in sorted(by_level):
        members = by_level[level]
        wish = {name: sum(place[s] for s in reads[name]) / len(reads[name]) if reads[name] else 0.5 for name in members}
        for lane, name in enumerate(sorted(members, key=lambda n: wish[n])):
            lanes[name], place[name] = lane, (lane + 0.5) / len(members)
    return lanes
