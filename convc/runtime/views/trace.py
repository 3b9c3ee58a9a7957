"""One profiled run in the Chrome trace format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

    pid   a point of the sweep          tid 1 runtime nodes, tid 2 layers of the spec, tid 3 stages
    ts, dur  microseconds from the beginning of the run

Neighbouring nodes of one layer, and neighbouring layers of one stage, make one slice; `busy_us` is the time of the nodes in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from ..profile.record import Point, Profile, TraceEvent

_TRACKS = {1: "nodes", 2: "layers", 3: "stages"}


def profile_trace(profile: Profile) -> dict[str, Any]:
    """The whole trace as plain values; points without a timeline leave no mark."""
    events: list[dict[str, Any]] = []
    for pid, point in enumerate(profile.points, 1):
        if point.layers is not None and point.layers.timeline:
            events += _point(pid, point)
    told = {"model": profile.model.name, "sha256": profile.model.sha256, "cpu": profile.start.cpu_model}
    return {"displayTimeUnit": "ms", "otherData": told, "traceEvents": events}


def _point(pid: int, point: Point) -> Iterator[dict[str, Any]]:
    assert point.layers is not None, "asked for points with layers only"
    yield _named("process_name", pid, 0, point.label)
    for tid, name in _TRACKS.items():
        yield _named("thread_name", pid, tid, name)
    line = sorted(point.layers.timeline, key=lambda event: event.start_us)
    stages = {row.layer: row.stage or row.layer for row in point.layers.rows}
    for event in line:
        args = {"layer": event.layer, "source": event.source, "provider": event.provider}
        yield _slice(event.node, event.op, pid, 1, event.start_us, event.start_us + event.duration_us, args)
    yield from _merged(line, lambda event: event.layer, pid, 2)
    yield from _merged(line, lambda event: stages.get(event.layer, event.layer), pid, 3)


def _merged(line: list[TraceEvent], key: Callable[[TraceEvent], str], pid: int, tid: int) -> Iterator[dict[str, Any]]:
    for name, run in groupby(line, key):
        part = list(run)
        if not name:
            continue
        end = max(event.start_us + event.duration_us for event in part)
        busy = sum(event.duration_us for event in part)
        yield _slice(name, _TRACKS[tid], pid, tid, part[0].start_us, end, {"busy_us": busy, "nodes": len(part)})


def _slice(
    name: str, category: str, pid: int, tid: int, start: float, end: float, args: dict[str, Any]
) -> dict[str, Any]:
    whole = {"name": name, "cat": category, "ph": "X", "pid": pid, "tid": tid, "ts": start, "dur": end - start}
    return {**whole, "args": args}


def _named(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
