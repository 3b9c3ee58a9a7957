"""The model as it was written: its nodes, what they read and make, and what each costs at given input sizes.

    node i      name, op, the spec paths it stands for and their line (metadata of a model that convc built),
                inputs and outputs by value name, MACs, attention MACs
    value v     its bytes; parameters (initializers) apart from activations

MACs of a Conv: output elements x input channels per group x kernel; of a ConvTranspose: input elements x output channels per
group x kernel; of Gemm and MatMul: output elements x inner size, and a product of two activations counts as attention. Shapes
come from shapes.py at the concrete sizes; what cannot be inferred costs None, never 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from ...compiler.errors import ModelError, ProviderError
from .shapes import Shape, inferred

_ORIGINS, _SOURCE = "convc.origins", "convc.source"


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One node; `owners` are spec paths (its own name in a foreign model). Empty strings stand for absent inputs."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    owners: tuple[str, ...] = ()
    source: str = ""
    kind: str = ""
    macs: int | None = 0
    attention_macs: int | None = 0


@dataclass(frozen=True)
class ModelGraph:
    """Nodes in execution order. `shapes`, `sizes` (bytes) and `elements` (ONNX's types) hold activations and parameters,
    where they are known."""

    nodes: tuple[GraphNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: frozenset[str]
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    elements: Mapping[str, int] = field(default_factory=dict)
    built_by_convc: bool = False
    opset: int | None = None

    @cached_property
    def producer(self) -> dict[str, int]:
        """Value name -> index of the node that makes it."""
        return {name: i for i, node in enumerate(self.nodes) for name in node.outputs if name}

    @cached_property
    def consumers(self) -> dict[str, tuple[int, ...]]:
        """Value name -> indices of the nodes that read it."""
        found: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(i)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def constant(self) -> frozenset[str]:
        """Values that no input of the model reaches: the runtime computes them once, when it loads."""
        known = set(self.params) | {""}
        for node in self.nodes:
            if all(name in known for name in node.inputs):
                known.update(node.outputs)
        return frozenset(known - {""})


def read_model(path: Path) -> Any:
    """The protobuf without external data. Raises ModelError, and ProviderError where onnx is not installed."""
    try:
        import onnx

        protobuf = importlib.import_module("google.protobuf.message")
    except ImportError as error:
        raise ProviderError("onnx is not installed: layers cannot be named", hint="pip install onnx") from error
    try:
        return onnx.ModelProto.FromString(path.read_bytes())
    except (protobuf.DecodeError, OSError) as error:
        raise ModelError(f"{path}: not a readable ONNX model: {error}", hint="copy or build the file again") from error


def with_names(proto: Any) -> bool:
    """Give every node without a name, or with another's, one of its own; True where that was needed."""
    taken: set[str] = set()
    changed = False
    for i, node in enumerate(proto.graph.node):
        if not node.name or node.name in taken:
            first = next((name for name in node.output if name), "")
            node.name = first if first and first not in taken else f"{node.op_type}_{i}"
            while node.name in taken:
                node.name += "_"
            changed = True
        taken.add(node.name)
    return changed


def model_graph(proto: Any, shapes: Mapping[str, Shape] | None = None) -> ModelGraph:
    """The graph of a model whose inputs have `shapes`; see the module's docstring."""
    given = dict(shapes or {})
    known, elements = inferred(proto, given)
    sizes = {name: prod(shape) * _width(elements[name]) for name, shape in known.items()}
    params = frozenset(one.name for one in proto.graph.initializer)
    ours = any(entry.key == "convc.version" for entry in proto.metadata_props)
    inputs = tuple(one.name for one in proto.graph.input if one.name not in params)
    bare = [_node(node, ours) for node in proto.graph.node]
    constant = ModelGraph(tuple(bare), inputs, (), params).constant
    nodes = tuple(_costed(one, node, known, constant) for one, node in zip(bare, proto.graph.node, strict=True))
    outputs = tuple(one.name for one in proto.graph.output)
    opset = next((one.version for one in proto.opset_import if one.domain in ("", "ai.onnx")), None)
    return ModelGraph(nodes, inputs, outputs, params, known, sizes, elements, ours, opset)


def _node(node: Any, ours: bool) -> GraphNode:
    said = {entry.key: entry.value for entry in node.metadata_props}
    # A helper node of a layer is called PATH/hint.
    own = node.name.split("/", 1)[0] if ours else node.name
    owners = tuple(said[_ORIGINS].split(", ")) if said.get(_ORIGINS) else (own,)
    return GraphNode(node.name, node.op_type, tuple(node.input), tuple(node.output), owners, said.get(_SOURCE, ""))


def _costed(one: GraphNode, node: Any, shapes: Mapping[str, Shape], constant: frozenset[str]) -> GraphNode:
    attributes = {a.name: a for a in node.attribute}
    macs = _macs(node, attributes, shapes)
    folded = all(name in constant for name in node.output if name)
    if folded:
        return replace(one, kind=one.op, macs=0, attention_macs=0)
    product = one.op in ("MatMul", "Gemm", "Einsum") and all(name not in constant for name in one.inputs[:2])
    if one.op == "Attention" or product:
        return replace(one, kind=one.op, macs=0, attention_macs=macs)
    return replace(one, kind=_kind(one.op, node, attributes, shapes), macs=macs, attention_macs=0)


def _kind(op: str, node: Any, attributes: Mapping[str, Any], shapes: Mapping[str, Shape]) -> str:
    """`Conv 3x3`, `Conv 3x3 depthwise`: the operator as people who count its cost tell it apart."""
    weight = shapes.get(node.input[1]) if len(node.input) > 1 else None
    if op not in ("Conv", "ConvTranspose", "DeformConv") or weight is None:
        return op
    groups = attributes["group"].i if "group" in attributes else 1
    channels = weight[0]
    word = "" if groups == 1 else " depthwise" if groups == channels and weight[1] == 1 else " grouped"
    return f"{op} {'x'.join(map(str, weight[2:]))}{word}"


def _macs(node: Any, attributes: Mapping[str, Any], shapes: Mapping[str, Shape]) -> int | None:
    ins = [shapes.get(name) for name in node.input]
    out = shapes.get(node.output[0]) if node.output else None
    if node.op_type not in _FORMULAS:
        return 0
    if out is None or any(one is None for one in ins[:2]):
        return None
    return _FORMULAS[node.op_type]([one or () for one in ins], out, attributes)


def _conv(ins: Sequence[Shape], out: Shape, attributes: Mapping[str, Any]) -> int:
    return prod(out) * prod(ins[1][1:])


def _conv_transpose(ins: Sequence[Shape], out: Shape, attributes: Mapping[str, Any]) -> int:
    return prod(ins[0]) * prod(ins[1][1:])


def _gemm(ins: Sequence[Shape], out: Shape, attributes: Mapping[str, Any]) -> int:
    transposed = attributes["transA"].i if "transA" in attributes else 0
    return prod(out) * ins[0][0 if transposed else 1]


def _matmul(ins: Sequence[Shape], out: Shape, attributes: Mapping[str, Any]) -> int:
    return prod(out) * ins[0][-1]


def _attention(ins: Sequence[Shape], out: Shape, attributes: Mapping[str, Any]) -> int | None:
    """Queries x keys and weights x values: each batch x heads x queries x keys x depth."""
    if len(ins) < 3 or len(ins[0]) != 4:
        return None
    (batch, heads, queries, depth), keys = ins[0], ins[1][2]
    return batch * heads * queries * keys * (depth + ins[2][3])


def _einsum(ins: Sequence[Shape], out: Shape, attributes: Mapping[str, Any]) -> int | None:
    """Every index once, of all operands together."""
    text = attributes["equation"].s.decode().replace(" ", "").split("->")[0].split(",")
    if "." in "".join(text):
        return None
    sizes = {
        letter: size for term, shape in zip(text, ins, strict=False) for letter, size in zip(term, shape, strict=True)
    }
    return prod(sizes.values())


_FORMULAS = {
    "Conv": _conv, "DeformConv": _conv, "FusedConv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm,
    "FusedGemm": _gemm, "MatMul": _matmul, "FusedMatMul": _matmul, "Attention": _attention, "Einsum": _einsum,
}  # fmt: skip


def _width(element: int) -> int:
    import onnx

    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(element).itemsize)
    except (KeyError, TypeError, ValueError):
        return 4
