"""A sweep as lines: latency and throughput over the batch size, the image's size or the threads, one line a series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from ..profile.record import Point
from .distribution import figure
from .figures import rounded, size_text
from .markup import Markup, el, joined
from .scale import Scale, axis_below, axis_left, spread, width

WIDTH, HEIGHT = 640, 320
_LEFT, _TOP, _BOTTOM = 52.0, 40.0, HEIGHT - 48.0
# Room at the right for the names of the lines.
_NAMES = 150.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Something that varies over the points: its name, its value as a number, its value as text."""

    name: str
    value: Callable[[Point], float]
    text: Callable[[Point], str]


AXES = (
    Axis("batch", lambda p: float(p.batch), lambda p: f"batch {p.batch}"),
    Axis("pixels", lambda p: float(prod(p.size)), lambda p: size_text(p.size)),
    Axis("threads", lambda p: float(p.threads), lambda p: f"threads {p.threads or 'automatic'}"),
)


def sweep(points: Sequence[Point]) -> Markup | None:
    """Latency and throughput side by side; None where no number varies."""
    axis = swept(points)
    if axis is None:
        return None
    latency = _plot(points, axis, "median latency, ms", lambda p: p.latency.p50_ms)
    through = _plot(points, axis, "images per second", lambda p: p.throughput.samples_per_s if p.throughput else None)
    return el("div", [latency, through], class_="figures")


def swept(points: Sequence[Point]) -> Axis | None:
    """The first axis with more than one value."""
    return next((axis for axis in AXES if len({axis.value(p) for p in points}) > 1), None)


def series(points: Sequence[Point], axis: Axis) -> dict[str, list[Point]]:
    """The points of each line, in order, by a name that says what sets the line apart."""
    others = [one for one in AXES if one is not axis and len({one.value(p) for p in points}) > 1]
    providers = len({p.provider.name for p in points}) > 1
    found: dict[str, list[Point]] = {}
    for point in points:
        parts = [point.provider.name] if providers or not others else []
        found.setdefault(", ".join([*parts, *(one.text(point) for one in others)]), []).append(point)
    return {name: sorted(line, key=axis.value) for name, line in found.items()}


def _plot(points: Sequence[Point], axis: Axis, title: str, value: Callable[[Point], float | None]) -> Markup | None:
    lines = {
        name: [(axis.value(p), v) for p in line if (v := value(p)) is not None]
        for name, line in series(points, axis).items()
    }
    lines = {name: line for name, line in lines.items() if line}
    if not lines:
        return None
    across = sorted({a for line in lines.values() for a, _ in line})
    x = Scale(across[0] / 1.1, across[-1] * 1.1, _LEFT, WIDTH - _NAMES, log=across[0] > 0)
    y = Scale(0, max(v for line in lines.values() for _, v in line) * 1.08, _BOTTOM, _TOP)
    parts = [axis_below(x, _TOP, _BOTTOM, axis.name, _apart(across, x)), axis_left(y, _LEFT, WIDTH - _NAMES, title)]
    for k, line in enumerate(lines.values()):
        path = "M" + "L".join(f"{x(a):.1f} {y(v):.1f}" for a, v in line)
        parts.append(el("path", d=path, class_=f"series s{k % 6}"))
        parts += [
            el(
                "circle",
                el("title", f"{axis.name} {a:g}: {rounded(v)}"),
                cx=x(a),
                cy=y(v),
                r=3.5,
                class_=f"dot k{k % 6}",
            )
            for a, v in line
        ]
    return figure(joined(parts, _names(lines, y)), f"{title} over {axis.name}", "sweep", (WIDTH, HEIGHT))


def _apart(values: Sequence[float], x: Scale) -> list[float]:
    """Ticks at the points that were measured, thinned until their labels do not touch."""
    rows = spread([x(v) for v in values], [width(f"{v:g}", 11) for v in values], 2)
    return [v for v, row in zip(values, rows, strict=True) if row == 0]


def _names(lines: dict[str, list[tuple[float, float]]], y: Scale) -> Markup:
    """At the end of each line, moved down where two would touch."""
    parts, free = [], 0.0
    for name, line in sorted(lines.items(), key=lambda item: y(item[1][-1][1])):
        at = max(y(line[-1][1]) + 4, free)
        free = at + 15
        place = list(lines).index(name)
        parts.append(
            el("text", f"{name} {rounded(line[-1][1])}", x=WIDTH - _NAMES + 8, y=at, class_=f"name t{place % 6}")
        )
    return joined(parts)
