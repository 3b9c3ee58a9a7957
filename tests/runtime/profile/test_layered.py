"""Which way layers are timed on which provider, and how a graph is cut into layers that run alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from convc.compiler.errors import ProviderError, UsageError
from convc.runtime.profile import kernels
from convc.runtime.profile.bracketed import by_layer, partial
from convc.runtime.profile.graph import ModelGraph, model_graph
from convc.runtime.profile.layered import chosen, without_graph
from convc.runtime.profile.regions import regions
from convc.runtime.providers import NAMES, Provider

from ..models import model, tensor
from .recorded import written


@pytest.fixture(params=[True, False], ids=["torch sees a GPU", "no torch with CUDA"])
def torch_sees(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(kernels, "available", lambda: request.param)
    return bool(request.param)


def test_each_provider_gets_a_way_that_closes(torch_sees: bool) -> None:
    assert chosen("auto", "cpu") == "profile"
    assert chosen("auto", "cuda") == ("kernels" if torch_sees else "bracketed")
    assert [chosen("auto", name) for name in ("tensorrt", "openvino")] == ["bracketed", "bracketed"]


def test_a_way_that_cannot_be_had_is_refused(torch_sees: bool) -> None:
    with pytest.raises(UsageError, match="runs the graph as one node"):
        chosen("profile", "tensorrt")
    with pytest.raises(UsageError, match="this is cpu"):
        chosen("kernels", "cpu")
    if torch_sees:
        assert chosen("kernels", "cuda") == "kernels"
    else:
        with pytest.raises(ProviderError, match="needs torch with CUDA"):
            chosen("kernels", "cuda")


def test_layers_are_launched_one_by_one_even_where_the_whole_is_a_graph() -> None:
    provider = Provider("cuda", NAMES["cuda"], {"enable_cuda_graph": "1", "use_tf32": "0"})
    assert dict(without_graph(provider).options) == {"use_tf32": "0"}


def test_what_is_cheap_goes_with_the_heavy_node_before_it() -> None:
    graph = written()
    names = {name: [graph.nodes[k].name for k in nodes] for name, nodes in by_layer(graph).owned.items()}
    assert names["stem.conv"] == ["stem.conv", "stem.act"]
    assert names["mix"] == ["mix", "gate/sigmoid", "gate"]
    assert names["att.fc2"] == ["att.fc2", "att.act_2", "att.mul", "sum", "out"]
    assert sorted(name for some in names.values() for name in some) == sorted(node.name for node in graph.nodes)


def _gated() -> tuple[ModelGraph, onnx.ModelProto]:
    """A pad, a convolution whose weights are reshaped at load, and a gate that both of them feed."""
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"], name="pad"),
        helper.make_node("Reshape", ["flat", "dims"], ["w"], name="fold"),
        helper.make_node("Conv", ["p", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["y"], name="pool", kernel_shape=[2, 2]),
    ]
    weights: dict[str, NDArray[Any]] = {
        "flat": np.ones(4 * 3 * 9, np.float32),
        "dims": np.array([4, 3, 3, 3], np.int64),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    }
    proto = model(nodes, [tensor("x", (1, 3, 8, 8))], [tensor("y", (None,) * 4)], weights=weights)
    return model_graph(proto, {"x": (1, 3, 8, 8)}), proto


def test_a_partial_graph_is_a_model_of_its_own() -> None:
    graph, proto = _gated()
    parts = {part.layer: onnx.load_from_string(partial(part, graph, proto)) for part in regions(graph, by_layer(graph))}
    assert [node.name for node in parts["conv"].graph.node] == ["pad", "fold", "conv", "relu"]
    assert [one.name for one in parts["conv"].graph.input] == ["x"]
    assert [one.name for one in parts["conv"].graph.output] == ["r"]
    assert [one.name for one in parts["pool"].graph.input] == ["r"]
    assert sorted(one.name for one in parts["conv"].graph.initializer) == ["dims", "flat", "pads"]


def test_a_partial_graph_of_unknown_size_is_refused() -> None:
    graph, proto = _gated()
    blind = ModelGraph(graph.nodes, graph.inputs, graph.outputs, graph.params)
    with pytest.raises(ValueError, match="size of 'r' is not known"):
        partial(regions(blind, by_layer(blind))[1], blind, proto)
