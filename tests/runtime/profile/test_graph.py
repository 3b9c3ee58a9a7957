"""Costs of an ONNX graph by hand: multiply-accumulates, bytes over a region's border, kinds, and what cannot be known."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from convc.runtime.profile.attribute import Attribution
from convc.runtime.profile.graph import ModelGraph, model_graph, with_names
from convc.runtime.profile.regions import regions

from ..models import model, tensor


def _one(op: str, shape: tuple[int, ...], weight: tuple[int, ...] | None = None, **attributes: Any) -> ModelGraph:
    node = helper.make_node(op, ["x", "w"] if weight else ["x"], ["y"], name="n", **attributes)
    weights = {"w": np.zeros(weight, np.float32)} if weight else {}
    proto = model([node], [tensor("x", ["N", *shape[1:]])], [tensor("y", [None] * len(shape))], weights=weights)
    return model_graph(proto, {"x": shape})


CASES: dict[str, tuple[Any, dict[str, Any], int, str]] = {
    "3x3": (("Conv", (2, 4, 8, 8), (6, 4, 3, 3)), {"pads": [1, 1, 1, 1]}, 2 * 6 * 64 * 4 * 9, "Conv 3x3"),
    "stride": (("Conv", (1, 4, 8, 8), (6, 4, 1, 1)), {"strides": [2, 2]}, 6 * 16 * 4, "Conv 1x1"),
    "depthwise": (("Conv", (1, 4, 8, 8), (4, 1, 3, 3)), {"group": 4}, 4 * 36 * 9, "Conv 3x3 depthwise"),
    "grouped": (("Conv", (1, 4, 8, 8), (6, 2, 3, 3)), {"group": 2}, 6 * 36 * 18, "Conv 3x3 grouped"),
    "transposed": (
        ("ConvTranspose", (1, 4, 8, 8), (4, 6, 2, 2)),
        {"strides": [2, 2]},
        4 * 64 * 24,
        "ConvTranspose 2x2",
    ),
    "linear": (("Gemm", (3, 10), (7, 10)), {"transB": 1}, 3 * 7 * 10, "Gemm"),
    "matmul": (("MatMul", (3, 5, 10), (10, 7)), {}, 3 * 5 * 7 * 10, "MatMul"),
    "relu": (("Relu", (3, 5), None), {}, 0, "Relu"),
}


@pytest.mark.parametrize("name", CASES)
def test_macs_are_those_of_the_formula(name: str) -> None:
    (op, shape, weight), attributes, macs, kind = CASES[name]
    node = _one(op, shape, weight, **attributes).nodes[0]
    assert (node.macs, node.attention_macs, node.kind) == (macs, 0, kind)


def test_a_product_of_two_activations_stands_apart() -> None:
    node = helper.make_node("MatMul", ["q", "k"], ["y"], name="n")
    ends = [tensor("q", (1, 2, 3, 4)), tensor("k", (1, 2, 4, 5))]
    graph = model_graph(model([node], ends, [tensor("y", (1, 2, 3, 5))]), {"q": (1, 2, 3, 4), "k": (1, 2, 4, 5)})
    assert (graph.nodes[0].macs, graph.nodes[0].attention_macs) == (0, 2 * 3 * 5 * 4)


def test_what_cannot_be_inferred_is_none_and_never_zero() -> None:
    nodes = [
        helper.make_node("Strange", ["x"], ["s"], name="strange", domain="com.example"),
        helper.make_node("Conv", ["s", "w"], ["y"], name="conv"),
    ]
    proto = model(
        nodes, [tensor("x", (1, 4, 8, 8))], [tensor("y", (None,) * 4)], domains=["com.example"],
        weights={"w": np.zeros((6, 4, 3, 3), np.float32)},
    )  # fmt: skip
    graph = model_graph(proto, {"x": (1, 4, 8, 8)})
    assert graph.nodes[1].macs is None
    found = Attribution({"strange": (0,), "conv": (1,)})
    assert [(part.macs, part.bytes) for part in regions(graph, found)] == [(0, None), (None, None)]


def test_stale_inner_sizes_are_forgotten() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["h"], name="a"), helper.make_node("Relu", ["h"], ["y"], name="b")],
                  [tensor("x", ("N", 3))], [tensor("y", ("N", 3))])  # fmt: skip
    proto.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 3]))
    assert model_graph(proto, {"x": (5, 3)}).shapes["h"] == (5, 3)


def _residual() -> tuple[ModelGraph, onnx.ModelProto]:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Add", ["r", "x"], ["y"], name="add"),
    ]
    proto = model(
        nodes,
        [tensor("x", (1, 4, 8, 8))],
        [tensor("y", (1, 4, 8, 8))],
        weights={"w": np.zeros((4, 4, 1, 1), np.float32)},
    )
    return model_graph(proto, {"x": (1, 4, 8, 8)}), proto


def test_bytes_are_what_crosses_the_border_of_a_region() -> None:
    graph, _ = _residual()
    plane, weight = 4 * 64 * 4, 4 * 4 * 4
    apart = regions(graph, Attribution({"conv": (0, 1), "add": (2,)}))
    assert [part.bytes for part in apart] == [plane + weight + plane, 3 * plane]
    assert [part.reads for part in apart] == [(), ("conv",)]
    together = regions(graph, Attribution({"conv": (0, 1, 2)}))
    assert [part.bytes for part in together] == [plane + weight + plane]
    assert together[0].owners == ("conv", "relu", "add")


def test_nodes_without_or_with_another_name_get_their_own() -> None:
    nodes = [helper.make_node("Relu", [f"v{k}"], [f"v{k + 1}"], name=name) for k, name in enumerate(["", "a", "a", ""])]
    proto = model(nodes, [tensor("v0", (1,))], [tensor("v4", (1,))])
    assert with_names(proto)
    assert [node.name for node in proto.graph.node] == ["v1", "a", "v3", "v4"]
    assert not with_names(proto)


def test_constants_are_known_and_cost_nothing() -> None:
    nodes = [
        helper.make_node("Relu", ["w"], ["w2"], name="fold"),
        helper.make_node("MatMul", ["x", "w2"], ["y"], name="mul"),
    ]
    proto = model(nodes, [tensor("x", (2, 3))], [tensor("y", (2, 5))], weights={"w": np.zeros((3, 5), np.float32)})
    graph = model_graph(proto, {"x": (2, 3)})
    assert graph.constant == {"w", "w2"}
    assert [(node.macs, node.attention_macs) for node in graph.nodes] == [(0, 0), (30, 0)]


def test_sizes_that_depend_on_sizes_are_followed() -> None:
    """x is cropped to the half of its own size, twice in turn: onnx's inference alone gives up at the first."""
    nodes = []
    for k in range(2):
        a, b = f"h{k}", f"h{k + 1}"
        nodes += [
            helper.make_node("Shape", [a], [f"s{k}"], name=f"shape{k}"),
            helper.make_node("Div", [f"s{k}", "halves"], [f"d{k}"], name=f"div{k}"),
            helper.make_node("Slice", [a, "zeros", f"d{k}"], [f"c{k}"], name=f"slice{k}"),
            helper.make_node("Conv", [f"c{k}", "w"], [b], name=f"conv{k}"),
        ]
    weights: dict[str, Any] = {
        "halves": np.array([1, 1, 2, 2], np.int64),
        "zeros": np.zeros(4, np.int64),
        "w": np.zeros((4, 4, 1, 1), np.float32),
    }
    proto = model(nodes, [tensor("h0", ("N", 4, "H", "W"))], [tensor("h2", (None,) * 4)], weights=weights)
    graph = model_graph(proto, {"h0": (2, 4, 16, 8)})
    assert [graph.shapes[name] for name in ("h1", "h2")] == [(2, 4, 8, 4), (2, 4, 4, 2)]
    assert [node.macs for node in graph.nodes if node.op == "Conv"] == [2 * 4 * 32 * 4, 2 * 4 * 8 * 4]
