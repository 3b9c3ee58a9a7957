"""Whatever ships, ONNX Runtime's optimised graph is read back: every node it runs is claimed, every layer has a place."""

from __future__ import annotations

from pathlib import Path

import pytest

import convc
from convc import zoo
from convc.api.latency import spec_layers
from convc.runtime.profile.attribute import attribute, executed_nodes
from convc.runtime.profile.graph import model_graph, read_model
from convc.runtime.profile.layers import Method, Run, Subject, layer_table
from convc.runtime.session import Session

# The first variant of every file: one of each architecture.
FIRST = {path.stem: name for name, path in reversed(list(zoo.variants().items()))}


@pytest.mark.zoo
@pytest.mark.parametrize("name", FIRST.values(), ids=FIRST)
def test_every_layer_of_a_shipped_network_is_accounted_for(name: str, tmp_path: Path) -> None:
    built = convc.build(name, tmp_path / "out", verify=False)
    session = Session(built.path, "cpu", threads=1, optimised=tmp_path / "optimised.onnx")
    # The sizes that the manifest counts at: its multiply-accumulates are compared.
    counted = built.manifest["counted_at"]
    shapes = {one.name: tuple(int(counted.get(size, size)) for size in one.shape) for one in session.inputs}
    graph = model_graph(read_model(built.path), shapes)
    executed = executed_nodes(read_model(tmp_path / "optimised.onnx"))
    found = attribute(graph, executed)
    assert [node.name for node in executed if not found.home(node.name)] == []
    assert [graph.nodes[k].name for k in found.gone] == []
    table = layer_table(Subject(graph, found, spec_layers(convc.load(name))), [Run(1.0, ())], Method("none", "", 1.0))
    owners = [owner for row in table.rows for owner in row.owners]
    wrote = {node.name for node in built.network.graph}
    assert wrote <= {*owners, *(one.layer for one in table.absent)}
    assert [node.name for node in graph.nodes if node.macs is None or node.attention_macs is None] == []
    assert sum(row.macs or 0 for row in table.rows) == built.manifest["deployed"]["macs"]
