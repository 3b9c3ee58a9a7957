"""A small network as convc wrote it, the graph that ONNX Runtime 1.31 made of it, and the profile of three runs: one recording.

stem (conv bn relu) -> mix -> gate (silu) -> att (se) -> sum with stem -> out (relu) -> deep (depthwise) -> hard -> pool -> head
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from convc.runtime.profile.attribute import Executed, executed_nodes
from convc.runtime.profile.graph import GraphNode, ModelGraph

DATA: dict[str, Any] = json.loads((Path(__file__).parent / "recorded.json").read_text())


def written() -> ModelGraph:
    nodes = tuple(
        GraphNode(name, op, tuple(ins), tuple(outs), tuple(owners), source)
        for name, op, ins, outs, owners, source in DATA["written"]
    )
    return ModelGraph(nodes, tuple(DATA["inputs"]), tuple(DATA["outputs"]), frozenset(DATA["params"]))


def executed() -> tuple[Executed, ...]:
    nodes = [SimpleNamespace(name=n, op_type=op, input=ins, output=outs) for n, op, ins, outs in DATA["executed"]]
    return executed_nodes(SimpleNamespace(graph=SimpleNamespace(node=nodes)))


def events() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(json.dumps(DATA["events"]))
    return found
