"""The network as a drawing: a box for each layer, coloured by its time, lines for what it reads, bars at the side for stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..profile.record import LayerTable
from .distribution import figure
from .figures import aligned, decimals_for, rounded
from .groups import share
from .layout import Box, Layout, arranged
from .markup import Markup, el, joined
from .scale import fitted, width

_ROW, _BOX, _TOP = 27.0, 19.0, 20.0
_STAGE, _SKIP = 22.0, 26.0
_SINGLE, _LANE, _WIDEST = 196.0, 118.0, 700.0


def drawing(table: LayerTable) -> Markup:
    """One picture a column, from left to right in the network's order, and the scale of the colours."""
    layout = arranged(table.rows)
    longest = max((row.time_ms for row in table.rows), default=0.0)
    columns = [_column(layout, k, table, longest) for k in range(len(layout.columns))]
    return el("div", _key(longest), el("div", columns, class_="columns"), class_="network")


def _column(layout: Layout, column: int, table: LayerTable, longest: float) -> Markup:
    boxes = [box for box in layout.boxes.values() if box.column == column]
    inner = _inner(layout.widest(column))
    size = (round(_STAGE + inner + _SKIP), round(_TOP + layout.columns[column] * _ROW + 14))
    places = decimals_for(longest)
    parts = [
        _stages(boxes),
        [_line(layout, a, b, column, inner, size[1]) for a, b in layout.lines],
        [_box(box, inner, table, longest, places) for box in boxes],
    ]
    names = f"{boxes[0].row.layer} to {boxes[-1].row.layer}"
    return figure(joined(parts), f"Layers {names}, coloured by time", "drawing", size)


def _inner(lanes: int) -> float:
    return min(_WIDEST, max(_SINGLE, lanes * _LANE))


def _frame(box: Box, inner: float) -> tuple[float, float, float]:
    """(left, top, width) of a box."""
    room = inner / box.lanes
    wide = min(room - 6, _SINGLE if box.lanes == 1 else room - 6)
    return _STAGE + room * (box.lane + 0.5) - wide / 2, _TOP + box.level * _ROW, wide


def _box(box: Box, inner: float, table: LayerTable, longest: float, places: int) -> Markup:
    left, top, wide = _frame(box, inner)
    row = box.row
    heat = row.time_ms / longest if longest > 0 else 0.0
    time = aligned(row.time_ms, places)
    room = wide - 12
    shown = time if width(time, 10.5) + 40 <= room else ""
    name = fitted(_label(box), room - (width(time, 10.5) + 8 if shown else 0), 10.5)
    told = f"{row.layer} ({row.op}): {rounded(row.time_ms)} ms, {100 * share(row, table):.1f} % of the layers"
    return el(
        "g",
        el("title", f"{told}, {row.caller or row.source}".removesuffix(", ")),
        el(
            "rect", x=left, y=top, width=wide, height=_BOX, rx=4, class_="layer",
            style=f"fill:color-mix(in oklab,var(--cold),var(--hot) {100 * heat:.0f}%)",
        ),
        el("text", name, x=left + 6, y=top + 13.5, class_="inbox") if name else None,
        el("text", shown, x=left + wide - 6, y=top + 13.5, text_anchor="end", class_="inbox num") if shown else None,
    )  # fmt: skip


def _label(box: Box) -> str:
    """The path without its stage, which stands at the side."""
    stage = box.row.stage
    return box.row.layer.removeprefix(f"{stage}.") if stage else box.row.layer


def _line(layout: Layout, source: str, target: str, column: int, inner: float, height: int) -> Markup | None:
    a, b = layout.boxes[source], layout.boxes[target]
    if column not in (a.column, b.column):
        return None
    if a.column == b.column == column:
        return _within(a, b, inner)
    if a.column == column:
        # It goes on in another column: a stub at the foot.
        left, top, wide = _frame(a, inner)
        return el("path", d=_bent(left + wide / 2, top + _BOX, _STAGE + inner / 2, height - 2.0), class_="edge open")
    left, top, wide = _frame(b, inner)
    return el("path", d=_bent(_STAGE + inner / 2, 2.0, left + wide / 2, top), class_="edge open")


def _within(a: Box, b: Box, inner: float) -> Markup:
    left, top, wide = _frame(a, inner)
    to_left, to_top, to_wide = _frame(b, inner)
    if b.level == a.level + 1:
        return el("path", d=_bent(left + wide / 2, top + _BOX, to_left + to_wide / 2, to_top), class_="edge")
    # Around what lies between, the farther the longer it is.
    far = _STAGE + inner + min(_SKIP - 3, 7 + 2.2 * (b.level - a.level))
    start, end = (left + wide, top + _BOX / 2), (to_left + to_wide, to_top + _BOX / 2)
    path = (
        f"M{start[0]:.1f} {start[1]:.1f}C{far:.1f} {start[1]:.1f} {far:.1f} {start[1]:.1f} {far:.1f} {start[1] + 10:.1f}"
        f"V{end[1] - 10:.1f}C{far:.1f} {end[1]:.1f} {far:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    )
    return el("path", d=path, class_="edge skip")


def _bent(x1: float, y1: float, x2: float, y2: float) -> str:
    if abs(x1 - x2) < 0.5:
        return f"M{x1:.1f} {y1:.1f}V{y2:.1f}"
    middle = (y1 + y2) / 2
    return f"M{x1:.1f} {y1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"


def _stages(boxes: Sequence[Box]) -> Markup:
    parts = []
    for stage, first, last in _runs(boxes):
        top, bottom = _TOP + first * _ROW, _TOP + last * _ROW + _BOX
        parts.append(el("rect", x=14, y=top, width=3, height=bottom - top, rx=1.5, class_="stage"))
        if width(stage, 11) <= bottom - top:
            centre = (top + bottom) / 2
            turn = f"rotate(-90 9 {centre:.1f})"
            parts.append(el("text", stage, x=9, y=centre, text_anchor="middle", transform=turn, class_="tick"))
    return joined(parts)


def _runs(boxes: Sequence[Box]) -> Iterator[tuple[str, int, int]]:
    """(stage, first level, last level) of neighbouring levels that belong to one stage; levels of two stages to neither."""
    by_level: dict[int, set[str]] = {}
    for box in boxes:
        by_level.setdefault(box.level, set()).add(box.row.stage)
    levels = sorted(by_level)
    for stage, run in groupby(
        levels, key=lambda level: next(iter(by_level[level])) if len(by_level[level]) == 1 else ""
    ):
        found = list(run)
        if stage:
            yield stage, found[0], found[-1]


def _key(longest: float) -> Markup:
    return el(
        "p", "0", el("i", class_="ramp"), f"{rounded(longest)} ms", el("span", " a layer · point at a box for its figures"),
        class_="note key",
    )  # fmt: skip
