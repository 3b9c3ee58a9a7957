"""A profile for a terminal: each point's figures, then its layers with bars, the closure, and what was warned of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .names import Group, grouped
from .record import LayerRow, LayerTable, Point, Profile
from .stats import P99_FLOOR

_BAR = 12
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_NAME = 48


def profile_text(found: Profile, *, by: str = "layer", rows: int = 20) -> str:
    """`by` sums the layers by layer, block, stage or op; `rows` limits each table, 0 shows all."""
    lines = [*_head(found), *_sweep(found.points)]
    for point in found.points:
        lines += ["", *_point(point, by, rows, alone=len(found.points) == 1)]
    lines += [f"warning: {text}" for text in found.warnings]
    lines += [f"note: {text}" for text in found.notes]
    return "\n".join(lines)


def _head(found: Profile) -> Iterator[str]:
    weights = (
        f", {found.model.weights}" if found.model.weights and not found.model.weights.startswith("sha256:") else ""
    )
    yield f"{found.model.name} ({found.model.file}, sha256 {found.model.sha256[:8]}{weights})"
    gpus = "".join(f"; {gpu.name}, driver {gpu.driver}" for gpu in found.start.gpus)
    versions = found.start.versions
    runtime = next((f"{n} {v}" for n, v in versions.items() if n.startswith("onnxruntime")), "onnxruntime ?")
    yield f"on {found.start.cpu_model}, {found.start.cpu_usable} threads usable{gpus}; {runtime}"
    for peak in found.peaks:
        threads = f", {peak.threads} threads" if peak.threads else ""
        yield f"peak of {peak.provider}{threads}: {peak.gmacs_per_s:.1f} GMAC/s, {peak.gbytes_per_s:.1f} GB/s ({peak.method})"


def _sweep(points: Sequence[Point]) -> Iterator[str]:
    """One line a point, where there are several."""
    if len(points) < 2:
        return
    names = [point.label for point in points]
    width = max(map(len, names))
    yield ""
    yield f"{'point':<{width}}  {'p50 ms':>9}  {'p90 ms':>9}  {'images/s':>9}"
    for name, point in zip(names, points, strict=True):
        rate = f"{point.throughput.samples_per_s:9.1f}" if point.throughput else ""
        yield f"{name:<{width}}  {point.latency.p50_ms:9.3f}  {point.latency.p90_ms:9.3f}  {rate}"


def _point(point: Point, by: str, rows: int, alone: bool) -> Iterator[str]:
    one = point.latency
    options = ", ".join(f"{k}={v}" for k, v in point.provider.options.items())
    notes = "; ".join([*point.provider.notes, *([options] if options else [])])
    yield f"{point.label}{f' ({notes})' if notes else ''}"
    tail = f"  p99 {one.p99_ms:.3f}" if one.count >= P99_FLOOR else ""
    yield (
        f"  latency     p50 {one.p50_ms:.3f} ms (95 % {one.ci95_low_ms:.3f} .. {one.ci95_high_ms:.3f})  p90 {one.p90_ms:.3f}"
        f"  p95 {one.p95_ms:.3f}{tail}  min {one.min_ms:.3f}  mean {one.mean_ms:.3f}; {one.count} runs, {_stopped(point)}"
    )
    yield (
        f"  cold start  session {point.session_ms:.1f} ms, first run {point.first_run_ms:.1f} ms, "
        f"warm-up {point.warmup.runs} runs in {point.warmup.ms:.0f} ms"
    )
    if point.throughput:
        yield f"  throughput  {point.throughput.samples_per_s:.1f} images/s over {point.throughput.seconds:.2f} s"
    moves = point.transfers
    if moves.h2d_ms is not None and moves.d2h_ms is not None and moves.enqueue_ms is not None:
        yield (
            f"  transfers   enqueue {moves.enqueue_ms:.3f}  H2D {moves.h2d_ms:.3f}  compute {moves.compute_ms:.3f}"
            f"  D2H {moves.d2h_ms:.3f} ms"
        )
    if not point.io_binding:
        yield "  no IO binding: copies and allocation are in the latency"
    for text in point.warnings:
        yield f"  warning: {text}"
    if point.layers is not None:
        yield ""
        yield from layer_lines(point.layers, by, rows)


def _stopped(point: Point) -> str:
    return {"narrow": "stopped when narrow", "time": "until the time was up", "count": "as asked"}.get(
        point.stopped, ""
    )


def layer_lines(table: LayerTable, by: str, rows: int) -> Iterator[str]:
    """The dearest layers or groups with bars, and below them how far they add up."""
    yield from _rows(table, rows) if by == "layer" else _groups(table, by, rows)
    yield (
        f"  sum of layers {table.sum_ms:.3f} ms of {table.run_ms:.3f} ms in the same {table.kept} of {table.runs} profiled runs: "
        f"closure {table.closure:.3f}; unclaimed {table.unclaimed_ms:.3f} ms; profiled/unprofiled "
        f"{table.profiled_over_unprofiled:.3f}"
    )
    yield f"  {table.method}: {table.method_note}{_bookkeeping(table)}"
    for node in table.unclaimed[:5]:
        yield f"  unclaimed: {node.node or '(no name)'} {node.op} {node.time_ms:.3f} ms"
    for one in table.absent[:10]:
        yield f"  not run: {one.layer} ({one.op}): {one.why}"
    if len(table.absent) > 10:
        yield f"  not run: {len(table.absent) - 10} more layers, in --json"


def _bookkeeping(table: LayerTable) -> str:
    if table.bookkeeping_ms is None:
        return ""
    return f"; the profiler's own work between nodes is about {table.bookkeeping_ms:.3f} ms of such a run"


def _rows(table: LayerTable, limit: int) -> Iterator[str]:
    ranked = sorted(table.rows, key=lambda row: -row.time_ms)
    shown = ranked[:limit] if limit else ranked
    top = shown[0].time_ms if shown else 0.0
    width = min(_NAME, max((len(_label(row)) for row in shown), default=5))
    yield (
        f"  {'layer':<{width}}  {'ms':>8}  {'':<{_BAR}}  {'share':>6}  {'MMACs':>8}  {'MB':>7}  {'GMAC/s':>7}  {'roof':>5}  "
        f"{'op':<18}  line"
    )
    for row in shown:
        share = row.time_ms / table.sum_ms if table.sum_ms else 0.0
        macs = f"{row.macs / 1e6:8.2f}" if row.macs else " " * 8
        moved = f"{row.bytes / 1e6:7.2f}" if row.bytes is not None else " " * 7
        rate = f"{row.gmacs_per_s:7.1f}" if row.gmacs_per_s is not None else " " * 7
        roof = f"{row.roofline_share:5.0%}" if row.roofline_share is not None else " " * 5
        yield (
            f"  {_cut(_label(row), width):<{width}}  {row.time_ms:8.3f}  {_bar(row.time_ms, top):<{_BAR}}  {share:6.1%}  {macs}  "
            f"{moved}  {rate}  {roof}  {row.op:<18}  {_line(row)}"
        ).rstrip()
    if len(ranked) > len(shown):
        rest = sum(row.time_ms for row in ranked[len(shown) :])
        yield f"  {len(ranked) - len(shown)} more: {rest:.3f} ms (--rows 0 shows all)"


def _groups(table: LayerTable, by: str, limit: int) -> Iterator[str]:
    ranked = grouped(table.rows, by)
    shown = ranked[:limit] if limit else ranked
    top = shown[0].time_ms if shown else 0.0
    width = min(_NAME, max((len(group.name) for group in shown), default=5))
    yield f"  {by:<{width}}  {'ms':>8}  {'':<{_BAR}}  {'share':>6}  {'GMAC/s':>7}  layers"
    yield from (_group(group, top, width) for group in shown)
    if len(ranked) > len(shown):
        rest = sum(group.time_ms for group in ranked[len(shown) :])
        yield f"  {len(ranked) - len(shown)} more: {rest:.3f} ms (--rows 0 shows all)"


def _group(group: Group, top: float, width: int) -> str:
    rate = f"{group.gmacs_per_s:7.1f}" if group.gmacs_per_s is not None else " " * 7
    head = f"  {_cut(group.name, width):<{width}}  {group.time_ms:8.3f}  {_bar(group.time_ms, top):<{_BAR}}"
    return f"{head}  {group.share:6.1%}  {rate}  {group.rows}"


def _label(row: LayerRow) -> str:
    """The layer, and how many others run in it."""
    more = len(row.owners) - 1
    return f"{row.layer} +{more}" if more > 0 else row.layer


def _line(row: LayerRow) -> str:
    return f"{row.caller} ({row.source})" if row.caller and row.caller != row.source else row.source


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"...{text[len(text) - width + 3 :]}"


def _bar(value: float, top: float) -> str:
    eighths = round(value / top * _BAR * 8) if top > 0 else 0
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
