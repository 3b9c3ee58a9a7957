"""Two pictures of the timed runs of one point: how often which latency came, and in which order they came."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ..profile.record import Point
from .figures import rounded
from .markup import Markup, el, joined
from .scale import Scale, axis_below, axis_left, spread, width

WIDTH, HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, WIDTH - 12.0, 62.0, HEIGHT - 44.0
# Dots of a plot: more would only thicken the same cloud.
_DOTS = 1500


def histogram(point: Point) -> Markup:
    """Latency distribution with median, its interval, p90 and p99; the far tail is counted beside the plot."""
    samples = sorted(point.samples_ms)
    low, high = window(samples)
    x = Scale(low, high, _LEFT, _RIGHT)
    inside = [v for v in samples if low <= v <= high]
    counts = binned(inside, low, high)
    y = Scale(0, max(counts), _BOTTOM, _TOP)
    bars = [
        el(
            "rect", x=_LEFT + k * (_RIGHT - _LEFT) / len(counts) + 0.5, y=y(n), height=_BOTTOM - y(n),
            width=(_RIGHT - _LEFT) / len(counts) - 1, class_="bar",
        )
        for k, n in enumerate(counts)
        if n
    ]  # fmt: skip
    parts = [
        axis_left(y, _LEFT, _RIGHT, "runs", 4),
        bars,
        _interval(point, x),
        _marks(point, x),
        _beyond(samples, high),
    ]
    text = f"Latency distribution of {point.label}: median {rounded(point.latency.p50_ms)} ms"
    return figure(joined(axis_below(x, _TOP, _BOTTOM, "latency, ms"), parts), text, "distribution")


def order(point: Point) -> Markup:
    """Every run in the order of time, and the running median: drift, two clocks and neighbours show here."""
    samples = point.samples_ms
    low, high = window(sorted(samples))
    x, y = Scale(0, max(1, len(samples) - 1), _LEFT, _RIGHT), Scale(low, high, _BOTTOM, _TOP)
    step = max(1, len(samples) // _DOTS)
    dots = "".join(f"M{x(k):.1f} {y(min(samples[k], high)):.1f}h0" for k in range(0, len(samples), step))
    span = min(len(samples), max(5, len(samples) // 40))
    middles = [
        (x(k + span / 2), y(min(high, statistics.median(samples[k : k + span]))))
        for k in range(0, len(samples) - span + 1, span)
    ]
    line = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in middles)
    parts = [
        axis_left(y, _LEFT, _RIGHT, "latency, ms", 5),
        axis_below(x, _BOTTOM, _BOTTOM, "run"),
        el("path", d=dots, class_="dots"),
        el("path", d=line, class_="line"),
        el("text", f"running median of {span}", x=_RIGHT, y=_TOP - 12, text_anchor="end", class_="accent label"),
    ]
    return figure(joined(parts), f"The {len(samples)} timed runs in order", "order")


def window(ordered: Sequence[float]) -> tuple[float, float]:
    """What a plot shows: the smallest to a little past p99, so that one outlier does not flatten everything else."""
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]
    low, high = ordered[0], min(ordered[-1], p99 + (p99 - p50) * 0.5)
    room = max((high - low) * 0.03, p50 * 1e-3, 1e-9)
    return max(0.0, low - room), high + room


def binned(values: Sequence[float], low: float, high: float, bins: int = 0) -> list[int]:
    """Counts in equal bins; where no number is given, as many as Freedman and Diaconis (1981) ask for, 12 to 64."""
    ordered = sorted(values)
    spread_ = ordered[(3 * len(ordered)) // 4 if len(ordered) > 1 else 0] - ordered[len(ordered) // 4]
    step = 2 * spread_ / len(ordered) ** (1 / 3)
    bins = bins or (12 if step <= 0 else max(12, min(64, round((high - low) / step))))
    counts = [0] * bins
    for value in ordered:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    return counts


def figure(content: Markup, title: str, name: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Markup:
    """A plot of its natural size, with the sentence that says what it shows."""
    return el(
        "svg", el("title", title), content, viewbox=f"0 0 {size[0]} {size[1]}", width=size[0], height=size[1],
        role="img", class_=f"plot {name}",
    )  # fmt: skip


def _interval(point: Point, x: Scale) -> Markup:
    figures = point.latency
    left, right = x(max(x.low, figures.ci95_low_ms)), x(min(x.high, figures.ci95_high_ms))
    return el(
        "rect", el("title", "95 % confidence interval of the median"), x=left, y=_TOP, width=max(1.0, right - left),
        height=_BOTTOM - _TOP, class_="band",
    )  # fmt: skip


def _marks(point: Point, x: Scale) -> Markup:
    found = [("median", point.latency.p50_ms), ("p90", point.latency.p90_ms)]
    found += [("p99", point.latency.p99_ms)] if point.latency.count >= 100 else []
    shown = [(f"{name} {rounded(value)}", x(value)) for name, value in found if x.low <= value <= x.high]
    widths = [width(text) for text, _ in shown]
    centres = [min(max(at, _LEFT + w / 2), _RIGHT - w / 2) for (_, at), w in zip(shown, widths, strict=True)]
    rows = spread(centres, widths, 3)
    parts = []
    for (text, at), centre, row in zip(shown, centres, rows, strict=True):
        base = _TOP - 8 - 17 * row
        kind = "mark strong" if text.startswith("median") else "mark"
        parts.append(el("line", x1=at, x2=at, y1=base + 4, y2=_BOTTOM, class_=kind))
        parts.append(el("text", text, x=centre, y=base, text_anchor="middle", class_=kind))
    return joined(parts)


def _beyond(samples: Sequence[float], high: float) -> Markup | None:
    more = sum(v > high for v in samples)
    if not more:
        return None
    text = f"{more} slower, up to {rounded(samples[-1])} →"
    return el("text", text, x=_RIGHT, y=_BOTTOM - 8, text_anchor="end", class_="note")
