"""The layer table: timed nodes of profiled runs, attributed to regions.

    time(row)    mean over the kept runs of the sum of its nodes
    closure      sum(rows) / run, both over the same kept runs; `run` is wall time around the call
    unclaimed    measured nodes of no layer: listed with their time

Nothing is scaled, spread or taken as a remainder. Kept are the runs in the middle half by wall time: a run that was interrupted
shows the interruption in whatever layer it struck.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from .attribute import Attribution, Executed
from .events import NodeEvent
from .graph import ModelGraph
from .names import place
from .record import Absent, LayerRow, LayerTable, NodeTime, Peak, TraceEvent
from .regions import Region, regions
from .stats import middle, percentile


@dataclass(frozen=True)
class Run:
    """One profiled run: its wall time, and its node events with the names of executed nodes."""

    wall_ms: float
    nodes: tuple[NodeEvent, ...]
    start_us: float = 0.0


@dataclass(frozen=True)
class SpecLayer:
    """A layer that the spec wrote: every one must be in the table, or named as gone."""

    name: str
    op: str
    source: str = ""
    caller: str = ""
    train_only: bool = False


@dataclass(frozen=True)
class Method:
    """How the times were taken, and what that cost: ratio of the profiled to the unprofiled median, and the gap between nodes."""

    name: str
    note: str
    profiled_over_unprofiled: float
    gap_us: float | None = None


@dataclass(frozen=True)
class Subject:
    """What was run: the model as written, as executed, and as its spec has it (empty for a foreign model)."""

    graph: ModelGraph
    found: Attribution
    spec: tuple[SpecLayer, ...] = ()

    @cached_property
    def callers(self) -> dict[str, str]:
        """Layer -> the line of the profiled spec that led to it."""
        return {layer.name: layer.caller for layer in self.spec}


def renamed(executed: Sequence[Executed], nodes: Sequence[NodeEvent]) -> tuple[NodeEvent, ...]:
    """Events under the names of executed nodes.

    A node without a name is profiled as `Mul_19`, after its index; it is the n-th of its operator without a name.
    """
    known = {one.name for one in executed}
    unnamed: dict[str, list[str]] = {}
    for one in executed:
        if one.name.startswith("#"):
            unnamed.setdefault(one.op, []).append(one.name)
    seen: dict[str, int] = {}
    found = []
    for event in nodes:
        if event.name in known or event.name.rpartition("_")[0] not in ("", event.op):
            found.append(event)
            continue
        nth = seen.get(event.op, 0)
        seen[event.op] = nth + 1
        names = unnamed.get(event.op, [])
        found.append(replace(event, name=names[nth]) if nth < len(names) else event)
    return tuple(found)


def layer_table(
    subject: Subject,
    runs: Sequence[Run],
    method: Method,
    peak: Peak | None = None,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> LayerTable:
    """See the module's docstring. `runs` must not be empty; `failed` are layers that could not be timed, and why."""
    kept = [runs[i] for i in middle([run.wall_ms for run in runs])]
    parts = [part for part in regions(subject.graph, subject.found) if part.layer not in failed]
    times = [_by_node(run) for run in kept]
    nodes = _node_times(times, kept)
    rows = tuple(_row(part, subject, times, nodes, peak) for part in parts)
    claimed = {name for part in parts for name in part.executed}
    unclaimed = tuple(node for name, node in nodes.items() if name not in claimed)
    run_ms = statistics.fmean(run.wall_ms for run in kept)
    sum_ms = sum(row.time_ms for row in rows)
    return LayerTable(
        method=method.name,
        method_note=method.note,
        rows=rows,
        sum_ms=sum_ms,
        unclaimed_ms=sum(node.time_ms for node in unclaimed),
        run_ms=run_ms,
        closure=sum_ms / run_ms,
        profiled_over_unprofiled=method.profiled_over_unprofiled,
        runs=len(runs),
        kept=len(kept),
        unclaimed=unclaimed,
        absent=(*_failed(subject, failed), *_absent(subject, parts, failed)),
        timeline=_timeline(kept, parts),
        bookkeeping_ms=None if method.gap_us is None else method.gap_us * _events(kept) / 1e3,
    )


def _events(kept: Sequence[Run]) -> float:
    """Nodes in a run."""
    return statistics.fmean(len(run.nodes) for run in kept)


def _by_node(run: Run) -> dict[str, float]:
    found: dict[str, float] = {}
    for event in run.nodes:
        found[event.name] = found.get(event.name, 0.0) + event.duration_us / 1e3
    return found


