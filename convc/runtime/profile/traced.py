"""Layers on the CPU: ONNX Runtime's own profile, taken in a second session beside the unprofiled one.

Blocks of unprofiled and profiled runs alternate, so that both medians saw the same machine. Before a block there is a pause, in
which the threads of the other session stop spinning, and one run that does not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ...compiler.errors import ModelError
from ..providers import Provider
from ..session import Session
from .attribute import Executed, executed_nodes
from .events import RunEvents, read_events
from .graph import read_model
from .kernels import Watch, kernel_runs
from .layers import Run, renamed
from .runner import Runner

_BLOCK = 5
_GAP_S = 0.015
_MIN_RUNS = 8
_MAX_RUNS = 400
NOTE = "ONNX Runtime's profile of the same runs: time inside each node's kernel"

# A function that makes a session's runner, given the prefix of the profile and where the optimised graph is saved.
Make = Callable[[Path, Path], Runner]


_EMPTY = 200


@dataclass(frozen=True)
class Traced:
    """Profiled runs, the nodes that the runtime executes, and what profiling costs: in all, and between two nodes."""

    runs: tuple[Run, ...]
    executed: tuple[Executed, ...]
    profiled_over_unprofiled: float
    gap_us: float | None = None


def traced(make: Make, plain: Runner, folder: Path, seconds: float, watch: Watch | None = None) -> Traced:
    """Profile for about `seconds`; `folder` takes the files of it. With `watch` (a GPU) nodes get the times of their kernels.

    Raises ModelError where the runtime's profile cannot be read.
    """
    saved = folder / "optimised.onnx"
    profiled = make(folder / "profile", saved)
    executed = executed_nodes(read_model(saved))
    # The run that bound the outputs came first.
    walls: list[float | None] = [None]
    without: list[float] = []
    with watch.watching(folder) if watch else nullcontext():
        start = time.perf_counter()
        while len(without) < _MIN_RUNS or (time.perf_counter() - start < seconds and len(walls) < _MAX_RUNS):
            without += _block(plain)[1:]
            walls += [None, *_block(profiled, watch)[1:]]
    origin_us = profiled.session.handle.get_profiling_start_time_ns() / 1e3
    events = read_events(Path(profiled.session.handle.end_profiling()))
    if watch:
        events = (events[0], *kernel_runs(watch.trace, watch.marks, events[1:], origin_us))
    counted = [wall for wall in walls if wall is not None]
    ratio = statistics.median(counted) / statistics.median(without)
    runs = matched(walls, events, executed)
    if not runs:
        raise ModelError(f"{plain.session.what}: the profiler saw no run", hint="--layers bracketed needs no profiler")
    gap_us = None if watch else between(plain.session.provider, plain.session.threads, folder)
    return Traced(runs, executed, ratio, gap_us)


def between(provider: Provider, threads: int, folder: Path) -> float:
    """Microseconds from the end of a node to the begin of the next in a profiled run, of nodes that do nothing."""
    import numpy as np

    session = Session(_empty_nodes(), provider, threads=threads, level="off", trace=folder / "empty")
    runner = Runner(session, {"v0": np.ones(1, np.float32)})
    for _ in range(20):
        runner.run()
    events = read_events(Path(session.handle.end_profiling()))[5:]
    gaps = [(one.duration_us - sum(node.duration_us for node in one.nodes)) / len(one.nodes) for one in events]
    return max(0.0, statistics.median(gaps))


def _empty_nodes() -> bytes:
    """A chain of Relu on one number."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", [f"v{k}"], [f"v{k + 1}"], name=f"empty{k}") for k in range(_EMPTY)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("v0", f"v{_EMPTY}")]
    graph = helper.make_graph(nodes, "empty", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def matched(
    walls: Sequence[float | None], events: Sequence[RunEvents], executed: Sequence[Executed]
) -> tuple[Run, ...]:
    """The runs that count, each with its events; runs past the profiler's limit have none and are left out."""
    return tuple(
        Run(wall, renamed(executed, one.nodes), one.start_us)
        for wall, one in zip(walls, events, strict=False)
        if wall is not None
    )


def _block(runner: Runner, watch: Watch | None = None) -> list[float]:
    time.sleep(_GAP_S)
    times = []
    for _ in range(_BLOCK):
        with watch.run() if watch else nullcontext():
            times.append(runner.timed())
    return times
