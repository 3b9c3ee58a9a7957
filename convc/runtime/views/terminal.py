"""A profile as lines for a terminal: figures of each point, the dearest layers with bars, what they add up to."""

from __future__ import annotations

from collections.abc import Sequence

from ..profile.record import LayerRow, LayerTable, Point, Profile
from .figures import aligned, decimals_for, percent, rounded, scaled
from .groups import KEYS, grouped, ranked, share
from .scale import fitted

ROWS = 20
_BAR = 24
_NAME = 44
_EIGHTHS = " ▏▎▍▌▋▊▉"


def profile_text(profile: Profile, rows: int = ROWS, *, blocks: bool = True) -> str:
    """Everything a person asks first; `rows` layers a table, bars of ASCII where `blocks` is False."""
    lines = [_head(profile)]
    lines += [f"warning: {text}" for text in profile.warnings]
    if len(profile.points) > 1:
        lines += ["", *_points(profile.points)]
    single = len(profile.points) == 1
    for point in profile.points:
        # The table has the figures of a sweep's points; what follows is for those that say more.
        if single or point.layers is not None or point.warnings:
            lines += ["", *_point(point)]
        if point.layers is not None:
            lines += ["", *_layers(point.layers, rows, blocks)]
    lines += [f"note: {text}" for text in profile.notes]
    return "\n".join(lines)


def bar(part: float, cells: int = _BAR, *, blocks: bool = True) -> str:
    """A bar of `part` (0 to 1) of `cells` characters, to an eighth of one where blocks may be used."""
    part = min(1.0, max(0.0, part))
    if not blocks:
        return ("#" * round(part * cells)).ljust(cells)
    eighths = round(part * cells * 8)
    # Something that took time is never shown as nothing.
    eighths = max(1, eighths) if part > 0 else 0
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(cells)


def _head(profile: Profile) -> str:
    model = profile.model
    of = f" built from {model.spec}" if model.spec else ""
    return f"{model.file}{of}, {scaled(model.bytes, 'B')}, on {profile.start.cpu_model}"


def _points(points: Sequence[Point]) -> list[str]:
    head = ("point", "median ms", "p90 ms", "images/s", "first run ms", "session ms")
    body = [
        (
            point.label,
            rounded(point.latency.p50_ms),
            rounded(point.latency.p90_ms),
            rounded(point.throughput.samples_per_s) if point.throughput else "–",
            rounded(point.first_run_ms),
            rounded(point.session_ms),
        )
        for point in points
    ]
    widths = [max(len(row[k]) for row in [head, *body]) for k in range(len(head))]
    return ["  ".join(_cell(text, k, widths[k]) for k, text in enumerate(row)).rstrip() for row in [head, *body]]


def _cell(text: str, column: int, width: int) -> str:
    return text.rjust(width) if column else text.ljust(width)


def _point(point: Point) -> list[str]:
    told = point.latency
    half = (told.ci95_high_ms - told.ci95_low_ms) / 2
    tail = f", p99 {rounded(told.p99_ms)}" if told.count >= 100 else ""
    lines = [
        point.label,
        f"  latency     median {rounded(told.p50_ms)} ms ± {rounded(half, 2)}, p90 {rounded(told.p90_ms)}{tail}, "
        f"min {rounded(told.min_ms)}, max {rounded(told.max_ms)}, {told.count} runs",
        f"  cold start  session {rounded(point.session_ms)} ms, first run {rounded(point.first_run_ms)} ms, "
        f"warm after {point.warmup.runs} runs",
    ]
    if point.throughput is not None:
        lines.append(f"  throughput  {rounded(point.throughput.samples_per_s)} images/s in a loop of its own")
    if moved := _transfers(point):
        lines.append(f"  transfers   {moved}")
    return [*lines, *(f"  warning: {text}" for text in point.warnings)]


def _transfers(point: Point) -> str:
    """Only where there is a device to copy to."""
    told = point.transfers
    named = [("enqueue", told.enqueue_ms), ("H2D", told.h2d_ms), ("compute", told.compute_ms), ("D2H", told.d2h_ms)]
    if told.h2d_ms is None and told.enqueue_ms is None:
        return ""
    return ", ".join(f"{name} {rounded(value)} ms" for name, value in named if value is not None)


def _layers(table: LayerTable, rows: int, blocks: bool) -> list[str]:
    best = ranked(table)[: max(0, rows)]
    longest = max((row.time_ms for row in best), default=0.0) or 1.0
    places = decimals_for(longest)
    found: list[tuple[str, ...]] = [("layer", " " * _BAR, "ms", "share", "GMAC/s", "roof", "line")]
    found += [_row(row, table, longest, places, blocks) for row in best]
    lines = _columns(found)
    if len(table.rows) > len(best):
        rest = table.sum_ms - sum(row.time_ms for row in best)
        lines.append(f"  {len(table.rows) - len(best)} more layers: {aligned(rest, places)} ms")
    kinds = ", ".join(f"{group.name} {percent(group.share, 0)}" for group in grouped(table, KEYS["operator"])[:5])
    return [
        *lines,
        f"  by operator: {kinds}",
        f"  the layers sum to {rounded(table.sum_ms)} ms of {rounded(table.run_ms)} ms of the same runs: closure "
        f"{percent(table.closure)}; unclaimed {rounded(table.unclaimed_ms)} ms; profiled / unprofiled "
        f"{rounded(table.profiled_over_unprofiled)} ({table.method})",
    ]


def _row(row: LayerRow, table: LayerTable, longest: float, places: int, blocks: bool) -> tuple[str, ...]:
    more = f" +{len(row.owners) - 1}" if len(row.owners) > 1 else ""
    name = fitted(row.layer, (_NAME - len(more)) * 12 * 0.58) + more
    return (
        name,
        bar(row.time_ms / longest, blocks=blocks),
        aligned(row.time_ms, places),
        percent(share(row, table)),
        rounded(row.gmacs_per_s) if row.gmacs_per_s is not None else "",
        percent(row.roofline_share, 0) if row.roofline_share is not None else "",
        row.caller or row.source,
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    right = {2, 3, 4, 5}
    return [
        "  " + "  ".join(t.rjust(widths[k]) if k in right else t.ljust(widths[k]) for k, t in enumerate(row)).rstrip()
        for row in rows
    ]