def _node_times(times: Sequence[Mapping[str, float]], kept: Sequence[Run]) -> dict[str, NodeTime]:
    """Every node that ran, with its mean time, in the order of the first run."""
    about = {event.name: event for run in kept for event in run.nodes}
    calls: dict[str, int] = {}
    for run in kept:
        for event in run.nodes:
            calls[event.name] = calls.get(event.name, 0) + 1
    return {
        name: NodeTime(
            node=name,
            op=event.op,
            provider=event.provider,
            time_ms=statistics.fmean(one.get(name, 0.0) for one in times),
            calls=calls[name] / len(kept),
        )
        for name, event in about.items()
    }


def _row(
    part: Region,
    subject: Subject,
    times: Sequence[Mapping[str, float]],
    nodes: Mapping[str, NodeTime],
    peak: Peak | None,
) -> LayerRow:
    sums = sorted(sum(one.get(name, 0.0) for name in part.executed) for one in times)
    mean = statistics.fmean(sums)
    stage, block = place(part.layer)
    rate, share, bound = roofline(part, mean, peak)
    mine = tuple(nodes[name] for name in part.executed if name in nodes)
    return LayerRow(
        layer=part.layer,
        op=part.lead.kind or part.lead.op,
        time_ms=mean,
        owners=part.owners,
        sources=part.sources,
        source=part.lead.source,
        caller=subject.callers.get(part.layer, ""),
        block=block,
        stage=stage,
        time_low_ms=percentile(sums, 0.1),
        time_high_ms=percentile(sums, 0.9),
        calls=sum(node.calls for node in mine),
        macs=part.macs,
        attention_macs=part.attention_macs,
        bytes=part.bytes,
        gmacs_per_s=rate,
        roofline_share=share,
        bound=bound,
        output=part.output,
        reads=part.reads,
        nodes=mine,
    )


def roofline(part: Region, time_ms: float, peak: Peak | None) -> tuple[float | None, float | None, str]:
    """(GMAC/s, least time that the measured peaks allow over the time it took, which of the two limits is the larger)."""
    macs = None if part.macs is None else part.macs + (part.attention_macs or 0)
    rate = macs / time_ms / 1e6 if macs and time_ms > 0 else None
    if peak is None or macs is None or part.bytes is None or time_ms <= 0:
        return rate, None, ""
    compute_ms = macs / peak.gmacs_per_s / 1e6
    memory_ms = part.bytes / bandwidth(peak, part.bytes) / 1e6
    return rate, max(compute_ms, memory_ms) / time_ms, "compute" if compute_ms >= memory_ms else "memory"


def bandwidth(peak: Peak, moved: int) -> float:
    """GB/s of the fastest measured move that is at least as large: small moves wait for the launch more than for memory."""
    return max((one.gbytes_per_s for one in peak.bandwidths if one.bytes >= moved), default=peak.gbytes_per_s)


def _failed(subject: Subject, failed: Mapping[str, str]) -> list[Absent]:
    return [
        Absent(owner, part.lead.op, failed[part.layer], part.lead.source)
        for part in regions(subject.graph, subject.found)
        if part.layer in failed
        for owner in part.owners
    ]


def _absent(subject: Subject, parts: Sequence[Region], failed: Mapping[str, str]) -> tuple[Absent, ...]:
    """Layers that run nowhere, each with the reason."""
    present = {owner for part in parts for owner in part.owners}
    present |= {one.layer for one in _failed(subject, failed)}
    found: dict[str, Absent] = {}
    reasons = [(k, "computed once, when the model is loaded") for k in subject.found.constant]
    reasons += [(k, "removed by the runtime") for k in subject.found.gone]
    for k, why in reasons:
        node = subject.graph.nodes[k]
        for owner in node.owners:
            if owner not in present:
                found.setdefault(owner, Absent(owner, node.op, why, node.source))
    for layer in subject.spec:
        if layer.name not in present and layer.name not in found:
            why = "only for training" if layer.train_only else "removed when the model was built"
            found[layer.name] = Absent(layer.name, layer.op, why, layer.source)
    return tuple(found.values())


def _timeline(kept: Sequence[Run], parts: Sequence[Region]) -> tuple[TraceEvent, ...]:
    """The kept run in the middle, event by event."""
    run = sorted(kept, key=lambda one: one.wall_ms)[len(kept) // 2]
    home = {name: part for part in parts for name in part.executed}
    return tuple(
        TraceEvent(
            node=event.name,
            op=event.op,
            layer=home[event.name].layer if event.name in home else "",
            source=home[event.name].lead.source if event.name in home else "",
            provider=event.provider,
            start_us=event.start_us - run.start_us,
            duration_us=event.duration_us,
        )
        for event in run.nodes
    )
