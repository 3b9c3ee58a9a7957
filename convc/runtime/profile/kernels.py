"""Layers on CUDA: the kernels' own times, by CUPTI through torch.profiler in this process.

ONNX Runtime's profile says when the host launched a node; CUPTI says which launch became which kernel, and how long that ran:

    node  --(launched within its host window)-->  launch  --(correlation id)-->  kernel, copy or fill

The two clocks are tied by marks: each run is wrapped in an annotation whose begin is read on both. Kernels that no window claims
stay unclaimed. The kernels of the release wheel of ONNX Runtime are in no trace of its own, which is why torch is asked.
"""

from __future__ import annotations

import bisect
import importlib.util
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .events import NodeEvent, RunEvents

NOTE = (
    "GPU kernel times by CUPTI (torch.profiler), tied to nodes by their launches; gaps between kernels are in no layer"
)
MARK = "convc.run"
_LAUNCH = frozenset({"cuda_runtime", "cuda_driver"})
# Two readings of clocks that are a Python call apart.
_CLOCKS_US = 5.0
_WORK = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})


def available() -> bool:
    """True where torch is here, was built for CUDA and sees a GPU."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


@dataclass(frozen=True, slots=True)
class Mark:
    """The begin of a run on the host's monotonic clock, in microseconds; the trace has it by its order."""

    host_us: float


@dataclass
class Watch:
    """Wraps the profiled runs; afterwards `trace` holds what CUPTI saw, and `marks` when each run began on the host."""

    marks: list[Mark] = field(default_factory=list)
    trace: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def watching(self, folder: Path) -> Iterator[None]:
        import torch
        from torch.profiler import ProfilerActivity
        from torch.profiler import profile as watch

        torch.cuda.synchronize()
        with watch(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            yield
            torch.cuda.synchronize()
        path = folder / "kernels.json"
        seen.export_chrome_trace(str(path))
        self.trace = json.loads(path.read_text())

    @contextmanager
    def run(self) -> Iterator[None]:
        """Around one profiled run."""
        from torch.profiler import record_function

        self.marks.append(Mark(time.monotonic_ns() / 1e3))
        with record_function(MARK):
            yield


def kernel_runs(
    trace: Mapping[str, Any], marks: Sequence[Mark], launches: Sequence[RunEvents], origin_us: float
) -> tuple[RunEvents, ...]:
    """Each run with the kernels of its nodes in place of their launches.

    trace      of Kineto: Chrome trace events in microseconds
    launches   the runs as ONNX Runtime profiled them, one per mark; `origin_us` is when that profile began on the host's clock
    """
    events = [one for one in trace.get("traceEvents", ()) if isinstance(one, dict) and "ts" in one]
    seen = sorted(float(one["ts"]) for one in events if one.get("name") == MARK and one.get("cat") == "user_annotation")
    if not seen or len(seen) != len(marks):
        return ()
    # An annotation begins a little after the clock was read, never before: the least distance is the nearest to the truth.
    shift = min(ts - mark.host_us for ts, mark in zip(seen, marks, strict=True))
    work: dict[Any, list[dict[str, Any]]] = {}
    for one in events:
        if one.get("cat") in _WORK:
            work.setdefault(_correlation(one), []).append(one)
    issued = sorted((float(one["ts"]), _correlation(one)) for one in events if one.get("cat") in _LAUNCH)
    return tuple(_run(one, issued, work, origin_us + shift) for one in launches)


def _correlation(one: Mapping[str, Any]) -> Any:
    args = one.get("args", {})
    return args.get("correlation", args.get("External id"))


def _run(
    run: RunEvents, issued: Sequence[tuple[float, Any]], work: Mapping[Any, list[dict[str, Any]]], shift: float
) -> RunEvents:
    begin, end = run.start_us + shift, run.start_us + run.duration_us + shift
    starts = [node.start_us + shift for node in run.nodes]
    found = []
    for ts, correlation in issued[bisect.bisect_left(issued, (begin,)) : bisect.bisect_right(issued, (end,))]:
        node = _launcher(ts, starts, run.nodes)
        found += [_event(one, node, shift) for one in work.get(correlation, ())]
    return RunEvents(run.start_us, run.duration_us, tuple(found))


def _launcher(ts: float, starts: Sequence[float], nodes: Sequence[NodeEvent]) -> NodeEvent | None:
    """The node in whose window the launch lies, or begins within the error of the clocks."""
    k = bisect.bisect_right(starts, ts) - 1
    if k >= 0 and ts <= starts[k] + nodes[k].duration_us:
        return nodes[k]
    near = k + 1 < len(nodes) and starts[k + 1] - ts <= _CLOCKS_US
    return nodes[k + 1] if near else None


def _event(one: Mapping[str, Any], node: NodeEvent | None, shift: float) -> NodeEvent:
    start, duration = float(one["ts"]) - shift, float(one.get("dur", 0.0))
    if node is None:
        return NodeEvent(f"kernel:{one.get('name', '')}", str(one.get("cat", "")), "CUDA", start, duration)
    return NodeEvent(node.name, node.op, node.provider, start, duration)
