"""The page of a profile: what was measured, how sure it is, where the time goes, on which machine."""

from __future__ import annotations

from ..profile.record import LayerTable, Peak, Point, Profile
from .distribution import histogram, order
from .drawing import drawing
from .figures import aligned, decimals_for, percent, rounded, scaled
from .kinds import Kinds
from .layers import counted, group_tables, layer_tables
from .machine import machine_section
from .markup import Child, Markup, el
from .roofline import plotted, roofline
from .shell import facts, lines, page, rows, section, warnings
from .sweep import sweep

# A distribution of fewer runs is a row of numbers, not a shape.
_LEAST_RUNS = 5
_GAINS = 12


def profile_page(profile: Profile) -> str:
    """One HTML document; the figures in it are those of the record."""
    lead = profile.points[0] if profile.points else None
    body: list[Child] = [warnings((*profile.warnings, *(lead.warnings if lead else ())))]
    if lead is not None:
        body += [_summary(lead, profile), _sweep(profile), _latency(profile)]
    body += [_layers(profile, point, k) for k, point in enumerate(profile.points) if point.layers]
    body.append(machine_section(profile))
    foot = f"convc {profile.convc} · {profile.model.file} · sha256 {profile.model.sha256[:16]}".replace("  ", " ")
    return page(f"{profile.model.name}: latency", _lead(profile), body, foot)


def peak_for(profile: Profile, point: Point) -> Peak | None:
    """The measured peak of the point's provider and thread count."""
    return next(
        (one for one in profile.peaks if (one.provider, one.threads) == (point.provider.name, point.threads)), None
    )


def _lead(profile: Profile) -> Markup:
    model = profile.model
    of = f"{model.file}, built from {model.spec}" if model.spec else model.file
    where = profile.start.cpu_model
    on = {point.provider.name for point in profile.points}
    if on - {"cpu"} and profile.start.gpus:
        where = profile.start.gpus[0].name
    text = f"{of}, {scaled(model.bytes, 'B')}, measured on {where}."
    return el("p", text, f" {model.weights.capitalize()}." if model.weights else None, class_="lead")


def _summary(point: Point, profile: Profile) -> Markup:
    told, through = point.latency, point.throughput
    half = (told.ci95_high_ms - told.ci95_low_ms) / 2
    found = [
        ("median latency", rounded(told.p50_ms), "ms", f"± {rounded(half, 2)} (95 %), {told.count} runs"),
        ("p90", rounded(told.p90_ms), "ms", f"fastest {rounded(told.min_ms)}"),
    ]
    if told.count >= 100:
        found.append(("p99", rounded(told.p99_ms), "ms", f"slowest {rounded(told.max_ms)}"))
    if through is not None:
        below = f"own loop, {rounded(through.seconds, 2)} s"
        found.append(("throughput", rounded(through.samples_per_s), "images/s", below))
    found.append(("first run", rounded(point.first_run_ms), "ms", f"session {rounded(point.session_ms)} ms"))
    if point.layers is not None and (macs := sum(row.macs or 0 for row in point.layers.rows)):
        rate, best = macs / told.p50_ms / 1e6, peak_for(profile, point)
        below = f"{percent(rate / best.gmacs_per_s, 0)} of the measured peak" if best else ""
        found.append(("achieved", rounded(rate), "GMAC/s", below))
    return facts(*found, ("where", point.provider.name, "", point.label.partition(" ")[2]))


def _sweep(profile: Profile) -> Markup | None:
    if len(profile.points) < 2:
        return None
    head = ("point", "median ms", "± ms", "p90", "p99", "images/s", "first run ms", "session ms")
    body: list[tuple[Child, ...]] = []
    for point in profile.points:
        told, through = point.latency, point.throughput
        half = (told.ci95_high_ms - told.ci95_low_ms) / 2
        body.append((
            point.label, rounded(told.p50_ms), rounded(half, 2), rounded(told.p90_ms),
            rounded(told.p99_ms) if told.count >= 100 else "–", rounded(through.samples_per_s) if through else "–",
            rounded(point.first_run_ms), rounded(point.session_ms),
        ))  # fmt: skip
    return section("sweep", "Sweep", rows(head, body, "points"), sweep(profile.points))


