"""What the kit's runner reads of its machine and of ONNX Runtime's profiler. Part of `run.py`; see assemble.py."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

from .figures import timed

_FEW, _MANY = 8, 24
_BLOCK = 4


def machine_state(ort: Any) -> dict[str, Any]:
    """What can be read now without any other library; what cannot be read stays empty."""
    info = text_of("/proc/cpuinfo")
    pairs = [line.split(":", 1) for line in reversed(info.splitlines()) if ":" in line]
    fields = {name.strip(): value.strip() for name, value in pairs}
    memory = {line.split(":")[0]: line.split()[1] for line in text_of("/proc/meminfo").splitlines() if ":" in line}
    import numpy

    logical = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    found: dict[str, Any] = {
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_model": fields.get("model name") or fields.get("Model") or platform.processor() or platform.machine(),
        "cpu_cores": logical,
        "cpu_usable": usable,
        "versions": {"python": platform.python_version(), "numpy": numpy.__version__, "onnxruntime": ort.__version__},
    }
    if hasattr(os, "getloadavg"):
        found["load_1min"] = os.getloadavg()[0]
    if fields.get("cpu MHz"):
        found["cpu_mhz"] = float(fields["cpu MHz"])
    for key, name in (("MemTotal", "memory_total_bytes"), ("MemAvailable", "memory_available_bytes")):
        if memory.get(key, "").isdigit():
            found[name] = int(memory[key]) * 1024
    return found


def text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def prepare_cuda(ort: Any) -> None:
    """CUDA and cuDNN that pip installed lie where no loader looks; what fails to load is told once, by us."""
    ort.set_default_logger_severity(4)
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def missing_library(package: str, provider: str) -> str:
    """What the loader says of onnxruntime's library for the provider; empty where it loads, or is not there by that name."""
    path = os.path.join(os.path.dirname(package), "capi", f"libonnxruntime_providers_{provider}.so")
    if not os.path.exists(path):
        return ""
    try:
        ctypes.CDLL(path)
    except OSError as error:
        return str(error)
    return ""


def profiled(
    plain: Callable[[], Any], make: Callable[[str], tuple[Any, Callable[[], Any]]], median_ms: float
) -> dict[str, Any]:
    """Runs under ONNX Runtime's profiler, in blocks between unprofiled ones; `convc profile --from` tells the layers from it.

    `make` gives a session that profiles to the prefix that it is called with, and its run. Kept are the wall times of the
    profiled runs that count, and the profiler's events of all of them.
    """
    blocks = max(_FEW, min(_MANY, int(2000 / max(median_ms, 1e-3)))) // _BLOCK
    with tempfile.TemporaryDirectory() as folder:
        session, run = make(os.path.join(folder, "profile"))
        walls: list[float | None] = []
        without: list[float] = []
        for _ in range(blocks):
            without += [timed(plain) for _ in range(_BLOCK + 1)][1:]
            # The first run after the other session's does not count.
            walls += [None, *[timed(run) for _ in range(_BLOCK + 1)][1:]]
        with open(session.end_profiling(), encoding="utf-8", errors="replace") as stream:
            events = [slim(one) for one in json.load(stream) if of_interest(one)]
    counted = [wall for wall in walls if wall is not None]
    ratio = statistics.median(counted) / statistics.median(without)
    return {"walls_ms": walls, "events": events, "profiled_over_unprofiled": ratio}


def of_interest(one: dict[str, Any]) -> bool:
    """Runs and kernels."""
    kernel = one.get("cat") == "Node" and str(one.get("name", "")).endswith("_kernel_time")
    return "dur" in one and (kernel or one.get("name") == "model_run")


def slim(one: dict[str, Any]) -> dict[str, Any]:
    """The event without shapes and counters."""
    args = {key: one["args"][key] for key in ("op_name", "provider") if key in one.get("args", {})}
    return {
        "cat": one["cat"],
        "name": one["name"],
        "ts": one["ts"],
        "dur": one["dur"],
        "tid": one.get("tid"),
        "args": args,
    }


def placed(session: Any) -> list[tuple[str, str, str]]:
    """(node, operator, provider that took it) before fusion; empty where onnxruntime is too old to say."""
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    parts = ask() if ask else []
    return [(plain(node.name), plain(node.op_type), part.ep_name) for part in parts for node in part.get_nodes()]


def plain(value: Any) -> str:
    return str(value() if callable(value) else value)
