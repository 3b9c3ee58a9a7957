"""Concrete sizes of every value of a model, from those of its inputs.

ONNX's own inference follows sums of sizes (`Shape`, slices and arithmetic on its result) only a part of the way. Where values
stay unknown after it, the nodes that compute sizes are computed here and put in their place, until nothing more becomes known:

    infer -> fold what is known -> infer ...        one round for each level of sizes that depend on sizes
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

Shape = tuple[int, ...]

_SIZES = frozenset(
    "Shape Size Constant Slice Gather Concat Add Sub Mul Div Mod Neg Cast Squeeze Unsqueeze Reshape Identity ReduceProd "
    "ReduceSum Max Min Floor Ceil Range Where Equal Less Greater".split()
)
_ROUNDS = 40


def inferred(proto: Any, given: Mapping[str, Shape]) -> tuple[dict[str, Shape], dict[str, int]]:
    """Shapes and ONNX element types of every value that can be known, at the input sizes given."""
    shell = _shell(proto, given)
    shapes, elements = _once(shell)
    for _ in range(_ROUNDS):
        if all(name in shapes for node in shell.graph.node for name in node.output if name):
            break
        if not _fold(shell, shapes):
            break
        more, kinds = _once(shell)
        shapes |= more
        elements |= kinds
    for weight in proto.graph.initializer:
        shapes[weight.name] = tuple(weight.dims)
        elements[weight.name] = weight.data_type
    return shapes, elements


def _once(shell: Any) -> tuple[dict[str, Shape], dict[str, int]]:
    import onnx

    try:
        done = onnx.shape_inference.infer_shapes(shell, check_type=False, strict_mode=False, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        done = shell
    shapes: dict[str, Shape] = {}
    elements: dict[str, int] = {}
    for one in (*done.graph.input, *done.graph.value_info, *done.graph.output):
        kind = one.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            shapes[one.name], elements[one.name] = tuple(d.dim_value for d in kind.shape.dim), kind.elem_type
    return shapes, elements


def _fold(shell: Any, shapes: Mapping[str, Shape]) -> bool:
    """Replace nodes that compute sizes, and whose inputs are known, by their results; True where there was one."""
    import onnx

    known = {one.name: onnx.numpy_helper.to_array(one) for one in shell.graph.initializer}
    kept: list[Any] = []
    made: dict[str, Any] = {}
    for node in shell.graph.node:
        values = _value(node, known, shapes, shell.opset_import) if node.op_type in _SIZES else None
        if values is None:
            kept.append(node)
            continue
        made |= values
        known |= values
    if not made:
        return False
    del shell.graph.node[:]
    shell.graph.node.extend(kept)
    shell.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in made.items())
    return True


def _value(node: Any, known: Mapping[str, Any], shapes: Mapping[str, Shape], opsets: Any) -> dict[str, Any] | None:
    """The results of one node, or None where they are not known, or no sizes."""
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Shape" and not node.attribute and node.input[0] in shapes:
        return {node.output[0]: np.array(shapes[node.input[0]], np.int64)}
    if node.op_type == "Size" and node.input[0] in shapes:
        return {node.output[0]: np.array(prod(shapes[node.input[0]]), np.int64)}
    if any(name and name not in known for name in node.input):
        return None
    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(node.input) if name]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output]
    graph = onnx.helper.make_graph([node], "sizes", inputs, outputs)
    try:
        model = onnx.helper.make_model(graph, opset_imports=opsets)
        results = ReferenceEvaluator(model).run(None, {one.name: known[one.name] for one in inputs})
    # Whatever an operator's reference throws, its value is simply not known.
    except Exception:
        return None
    arrays = {name: np.asarray(value) for name, value in zip(node.output, results, strict=True)}
    return arrays if all(value.size <= _SHAPE_LIKE for value in arrays.values()) else None


# Larger initializers are never read as shapes or axes, and are left out of what inference is given.
_SHAPE_LIKE = 1024


def _shell(proto: Any, given: Mapping[str, Shape]) -> Any:
    """A copy without weights, whose inputs have the sizes given and whose old inner shapes are forgotten."""
    import onnx

    shell = onnx.ModelProto()
    for one in proto.opset_import:
        shell.opset_import.add().CopyFrom(one)
    shell.ir_version = proto.ir_version
    shell.functions.extend(proto.functions)
    graph = shell.graph
    graph.name = proto.graph.name or "graph"
    graph.node.extend(proto.graph.node)
    for one in proto.graph.input:
        graph.input.add().CopyFrom(_fixed(one, given.get(one.name)))
    for one in proto.graph.output:
        kept = graph.output.add()
        kept.name = one.name
        kept.type.tensor_type.elem_type = one.type.tensor_type.elem_type
    named = {one.name for one in graph.input}
    for weight in proto.graph.initializer:
        if prod(weight.dims) <= _SHAPE_LIKE and weight.data_location != onnx.TensorProto.EXTERNAL:
            graph.initializer.add().CopyFrom(weight)
        elif weight.name not in named:
            graph.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims)))
    return shell


def _fixed(info: Any, shape: Shape | None) -> Any:
    import onnx

    if shape is None:
        return info
    return onnx.helper.make_tensor_value_info(info.name, info.type.tensor_type.elem_type, list(shape))
