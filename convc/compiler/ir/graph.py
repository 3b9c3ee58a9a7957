"""The graph: one node, one value, one name; always in a topological order.

A split is several `slice` nodes, so an edge is a name and a pattern is a chain of names: there is no output index anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import Origin
from .op import Op
from .types import TensorType

if TYPE_CHECKING:
    import networkx as nx

_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Node:
    """An operator applied: its name is also the name of its value.

    `params` maps roles to parameter names (two nodes may share one). `origins` are the spec paths and marks the node stands for.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    type: TensorType
    params: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMS)
    origins: tuple[Origin, ...] = ()
    train_only: bool = False


@dataclass(frozen=True)
class Graph:
    """Nodes by name in topological order, with public inputs and outputs.

    `outputs` maps public names to values, so folding a node away keeps the interface. `train_outputs` are the values of
    `train_only` branches: outputs of the train form alone.
    """

    name: str
    inputs: Mapping[str, TensorType]
    nodes: Mapping[str, Node]
    outputs: Mapping[str, str]
    train_outputs: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMS)

    def type_of(self, name: str) -> TensorType:
        """The type of the value called `name`; raises KeyError."""
        return self.nodes[name].type if name in self.nodes else self.inputs[name]

    def input_types(self, node: Node) -> tuple[TensorType, ...]:
        return tuple(self.type_of(name) for name in node.inputs)

    @cached_property
    def _users(self) -> Mapping[str, tuple[str, ...]]:
        users: dict[str, list[str]] = {name: [] for name in (*self.inputs, *self.nodes)}
        for node in self.nodes.values():
            for name in dict.fromkeys(node.inputs):
                users[name].append(node.name)
        return {name: tuple(readers) for name, readers in users.items()}

    def users(self, name: str) -> tuple[str, ...]:
        """The nodes that read `name`, each once, in order; `is_output` says whether the graph reads it too."""
        return self._users[name]

    def is_output(self, name: str) -> bool:
        return name in self._outputs

    @cached_property
    def _outputs(self) -> frozenset[str]:
        return frozenset((*self.outputs.values(), *self.train_outputs.values()))

    def producer(self, name: str) -> Node | None:
        """The node that yields `name`, or None for a graph input."""
        return self.nodes.get(name)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The dynamic dimensions of the inputs, sorted."""
        return tuple(sorted(frozenset[str]().union(*(t.symbols() for t in self.inputs.values()))))

    def __str__(self) -> str:
        from .text import to_text

        return to_text(self)

    def dag(self) -> nx.DiGraph[Any]:
        """A networkx view for what networkx does well: ancestors, sorting, cycles, drawing."""
        import networkx as nx

        dag: nx.DiGraph[Any] = nx.DiGraph()
        dag.add_nodes_from(self.inputs)
        dag.add_nodes_from(self.nodes)
        dag.add_edges_from((source, node.name) for node in self for source in node.inputs)
        return dag
