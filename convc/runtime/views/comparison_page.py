"""The page of a comparison: the verdict with its interval, the runs behind it, and what the two are made of."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from .distribution import HEIGHT, WIDTH, binned, figure, window
from .figures import aligned, decimals_for, rounded, signed_percent
from .markup import Child, Markup, el, joined
from .scale import Scale, axis_below, axis_left, width
from .shell import facts, lines, page, rows, section, warnings

if TYPE_CHECKING:
    from ..compare.report import Comparison, Side

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, WIDTH - 12.0, 40.0, HEIGHT - 44.0
_SHOWN_LAYERS = 20


def comparison_page(report: Comparison) -> str:
    """One HTML document; the figures in it are those of the comparison."""
    lead = el("p", "A ", el("b", report.a.label), el("br"), "B ", el("b", report.b.label), class_="lead")
    body: list[Child] = [
        _verdict(report),
        warnings(report.notes),
        section("latency", "Latency", el("div", _ratios(report), _histograms(report), class_="figures")),
        _costs(report),
        _layers(report),
    ]
    how = "run in turn" if report.live else "measured at different times"
    return page("Comparison", lead, body, f"convc compare · {report.where} · {how}")


def _verdict(report: Comparison) -> Markup:
    from ..compare.report import interval_text

    told = report.verdict
    middles = [statistics.median(report.times_ms(side)) for side in ("a", "b")]
    figures = facts(
        ("A", rounded(middles[0]), "ms", f"median of {len(report.times_ms('a'))} runs"),
        ("B", rounded(middles[1]), "ms", f"median of {len(report.times_ms('b'))} runs"),
        ("B against A", signed_percent(told.ratio), "", interval_text(told)),
        ("limit", f"{100 * report.limit:g}", "% slower", "passed" if not report.failed else "failed")
        if report.limit is not None
        else (
            "smallest difference called one",
            f"{100 * told.resolution:.3g}",
            "%",
            "two loads of one file differ by less",
        ),
    )
    head = el("p", f"{told.sentence}.", class_=f"verdict {told.word}")
    return el("section", head, figures, id="verdict")


def _ratios(report: Comparison) -> Markup:
    """B over A of every pair in the order of time, the estimate and its interval, and the band that counts as equal."""
    told = report.verdict
    values = [100 * (math.exp(pair.log_ratio) - 1) for pair in report.pairs]
    ordered = sorted(values)
    inner = ordered[len(ordered) // 20 : len(ordered) - len(ordered) // 20] or ordered
    edge = 100 * told.resolution
    low, high = min(inner[0], -edge * 1.6), max(inner[-1], edge * 1.6)
    x = Scale(0, max(1, len(values) - 1), _LEFT, _RIGHT)
    y = Scale(low - (high - low) * 0.08, high + (high - low) * 0.08, _BOTTOM, _TOP)
    dots = "".join(f"M{x(k):.1f} {y(min(max(v, y.low), y.high)):.1f}h0" for k, v in enumerate(values))
    centre = y(100 * (told.ratio - 1))
    parts = [
        el("rect", x=_LEFT, width=_RIGHT - _LEFT, y=y(edge), height=y(-edge) - y(edge), class_="equal"),
        axis_left(y, _LEFT, _RIGHT, "B against A, %, pair by pair", 5),
        axis_below(x, _BOTTOM, _BOTTOM, "pair"),
        el("line", x1=_LEFT, x2=_RIGHT, y1=y(0), y2=y(0), class_="zero"),
        el("path", d=dots, class_="dots"),
        _interval(report, y),
        el("line", x1=_LEFT, x2=_RIGHT, y1=centre, y2=centre, class_="line"),
    ]
    return figure(joined(parts), "Ratio of each pair of blocks, and the estimate with its interval", "ratios")


def _interval(report: Comparison, y: Scale) -> Markup | None:
    from ..compare.report import known

    told = report.verdict
    if not known(told):
        return None
    top = max(_TOP, y(100 * (told.high - 1)))
    bottom = min(_BOTTOM, y(100 * (told.low - 1)))
    return el("rect", x=_LEFT, width=_RIGHT - _LEFT, y=top, height=max(1.0, bottom - top), class_="band")


def _histograms(report: Comparison) -> Markup:
    """A upwards and B downwards on one axis."""
    a, b = report.times_ms("a"), report.times_ms("b")
    spans = [window(sorted(side)) for side in (a, b)]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    x = Scale(low, high, _LEFT, _RIGHT)
    middle = (_TOP + _BOTTOM) / 2
    parts: list[Child] = [axis_below(x, _TOP, _BOTTOM, "latency, ms")]
    inside = [[v for v in side if low <= v <= high] for side in (a, b)]
    bins = max(len(binned(side, low, high)) for side in inside)
    shares = [[count / len(side) for count in binned(side, low, high, bins)] for side in inside]
    tallest = max(max(share) for share in shares)
    step = (_RIGHT - _LEFT) / bins
    for up, share, css in ((True, shares[0], "k0"), (False, shares[1], "k1")):
        for k, part in enumerate(share):
            height = part / tallest * (middle - _TOP - 4)
            if part:
                top = middle - height if up else middle
                parts.append(el("rect", x=_LEFT + k * step + 0.5, y=top, width=step - 1, height=height, class_=css))
    for side, name, css in ((a, "A", "t0"), (b, "B", "t1")):
        at = x(statistics.median(side))
        y1, y2 = (_TOP, middle) if name == "A" else (middle, _BOTTOM)
        parts.append(el("line", x1=at, x2=at, y1=y1, y2=y2, class_="mark"))
        text = f"{name} median {rounded(statistics.median(side))}"
        anchor = _LEFT if name == "A" else _RIGHT - width(text)
        parts.append(el("text", text, x=anchor, y=_TOP - 8, class_=f"name {css}"))
    parts.append(el("line", x1=_LEFT, x2=_RIGHT, y1=middle, y2=middle, class_="axis"))
    return figure(joined(parts), "Latency distributions: A above, B below", "distributions")


def _costs(report: Comparison) -> Markup:
    from ..compare.report import cost_rows, op_rows

    a, b = report.a.structure, report.b.structure
    cost: list[tuple[Child, ...]] = list(cost_rows(a, b))
    ops: list[tuple[Child, ...]] = [
        (op, str(x), str(y), f"{y - x:+d}".replace("-", "−") if x != y else "") for op, x, y in op_rows(a, b)
    ]
    left = el("div", el("h3", "Cost"), rows(("", "A", "B", "B against A"), cost, "costs"), class_="panel")
    right = el(
        "div", el("h3", "Nodes by operator"), rows(("operator", "A", "B", "difference"), ops, "ops"), class_="panel"
    )
    return section("structure", "Structure and cost", el("div", left, right if ops else None, class_="panels"))


def _layers(report: Comparison) -> Markup | None:
    """Where both have layers by the same names: which of them moved most."""
    pairs = _matched(report.a, report.b)
    if not pairs:
        return None
    moved = sorted(pairs, key=lambda one: -abs(one[2] - one[1]))[:_SHOWN_LAYERS]
    places = decimals_for(max(max(a, b) for _, a, b in moved))
    body: list[tuple[Child, ...]] = [
        (
            el("span", name, class_="path"),
            aligned(a, places),
            aligned(b, places),
            aligned(b - a, places).replace("-", "−"),
        )
        for name, a, b in moved
    ]
    told = lines(f"The {len(moved)} of {len(pairs)} layers that differ most, ms.")
    return section("layers", "Layers", told, rows(("layer", "A", "B", "B − A"), body, "moved"))


def _matched(a: Side, b: Side) -> list[tuple[str, float, float]]:
    if a.layers is None or b.layers is None:
        return []
    there = {row.layer: row.time_ms for row in b.layers.rows}
    return [(row.layer, row.time_ms, there[row.layer]) for row in a.layers.rows if row.layer in there]
