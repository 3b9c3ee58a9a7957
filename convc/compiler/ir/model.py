"""Model = graph + parameters, one immutable value under one set of names; and its structural check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import PassError, ShapeError
from .graph import Graph, Node
from .param import Param
from .types import ParamType

if TYPE_CHECKING:
    from .editor import Editor


@dataclass(frozen=True)
class Model:
    """A graph and the numbers its nodes name; `trained` holds the names of learnable ones (statistics are not)."""

    graph: Graph
    params: Mapping[str, Param]
    trained: frozenset[str]

    def __str__(self) -> str:
        from .text import to_text

        return to_text(self)

    def edit(self) -> Editor:
        """An Editor that collects rewrites; `commit()` makes them a new Model."""
        from .editor import Editor

        return Editor(self)

    def params_of(self, node: Node) -> dict[str, Param]:
        """Parameters of a node by role."""
        return {role: self.params[name] for role, name in node.params.items()}

    def param_count(self) -> int:
        """Learnable values; statistics are not counted, shared ones count once."""
        return sum(self.params[name].numel for name in self.params if name in self.trained)

    def check(self) -> None:
        """Ring one of the proof: names, order, types and parameters agree. Raises PassError with the node."""
        seen = set(self.graph.inputs)
        used: set[str] = set()
        for key, node in self.graph.nodes.items():
            self._check_node(key, node, seen)
            seen.add(key)
            used.update(node.params.values())
        self._check_outputs(seen)
        if strangers := sorted(self.trained - self.params.keys()):
            raise PassError(f"parameter {strangers[0]!r} is trained, but does not exist")
        if orphans := sorted(set(self.params) - used):
            raise PassError(f"parameter {orphans[0]!r} belongs to no node ({len(orphans)} in all)")

    def _check_outputs(self, seen: set[str]) -> None:
        graph = self.graph
        if not graph.outputs:
            raise PassError("the graph has no output")
        for public, name in (*graph.outputs.items(), *graph.train_outputs.items()):
            if name not in seen:
                raise PassError(f"output {public!r} reads {name!r}, which no node produces")
        for public, name in graph.outputs.items():
            if name in graph.nodes and graph.nodes[name].train_only:
                raise PassError(f"output {public!r} reads {name!r}, which only the train form computes")

    def _check_node(self, key: str, node: Node, seen: set[str]) -> None:
        if key != node.name:
            raise PassError(f"node {node.name!r} is filed under {key!r}")
        if key in self.graph.inputs:
            raise PassError(f"node {key!r} has the name of an input")
        for name in node.inputs:
            if name not in seen:
                where = "comes later" if name in self.graph.nodes else "is produced by no node"
                raise PassError(f"node {key!r}: its input {name!r} {where}")
            if name in self.graph.nodes and self.graph.nodes[name].train_only and not node.train_only:
                raise PassError(f"node {key!r}: its input {name!r} is computed by the train form only")
        types = self.graph.input_types(node)
        try:
            inferred = node.op.infer(*types)
        except ShapeError as error:
            raise PassError(f"node {key!r} ({node.op.name}): {error.message}") from error
        if inferred != node.type:
            raise PassError(f"node {key!r} ({node.op.name}): recorded as {node.type}, but yields {inferred}")
        self._check_params(node, node.op.params(*types))

    def _check_params(self, node: Node, wanted: Mapping[str, ParamType]) -> None:
        if wanted.keys() != node.params.keys():
            raise PassError(
                f"node {node.name!r} ({node.op.name}) needs parameters {sorted(wanted)}, but has {sorted(node.params)}"
            )
        for role, expected in wanted.items():
            param = self.params.get(node.params[role])
            if param is None:
                raise PassError(f"node {node.name!r}: parameter {node.params[role]!r} does not exist")
            if param.shape != expected.shape:
                raise PassError(f"node {node.name!r}: {role} has shape {param.shape}, expected {expected.shape}")
