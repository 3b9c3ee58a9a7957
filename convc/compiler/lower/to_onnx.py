"""Model -> OnnxModel, straight from our graph through onnx_ir: our names, our bytes, in tenths of a second.

    node         spec path; helpers PATH/sigmoid           value     its node's name, or the public name of an output
    initializer  parameter name; constants PATH/hint       metadata  convc.source, and convc.origins where passes merged

Only what the outputs need is lowered, so a model that no pass has touched can be lowered too.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PassError, UsageError
from ..ir import DType, Model, Node, SymDim
from .emitter import Call, Emitter
from .onnx_model import OnnxModel, Weight
from .reach import reachable
from .schemas import Schemas
from .splits import Split, find_splits

if TYPE_CHECKING:
    import onnx_ir as ir

OPSET = 20
IR_VERSION = 10
PRODUCER = "convc"


def to_onnx(
    model: Model,
    *,
    opset: int = OPSET,
    ir_version: int = IR_VERSION,
    metadata: Mapping[str, str] | None = None,
    producer_version: str = "",
    doc: str = "",
    lacking: frozenset[str] = frozenset(),
) -> OnnxModel:
    """The deployed model: `outputs` of the graph, and what they need. No parameter is computed yet: the writer does.

    `metadata` becomes the model's metadata_props, sorted; `doc` its doc_string. `lacking` are ONNX operators that the runtime has
    no kernel for: where an operator can be written without them, it is. The bytes depend on the arguments only.
    Raises UsageError, which names the spec's line, where the opset cannot express an operator.
    """
    import onnx_ir as ir

    built = _Builder(model, opset, lacking).build()
    proto = ir.Model(
        built,
        ir_version=ir_version,
        producer_name=PRODUCER,
        producer_version=producer_version or None,
        doc_string=doc or None,
        metadata_props=dict(sorted((metadata or {}).items())),
    )
    return sealed(proto, _weights(model, built), opset)


def sealed(model: ir.Model, weights: tuple[Weight, ...], opset: int) -> OnnxModel:
    """The finished bytes of an onnx_ir model that does not hold the weights."""
    import onnx_ir as ir

    proto = ir.serde.serialize_model(model)
    graph = proto.graph.SerializeToString(deterministic=True)
    nodes = tuple(node.name for node in proto.graph.node)
    proto.ClearField("graph")
    return OnnxModel(proto.SerializeToString(deterministic=True), graph, weights, nodes, opset, model.ir_version)


def check(model: OnnxModel) -> None:
    """onnx.checker with strict type and shape inference; raises PassError.

    The weights stand in as inputs of their type, so the time does not depend on their size and 2 GiB is no limit.
    `check_file` looks at what was written.
    """
    import onnx

    proto = onnx.ModelProto.FromString(model.head)
    proto.graph.ParseFromString(model.graph)
    element = onnx.TensorProto.DataType
    proto.graph.input.extend(
        onnx.helper.make_tensor_value_info(w.name, element.Value(_ELEMENT_NAMES[w.dtype.value]), w.shape)
        for w in model.weights
    )
    _checked(proto, full_check=True)


def check_file(path: PathLike[str] | str) -> None:
    """onnx.checker on a written model, its data file included; raises PassError."""
    _checked(str(path), full_check=False)


_ELEMENT_NAMES = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "FLOAT16", "int64": "INT64", "bool": "BOOL"}


def _checked(model: Any, full_check: bool) -> None:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=full_check)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PassError(f"onnx.checker refuses the model: {error}", hint="this is a defect of convc") from error


def properties(node: Node) -> dict[str, str]:
    """`convc.source`: the line that wrote the node. `convc.origins`: the spec paths it stands for, if several."""
    found = {}
    if node.origins and node.origins[0].place:
        found["convc.source"] = node.origins[0].place
    paths = dict.fromkeys(origin.path for origin in node.origins)
    if len(paths) > 1:
        found["convc.origins"] = ", ".join(paths)
    return found


def _weights(model: Model, graph: ir.Graph) -> tuple[Weight, ...]:
    """In the order of first use, as the nodes of the written graph read them."""
    found: dict[str, Weight] = {}
    for value in (value for node in graph for value in node.inputs if value is not None):
        if value.name in model.params and value.producer() is None and value.name not in found:
            assert value.name is not None
            assert value.dtype is not None
            kind = next(t for t in DType if t.value == value.dtype.numpy().name)
            found[value.name] = Weight(value.name, model.params[value.name], kind)
    return tuple(found.values())


class _Builder:
    """One lowering under way: `values` holds what every name stands for in ONNX."""

    def __init__(self, model: Model, opset: int, lacking: frozenset[str]) -> None:
        self.model = model
        self.lacking = lacking
        self.graph = model.graph
        self.nodes = reachable(model.graph, model.graph.outputs.values())
        self.schemas = Schemas(opset)
        self.splits = find_splits(model.graph, self.nodes)
        self.values: dict[str, ir.Value] = {}
        self.params: dict[str, ir.Value] = {}
        self.constants: list[ir.Value] = []
        self.written: list[ir.Node] = []
        self.public: dict[str, str] = {}
        self.dims: dict[SymDim, str] = {}

    def build(self) -> ir.Graph:
        import onnx_ir as ir

        self.public = self._public_names()
        inputs = [self._value(name, type, name) for name, type in self.graph.inputs.items()]
        for node in self.nodes.values():
            if node.name in self.values:
                continue
            if split := self.splits.get(node.name):
                self._emit_split(split)
            else:
                self._emit(node)
        outputs = [self._output(public, name) for public, name in self.graph.outputs.items()]
        return ir.Graph(
            inputs,
            outputs,
            nodes=self.written,
            initializers=self.constants,
            opset_imports={"": self.schemas.opset},
            name=self.graph.name,
        )

    def _public_names(self) -> dict[str, str]:
        """Which value bears which output's name: its first, if a node yields it."""
        public: dict[str, str] = {}
        for name, value in self.graph.outputs.items():
            if name in self.graph.inputs or name in self.model.params:
                what = "an input" if name in self.graph.inputs else "a parameter"
                raise UsageError(f"the output {name!r} has the name of {what}", hint="give one of them another name")
            if value in self.nodes:
                public.setdefault(value, name)
        return public

    def _emit(self, node: Node) -> None:
        types = self.graph.input_types(node)
        g = Emitter(node.name, self.schemas.opset, types, node.type, self.lacking)
        for name in node.params.values():
            self._param(name, g.dtype.value)
        free = node.name not in self.public and node.name not in self.graph.outputs
        emitted = g.finish(node.op.onnx(g, *node.inputs, p=node.params), alias=free)
        known = {**self.params, **{name: self.values[name] for name in node.inputs}}
        known |= {name: self._constant(name, array) for name, array in emitted.constants.items()}
        for call in emitted.calls:
            self._write(call, node, known)
        if emitted.value == node.name and free and node.name in known:
            self.values[node.name] = known[node.name]
        elif all(emitted.value not in call.outputs for call in emitted.calls):
            self._write(Call("Identity", node.name, (emitted.value,), (node.name,), {}), node, known)

    def _write(self, call: Call, node: Node, known: dict[str, ir.Value]) -> None:
        import onnx_ir as ir

        where = node.origins[0].place if node.origins and node.origins[0].place else node.name
        attributes = self.schemas.attributes(call.op_type, len(call.inputs), call.attributes, where)
        inputs = [known[name] if name else None for name in call.inputs]
        for name in call.outputs:
            own = name == node.name
            known[name] = self._value(node.name, node.type, self._name_of(name)) if own else ir.Value(name=name)
        outputs = [known[name] for name in call.outputs]
        made = ir.Node(
            "", call.op_type, inputs, attributes, outputs=outputs, name=call.name, metadata_props=properties(node)
        )
        self.written.append(made)

    def _emit_split(self, split: Split) -> None:
        import onnx_ir as ir

        parts = [self.nodes[name] for name in split.parts]
        sizes = self._constant(f"{parts[0].name}/sizes", split.sizes)
        outputs = [self._value(part.name, part.type, self._name_of(part.name)) for part in parts]
        where = properties(parts[0]) | {"convc.origins": ", ".join(o.path for part in parts for o in part.origins)}
        attributes = self.schemas.attributes("Split", 2, {"axis": split.axis}, parts[0].name)
        name = f"{parts[0].name}/split"
        inputs = [self.values[split.source], sizes]
        self.written.append(ir.Node("", "Split", inputs, attributes, outputs=outputs, name=name, metadata_props=where))

    def _output(self, public: str, name: str) -> ir.Value:
        if self.public.get(name) == public:
            return self.values[name]
        import onnx_ir as ir

        value = self._made(self.graph.type_of(name), public)
        where = properties(self.nodes[name]) if name in self.nodes else {}
        made = ir.Node(
            "", "Identity", [self.values[name]], outputs=[value], name=f"{name}/{public}", metadata_props=where
        )
        self.written.append(made)
        return value

    def _name_of(self, name: str) -> str:
        """The value's name in ONNX; a node that is called as an output is, but is not that output, gives way."""
        if name in self.public:
            return self.public[name]
        return f"{name}/value" if name in self.graph.outputs else name

    def _value(self, name: str, type: Any, written: str) -> ir.Value:
        self.values[name] = value = self._made(type, written)
        return value

    def _made(self, type: Any, name: str) -> ir.Value:
        import onnx_ir as ir

        shape = ir.Shape([dim if isinstance(dim, int) else self._dim(dim) for dim in type.shape])
        return ir.Value(name=name, shape=shape, type=_tensor_type(type.dtype.value))

    def _dim(self, dim: SymDim) -> str:
        """Its text: few dimensions occur, each on many nodes."""
        if dim not in self.dims:
            self.dims[dim] = str(dim)
        return self.dims[dim]

    def _param(self, name: str, dtype: str) -> None:
        import onnx_ir as ir

        if name not in self.params:
            shape = ir.Shape(self.model.params[name].shape)
            self.params[name] = ir.Value(name=name, shape=shape, type=_tensor_type(dtype))

    def _constant(self, name: str, array: Any) -> ir.Value:
        import onnx_ir as ir

        array = np.asarray(array)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.constants.append(value)
        return value


def _tensor_type(dtype: str) -> ir.TensorType:
    import onnx_ir as ir

    return ir.TensorType(ir.DataType[{"float64": "DOUBLE", "float32": "FLOAT"}.get(dtype, dtype.upper())])
