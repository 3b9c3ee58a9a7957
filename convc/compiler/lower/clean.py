"""Gives an exported graph our names and our metadata, and takes out everything else.

scope n<i>     the nodes torch wrote for our i-th node
principal      the one of them whose value is read outside: it bears the spec path
helpers        the others: PATH/reshape, PATH/reshape_2; nodes of no scope are helpers of their first reader
initializers   parameter names; what torch made of a parameter keeps its suffix; other constants are PATH/constant
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..ir import DType, Model, Node, Stored
from .onnx_model import Weight
from .to_onnx import properties

if TYPE_CHECKING:
    import onnx_ir as ir

_SCOPES = "pkg.torch.onnx.name_scopes"

# Shape inference needs the values of small constants, so these stay in the graph.
_SMALL = 1024


class Cleaner:
    """`names` maps our names of nodes and parameters to the traced module's."""

    def __init__(self, model: Model, nodes: Sequence[Node], names: Mapping[str, str]) -> None:
        self.model = model
        self.nodes = {node.name: node for node in nodes}
        self.ours = {flat: name for name, flat in names.items()}
        self.counts: dict[str, int] = {}

    def clean(self, graph: ir.Graph) -> tuple[Weight, ...]:
        """Rename everything in place; returns the initializers that became weights, which leave the graph."""
        paths = self._paths(graph)
        principals = self._principals(paths)
        self._adopt(paths)
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
        taken = {*self.model.graph.inputs, *self.model.graph.outputs}
        outputs = {id(value): public for value, public in zip(graph.outputs, self.model.graph.outputs, strict=True)}
        for node in graph:
            path = paths[node]
            node.name = path if principals.get(path) is node else self._fresh(path, node.op_type.lower())
            node.metadata_props.update(properties(self.nodes[path]) if path in self.nodes else {})
            for position, value in enumerate(node.outputs):
                own = node.name if len(node.outputs) == 1 else f"{node.name}/{position}"
                value.name = outputs.get(id(value), f"{own}/value" if own in taken else own)
        self._clean_values(graph)
        graph.name, graph.doc_string = self.model.graph.name, None
        graph.metadata_props.clear()
        return self._weights(graph, paths)

    def _paths(self, graph: ir.Graph) -> dict[ir.Node, str]:
        paths: dict[ir.Node, str] = {}
        for node in reversed(list(graph)):
            scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
            known = [self.ours[scope] for scope in scopes if scope in self.ours]
            readers = [paths[reader] for value in node.outputs for reader in value.consumers() if reader in paths]
            paths[node] = known[-1] if known else readers[-1] if readers else self.model.graph.name
        return paths

    def _adopt(self, paths: dict[ir.Node, str]) -> None:
        """Nodes that no node reads and no scope claims: the copies torch makes where one value is two outputs."""
        for node, path in paths.items():
            if path not in self.nodes and node.inputs and (source := node.inputs[0]) is not None:
                producer = source.producer()
                paths[node] = paths[producer] if producer is not None else source.name or path

    def _principals(self, paths: Mapping[ir.Node, str]) -> dict[str, ir.Node]:
        """Per path, the last of its nodes that is read from outside and is of its type; `paths` runs backwards.

        Sizes that a later node computes from this one's output are read outside too, but they are scalars.
        """
        found: dict[str, ir.Node] = {}
        for node, path in paths.items():
            if path not in self.nodes or not _read_outside(node, path, paths):
                continue
            if path not in found or (self._is_of_type(node, path) and not self._is_of_type(found[path], path)):
                found[path] = node
        return found

    def _is_of_type(self, node: ir.Node, path: str) -> bool:
        value, wanted = node.outputs[0], self.nodes[path].type
        if value.shape is None or value.dtype is None:
            return False
        return len(value.shape) == wanted.rank and value.dtype.numpy().name == wanted.dtype.value

    def _fresh(self, path: str, hint: str) -> str:
        name = f"{path}/{hint}"
        self.counts[name] = count = self.counts.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    def _clean_values(self, graph: ir.Graph) -> None:
        import onnx_ir as ir

        for value in (*graph.inputs, *graph.initializers.values(), *(v for node in graph for v in node.outputs)):
            value.metadata_props.clear()
            value.doc_string = None
        types = {**self.model.graph.inputs, **{name: node.type for name, node in self.nodes.items()}}
        types |= {public: self.model.graph.type_of(name) for public, name in self.model.graph.outputs.items()}
        for value in (*graph.inputs, *graph.outputs, *(v for node in graph for v in node.outputs)):
            if value.name in types:
                dims = types[value.name].shape
                value.shape = ir.Shape([dim if isinstance(dim, int) else str(dim) for dim in dims])

    def _weights(self, graph: ir.Graph, paths: Mapping[ir.Node, str]) -> tuple[Weight, ...]:
        weights = []
        for flat, value in list(graph.initializers.items()):
            reader = next(iter(value.consumers()), None)
            path = paths[reader] if reader is not None else self.model.graph.name
            values: Any = value.const_value
            del graph.initializers[flat]
            value.name = self._initializer(flat, path)
            array = values.numpy()
            known = array.dtype.name in DType.__members__
            if known and (value.name in self.model.params or array.nbytes >= _SMALL):
                weights.append(Weight(value.name, Stored(array), DType(array.dtype.name)))
                value.const_value = None
            else:
                graph.initializers[value.name] = value
        return tuple(weights)

    def _initializer(self, flat: str, path: str) -> str:
        if flat in self.ours:
            return self.ours[flat]
        origin = max((name for name in self.ours if flat.startswith(name + "_")), key=len, default="")
        return self.ours[origin] + flat[len(origin) :] if origin else self._fresh(path, "constant")


def _read_outside(node: ir.Node, path: str, paths: Mapping[ir.Node, str]) -> bool:
    return any(
        value.is_graph_output() or any(paths.get(reader) != path for reader in value.consumers())
        for value in node.outputs
    )
