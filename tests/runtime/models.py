"""Tiny ONNX models, made by hand, for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None]
IMAGE: Shape = ("N", 3, 8, 8)


def tensor(name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    *,
    weights: Mapping[str, NDArray[Any]] | None = None,
    opset: int = 20,
    ir: int = 10,
    domains: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "tiny", list(inputs), list(outputs), stored)
    imports = [helper.make_opsetid("", opset), *[helper.make_opsetid(domain, 1) for domain in domains]]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=ir)
    helper.set_model_props(proto, dict(metadata or {}))
    return proto


def relu(shape: Shape = ("N", 3), kind: int = TensorProto.FLOAT, **options: Any) -> onnx.ModelProto:
    node = helper.make_node("Relu", ["x"], ["y"], name="act")
    return model([node], [tensor("x", shape, kind)], [tensor("y", shape, kind)], **options)


def identity(shape: Shape = IMAGE, kind: int = TensorProto.FLOAT, **options: Any) -> onnx.ModelProto:
    """Gives back what it is fed: shows what preprocessing made of a picture."""
    node = helper.make_node("Identity", ["image"], ["same"], name="same")
    return model([node], [tensor("image", shape, kind)], [tensor("same", shape, kind)], **options)


def classifier(shape: Shape = IMAGE, classes: int = 7, **options: Any) -> onnx.ModelProto:
    """Mean over height and width, then a matrix with a seed: (N, 3, H, W) -> (N, classes)."""
    matrix = np.random.default_rng(0).standard_normal((3, classes)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat"),
        helper.make_node("MatMul", ["flat", "fc.weight"], ["scores"], name="fc"),
    ]
    outputs = [tensor("scores", (shape[0], classes))]
    return model(nodes, [tensor("image", shape)], outputs, weights={"fc.weight": matrix}, **options)


def external(location: str, **fields: object) -> onnx.ModelProto:
    """y = x + w, with the three floats of w in another file."""
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor("x", ("N", 3))], [tensor("y", ("N", 3))])
    weight = proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[3])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **fields}.items():
        weight.external_data.add(key=key, value=str(value))
    return proto


def save(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path
