"""ONNX Runtime's profile, read back: runs, and the nodes of each run in the order they ran.

The file is a JSON list of Chrome trace events in microseconds. One run is a `model_run` event; its nodes are the `Node` events
named `<node>_kernel_time` that begin inside it. Nodes inside a control-flow node are part of that node's own time, so a node
event within another of the same thread is passed over. An event that the process did not live to finish is dropped.

Durations are whole microseconds, cut and not rounded: a node that is written as 7 took 7 to 8, 7.5 in the mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...compiler.errors import ModelError

_NODE = "_kernel_time"
_RUN = "model_run"
_CUT_US = 0.5


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One node in one run; times in microseconds, `start_us` since the profile began."""

    name: str
    op: str
    provider: str
    start_us: float
    duration_us: float


@dataclass(frozen=True, slots=True)
class RunEvents:
    """One run."""

    start_us: float
    duration_us: float
    nodes: tuple[NodeEvent, ...]


def read_events(path: Path) -> tuple[RunEvents, ...]:
    """The runs of a profile file, in order. Raises ModelError where it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError) as error:
        raise ModelError(f"onnxruntime's profile cannot be read: {error}") from error
    return runs(data)


def runs(events: Any) -> tuple[RunEvents, ...]:
    """The runs out of the events of a profile."""
    whole = [one for one in events if isinstance(one, dict) and "ts" in one and "dur" in one]
    heads = sorted((one for one in whole if one.get("name") == _RUN), key=_start)
    nodes = sorted((one for one in whole if _is_node(one)), key=lambda one: (_start(one), -float(one["dur"])))
    found, k = [], 0
    for head in heads:
        begin, end = _start(head), _start(head) + float(head["dur"])
        while k < len(nodes) and _start(nodes[k]) < begin:
            k += 1
        inside = []
        while k < len(nodes) and _start(nodes[k]) < end:
            inside.append(nodes[k])
            k += 1
        found.append(RunEvents(begin, end - begin, _outermost(inside)))
    return tuple(found)


def _is_node(one: dict[str, Any]) -> bool:
    return one.get("cat") == "Node" and str(one.get("name", "")).endswith(_NODE)


def _start(one: dict[str, Any]) -> float:
    return float(one["ts"])


def _outermost(events: Sequence[dict[str, Any]]) -> tuple[NodeEvent, ...]:
    kept: list[NodeEvent] = []
    ends: dict[Any, float] = {}
    for one in events:
        start, duration, thread = _start(one), float(one["dur"]), one.get("tid")
        if start + duration <= ends.get(thread, -1.0) and duration > 0 and start < ends[thread]:
            continue
        ends[thread] = max(ends.get(thread, -1.0), start + duration)
        args = one.get("args", {})
        name = str(one["name"])[: -len(_NODE)]
        op, provider = str(args.get("op_name", "")), str(args.get("provider", ""))
        kept.append(NodeEvent(name, op, provider, start, duration + _CUT_US))
    return tuple(kept)
