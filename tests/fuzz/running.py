"""A model as an ONNX file, run by runtimes that know nothing of convc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from convc.compiler.ir import Model
from convc.compiler.lower.to_onnx import check, to_onnx
from convc.compiler.lower.writer import serialize

Array = NDArray[Any]


def exported(model: Model) -> bytes:
    """The checked file, in float32."""
    lowered = to_onnx(model, opset=20)
    check(lowered)
    return serialize(lowered)


def face(file: bytes) -> tuple[list[str], list[str]]:
    """Inputs and outputs as the file states them: name, then sizes and symbols."""
    graph = onnx.load_from_string(file).graph
    return [_stated(value) for value in graph.input], [_stated(value) for value in graph.output]


def _stated(value: onnx.ValueInfoProto) -> str:
    shape = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return f"{value.name} {value.type.tensor_type.elem_type} {shape}"


def by_onnxruntime(file: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """As the file stands: what ONNX Runtime's own optimizer makes of it (a zero pad before a max pool goes, say) is its own."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {name: value.astype(np.float32) for name, value in inputs.items()})
    return dict(zip(names, map(np.asarray, found), strict=True))


def by_reference(file: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """onnx's own evaluator: the text of the standard in Python."""
    session = ReferenceEvaluator(onnx.load_from_string(file))
    found: Any = session.run(None, {name: value.astype(np.float32) for name, value in inputs.items()})
    return dict(zip(session.output_names, map(np.asarray, found), strict=True))


def apart(expected: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """The largest difference, in the scale of each output but at least of 1."""
    assert list(expected) == list(found)
    worst = 0.0
    for name, old in expected.items():
        assert old.shape == found[name].shape, name
        scale = max(1.0, float(abs(old).max(initial=0.0)))
        worst = max(worst, float(abs(found[name] - old).max(initial=0.0)) / scale)
    return worst
