"""Kernel events: each kernel goes to the node that launched it, by correlation and clock; the rest stays unclaimed."""

from __future__ import annotations

from typing import Any

import pytest

from convc.runtime.profile.events import NodeEvent, RunEvents
from convc.runtime.profile.kernels import MARK, Mark, kernel_runs

# The trace's clock is 5,000,000 us ahead of the host's, and ONNX Runtime's profile began at 900 on the host's.
AHEAD, ORIGIN = 5_000_000.0, 900.0


def _launch(host_us: float, correlation: int, cat: str = "cuda_runtime") -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": cat,
        "name": "cudaLaunchKernel",
        "ts": AHEAD + host_us,
        "dur": 3,
        "args": {"correlation": correlation},
    }


def _kernel(host_us: float, dur: float, correlation: int, cat: str = "kernel") -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": cat,
        "name": "gemm",
        "ts": AHEAD + host_us,
        "dur": dur,
        "args": {"correlation": correlation},
    }


def _mark(host_us: float) -> dict[str, Any]:
    return {"ph": "X", "cat": "user_annotation", "name": MARK, "ts": AHEAD + host_us, "dur": 300}


def _run(start: float) -> RunEvents:
    nodes = (
        NodeEvent("conv", "Conv", "CUDA", start + 10, 20),
        NodeEvent("gate", "Sigmoid", "CUDA", start + 40, 10),
        NodeEvent("sum", "Add", "CUDA", start + 60, 10),
    )
    return RunEvents(start, 200, nodes)


# Two runs, at 1000 and 2000 on the host's clock. The marks are seen 2 and 7 us after the clock was read.
MARKS = [Mark(998.0), Mark(1998.0)]
TRACE = {
    "traceEvents": [
        _mark(1000), _mark(2005),
        _launch(1015, 1), _kernel(1100, 50, 1),  # conv
        _launch(1025, 2), _kernel(1150, 7, 2, "gpu_memset"),  # conv again
        _launch(1045, 3, "cuda_driver"), _kernel(1160, 30, 3),  # gate
        _launch(1090, 4), _kernel(1195, 4, 4),  # between nodes
        _launch(2015, 11), _kernel(2100, 55, 11), _launch(2061, 12), _kernel(2160, 6, 12),
        _launch(3000, 21), _kernel(3010, 99, 21),  # after the runs
        {"ph": "i", "name": "no time"}, {"ph": "X", "cat": "cpu_op", "name": "aten::add", "ts": AHEAD + 1020, "dur": 1},
    ]
}  # fmt: skip


def _found() -> tuple[RunEvents, ...]:
    return kernel_runs(TRACE, MARKS, (_run(100.0), _run(1100.0)), ORIGIN)


def test_kernels_go_to_the_node_whose_window_holds_their_launch() -> None:
    first, second = _found()
    assert [(one.name, one.duration_us) for one in first.nodes] == [
        ("conv", 50.0), ("conv", 7.0), ("gate", 30.0), ("kernel:gemm", 4.0)
    ]  # fmt: skip
    assert [(one.name, one.duration_us) for one in second.nodes] == [("conv", 55.0), ("sum", 6.0)]


def test_the_nearest_mark_ties_the_clocks() -> None:
    first, _ = _found()
    # Shift: 5,000,000 + min(2, 7); the kernel at 1100 on the host began 200 after the origin, less those 2.
    assert first.nodes[0].start_us == pytest.approx(1100 - ORIGIN - 2)


def test_a_trace_without_the_marks_gives_no_runs() -> None:
    assert kernel_runs({"traceEvents": []}, MARKS, (_run(100.0), _run(1100.0)), ORIGIN) == ()
    assert kernel_runs({"traceEvents": [_mark(1000)]}, MARKS, (_run(100.0), _run(1100.0)), ORIGIN) == ()