def _latency(profile: Profile) -> Markup:
    parts: list[Child] = []
    for k, point in enumerate(profile.points):
        title = el("h3", f"{point.label} · {_stopped(point)}")
        if len(point.samples_ms) < _LEAST_RUNS:
            shown: Child = el("p", "runs, ms: " + ", ".join(rounded(v) for v in point.samples_ms))
        else:
            shown = el("div", histogram(point), order(point), class_="figures")
        block = el("div", title, shown, class_="point")
        parts.append(block if k == 0 else el("details", el("summary", point.label), block))
    return section("latency", "Latency", parts)


def _stopped(point: Point) -> str:
    why = {"narrow": "stopped when the interval was narrow", "time": "stopped when the time was up"}
    bound = "IO binding" if point.io_binding else "copies included"
    warm = f"{point.warmup.runs} warm-up runs{'' if point.warmup.stable else ', not yet stable'}"
    return ", ".join(part for part in (warm, why.get(point.stopped, ""), bound) if part)


def _layers(profile: Profile, point: Point, place: int) -> Markup:
    table = point.layers
    assert table is not None, "asked for points with layers only"
    kinds = Kinds.of(table)
    first = next(k for k, p in enumerate(profile.points) if p.layers) == place
    suffix = "" if first else f"-{place}"
    title = "Layers" if len(profile.points) == 1 else f"Layers: {point.label}"
    plot = roofline(table, peak_for(profile, point), kinds)
    gain = el("div", plot, _to_gain(table), class_="figures")
    parts = [
        section(f"layers{suffix}", title, closure(table), group_tables(table, kinds), layer_tables(table, kinds)),
        section(f"roofline{suffix}", "Roofline", _roof_text(table, peak_for(profile, point)), gain) if plot else None,
        section(f"network{suffix}", "Network", drawing(table)),
    ]  # fmt: skip
    return el("div", parts) if first else el("details", el("summary", title), parts)


def closure(table: LayerTable) -> Markup:
    """What the parts add up to, and what looking at them costs."""
    methods = {
        "ort-profile": "ONNX Runtime’s own profile",
        "cupti": "kernel events of the GPU",
        "bracketed": "partial graphs, timed one by one",
    }
    text = (
        f"The layers sum to {rounded(table.sum_ms)} ms of the {rounded(table.run_ms)} ms that the same profiled runs took: "
        f"closure {percent(table.closure)}."
    )
    more = f" Unclaimed: {rounded(table.unclaimed_ms)} ms." if table.unclaimed_ms else " Nothing is unclaimed."
    cost = f" Profiling makes a run {rounded(table.profiled_over_unprofiled)} times as long."
    method = (table.method_note or methods.get(table.method, table.method)).rstrip(".")
    how = f"{method}. {table.kept} of {table.runs} runs are kept."
    return lines(el("span", text, more, cost, class_="closure"), el("span", how, class_="note"))


def _to_gain(table: LayerTable) -> Markup | None:
    """Time above the roof: what each layer would save if it reached the measured limits."""
    found = [(row.time_ms * (1 - row.roofline_share), row) for row in table.rows if row.roofline_share is not None]
    best = sorted((one for one in found if one[0] > 0), key=lambda one: -one[0])[:_GAINS]
    if not best:
        return None
    places = decimals_for(best[0][0])
    body: list[tuple[Child, ...]] = [
        (
            el("span", row.layer, class_="path", title=row.source),
            aligned(gain, places),
            percent(row.roofline_share, 0),
            row.bound,
        )
        for gain, row in best
    ]
    total = sum(gain for gain, _ in found if gain > 0)
    head = ("layer", "ms above", "of roofline", "bound by")
    title = el("h3", f"Time above the roof: {rounded(total)} ms in all")
    return el("div", title, rows(head, body, "gains"), class_="aside")


def _roof_text(table: LayerTable, peak: Peak | None) -> Markup:
    shown = plotted(table)
    left = table.sum_ms - sum(row.time_ms for row in shown)
    limits = (
        f"Limits measured here: {rounded(peak.gmacs_per_s)} GMAC/s, {rounded(peak.gbytes_per_s)} GB/s"
        f"{f' ({peak.method})' if peak.method else ''}."
        if peak
        else "No peak of this machine was measured: there is no roof to compare with."
    )
    rest = len(table.rows) - len(shown)
    more = f" Without MACs, and not shown: {counted(rest, 'layer')}, {rounded(left)} ms." if rest else ""
    return lines(f"The area of a dot is the layer’s time. {limits}{more}")


__all__ = ["closure", "peak_for", "profile_page"]
