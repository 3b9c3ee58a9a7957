"""What a model is made of and what it costs, at given input sizes: the half of a comparison that needs no clock.

ops            nodes by operator
params         values in initializers
macs           multiply-accumulates of convolutions and linear layers; attention products apart
file_bytes     the model file and its external data
moved_bytes    activations read and written and parameters read, each once a node
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from ..profile.graph import ModelGraph, model_graph, read_model
from ..profile.record import Profile

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Structure:
    """Figures of one side; None where they are not known, as of a saved result without layers."""

    ops: Mapping[str, int] = field(default_factory=dict)
    params: int | None = None
    macs: int | None = None
    attention_macs: int | None = None
    file_bytes: int | None = None
    moved_bytes: int | None = None

    @property
    def nodes(self) -> int | None:
        return sum(self.ops.values()) or None


def of_model(path: Path, shapes: Mapping[str, Shape]) -> Structure:
    """Raises ModelError (no readable model), ProviderError (onnx is not installed)."""
    proto = read_model(path)
    graph = model_graph(proto, shapes)
    return Structure(
        ops=dict(Counter(node.op for node in graph.nodes).most_common()),
        params=sum(prod(one.dims) for one in proto.graph.initializer),
        macs=_total(node.macs for node in graph.nodes),
        attention_macs=_total(node.attention_macs for node in graph.nodes),
        file_bytes=path.stat().st_size + _external(path, proto),
        moved_bytes=_moved(graph),
    )


def of_result(profile: Profile) -> Structure:
    """What a saved result still knows: MACs and bytes of its layers. Its nodes are those after fusion, and no model's."""
    table = next((point.layers for point in profile.points if point.layers), None)
    if table is None:
        return Structure(file_bytes=profile.model.bytes)
    return Structure(
        macs=_total(row.macs or 0 for row in table.rows),
        attention_macs=_total(row.attention_macs or 0 for row in table.rows),
        file_bytes=profile.model.bytes,
        moved_bytes=_total(row.bytes for row in table.rows),
    )


def _total(values: Any) -> int | None:
    """The sum; None where one of them is not known."""
    found = list(values)
    return None if any(value is None for value in found) else sum(found)


def _external(path: Path, proto: Any) -> int:
    """Bytes of the data files that initializers name, each once."""
    names = {entry.value for one in proto.graph.initializer for entry in one.external_data if entry.key == "location"}
    files = [path.parent / name for name in names if Path(name).name == name]
    return sum(file.stat().st_size for file in files if file.is_file())


def _moved(graph: ModelGraph) -> int | None:
    names = [
        name
        for node in graph.nodes
        for name in {*node.inputs, *node.outputs} - {""}
        if not all(one in graph.constant for one in node.outputs)
    ]
    return _total(graph.sizes.get(name) for name in names)
