"""The roofline: how fast each layer computes, against how much it computes for each byte it moves.

    roof(i) = min(peak, i * bandwidth)        i = MACs / byte

Both limits were measured on the machine at hand; small moves stay in caches and are faster: the dashed line is the fastest.
Williams, Waterman and Patterson (2009), "Roofline". Dots below the slope wait for memory, dots below the flat part compute; the
area of a dot is the layer's time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..profile.record import LayerRow, LayerTable, Peak
from .distribution import figure
from .figures import rounded
from .groups import ranked
from .kinds import Kinds
from .markup import Markup, el, joined
from .scale import Scale, axis_below, axis_left, fitted, width

WIDTH, HEIGHT = 640, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, WIDTH - 16.0, 40.0, HEIGHT - 70.0
_NAMED = 8
_LARGEST = 15.0


def roofline(table: LayerTable, peak: Peak | None, kinds: Kinds) -> Markup | None:
    """The plot; None where no layer has multiply-accumulates and time."""
    rows = plotted(table)
    if not rows:
        return None
    x, y = _scales(rows, peak)
    parts = [axis_below(x, _TOP, _BOTTOM, "MACs per byte moved"), axis_left(y, _LEFT, _RIGHT, "GMAC/s")]
    parts += [_roof(peak, x, y)] if peak else []
    longest = max(row.time_ms for row in rows)
    dots = [(x(intensity(row)), y(rate(row)), _LARGEST * math.sqrt(row.time_ms / longest), row) for row in rows]
    parts.append(joined([_dot(cx, cy, max(2.0, r), row, kinds) for cx, cy, r, row in dots]))
    parts.append(_labels([(cx, cy, max(2.0, r), row.layer) for cx, cy, r, row in dots[:_NAMED]]))
    parts.append(_legend(kinds, {row.op for row in rows}))
    return figure(joined(parts), "Roofline of the layers", "roofline", (WIDTH, HEIGHT))


def plotted(table: LayerTable) -> list[LayerRow]:
    """The layers that have a place in the plot, the dearest first."""
    return [row for row in ranked(table) if row.macs and row.bytes and row.time_ms > 0]


def intensity(row: LayerRow) -> float:
    """MACs per byte."""
    return (row.macs or 0) / (row.bytes or 1)


def rate(row: LayerRow) -> float:
    """GMAC/s."""
    return (row.macs or 0) / row.time_ms / 1e6


def _scales(rows: Sequence[LayerRow], peak: Peak | None) -> tuple[Scale, Scale]:
    across = [intensity(row) for row in rows]
    up = [rate(row) for row in rows]
    if peak:
        up.append(peak.gmacs_per_s)
        across.append(peak.gmacs_per_s / peak.gbytes_per_s)
    x = Scale(min(across) / 1.6, max(across) * 1.6, _LEFT, _RIGHT, log=True)
    return x, Scale(min(up) / 1.6, max(up) * 1.8, _BOTTOM, _TOP, log=True)


def _roof(peak: Peak, x: Scale, y: Scale) -> Markup:
    """Slope and flat part, cut off at the plot's edges."""
    ridge = peak.gmacs_per_s / peak.gbytes_per_s
    lowest = max(x.low, y.low / peak.gbytes_per_s)
    points = [(lowest, lowest * peak.gbytes_per_s), (ridge, peak.gmacs_per_s), (x.high, peak.gmacs_per_s)]
    line = "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
    flat = f"{rounded(peak.gmacs_per_s)} GMAC/s"
    slope = f"{rounded(peak.gbytes_per_s)} GB/s"
    middle = math.sqrt(lowest * ridge)
    return joined(
        el("path", d=f"{line}V{_TOP}H{x(lowest):.1f}Z", class_="above"),
        el("path", d=line, class_="roof"),
        _caches(peak, x, y),
        el("text", flat, x=_RIGHT, y=y(peak.gmacs_per_s) - 8, text_anchor="end", class_="accent label"),
        el(
            "text",
            slope,
            x=x(middle) - 10,
            y=y(middle * peak.gbytes_per_s) - 6,
            text_anchor="end",
            class_="accent label",
        )
        if x(ridge) - x(lowest) > 90
        else None,
    )


def _caches(peak: Peak, x: Scale, y: Scale) -> Markup | None:
    """The slope of the fastest move that was measured, where it is another."""
    best = max((one.gbytes_per_s for one in peak.bandwidths), default=0.0)
    if best < 1.2 * peak.gbytes_per_s:
        return None
    low, high = max(x.low, y.low / best), peak.gmacs_per_s / best
    if high <= low:
        return None
    middle = math.sqrt(low * high)
    text = f"in caches {rounded(best)} GB/s"
    fits = x(middle) - 10 - width(text) > _LEFT
    return joined(
        el("path", d=f"M{x(low):.1f} {y(low * best):.1f}L{x(high):.1f} {y(peak.gmacs_per_s):.1f}", class_="roof cache"),
        el("text", text, x=x(middle) - 10, y=y(middle * best) - 6, text_anchor="end", class_="accent label")
        if fits
        else None,
    )


def _dot(cx: float, cy: float, r: float, row: LayerRow, kinds: Kinds) -> Markup:
    text = (
        f"{row.layer}: {rounded(row.time_ms)} ms, {rounded(rate(row))} GMAC/s, {rounded(intensity(row))} MACs per byte"
    )
    return el("circle", el("title", text), cx=cx, cy=cy, r=r, class_=f"dot {kinds.css(row.op)}")


def _labels(dots: Sequence[tuple[float, float, float, str]]) -> Markup:
    """Names beside their dots, left out where they would lie on another name or dot's middle."""
    taken: list[tuple[float, float, float, float]] = []
    parts = []
    for cx, cy, r, name in dots:
        text = fitted(name, 170, 11)
        wide = width(text, 11)
        for left, base in (
            (cx + r + 4, cy + 4),
            (cx - r - 4 - wide, cy + 4),
            (cx - wide / 2, cy - r - 5),
            (cx - wide / 2, cy + r + 13),
        ):
            box = (left, base - 10, left + wide, base + 3)
            inside = box[0] >= _LEFT and box[2] <= _RIGHT and box[1] >= _TOP and box[3] <= _BOTTOM
            if inside and not any(_meet(box, other) for other in taken) and not any(_covers(box, d) for d in dots):
                taken.append(box)
                parts.append(el("text", text, x=left, y=base, class_="point"))
                break
    return joined(parts)


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _covers(box: tuple[float, float, float, float], dot: tuple[float, float, float, str]) -> bool:
    return box[0] < dot[0] < box[2] and box[1] < dot[1] < box[3]


def _legend(kinds: Kinds, used: set[str]) -> Markup:
    parts, at = [], _LEFT
    for name, css in kinds.legend():
        if name not in used:
            continue
        parts.append(el("circle", cx=at + 5, cy=HEIGHT - 12, r=5, class_=f"dot {css}"))
        parts.append(el("text", name, x=at + 15, y=HEIGHT - 8, class_="tick"))
        at += 15 + width(name, 11) + 18
    return joined(parts)
