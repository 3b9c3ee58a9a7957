"""A graph under construction: each node is bound and inferred as it is put, so what does not fit is refused at once.

A piece is a function (sketch, value) -> value that puts some nodes. One that finds out half-way that it does not fit raises
ShapeError, and `attempt` takes back what it had put.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any, TypeVar

from convc.compiler.errors import ShapeError
from convc.compiler.ir import Dim, Graph, Model, Node, Param, TensorType
from convc.compiler.ir.types import ParamType
from convc.compiler.ops import OPS
from tests.fuzz.numbers import filled

T = TypeVar("T")


@dataclass
class Sketch:
    """Nodes so far, in order, and the random source that pieces draw from."""

    random: Random
    inputs: dict[str, TensorType] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    wanted: dict[str, ParamType] = field(default_factory=dict)
    # From here on nodes belong to the train form alone.
    train_only: bool = False

    # -- drawing

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one(self, choices: Sequence[T]) -> T:
        return self.random.choice(choices)

    # -- reading

    def type(self, value: str) -> TensorType:
        return self.nodes[value].type if value in self.nodes else self.inputs[value]

    def channels(self, value: str) -> int:
        return self.type(value).channels

    def axes(self, value: str) -> int:
        """How many spatial axes a value has; raises ShapeError where it is no image."""
        if self.type(value).rank < 3:
            raise ShapeError(f"{value} is no image")
        return self.type(value).rank - 2

    def least(self, value: str) -> int:
        """The smallest spatial size; dynamic ones count as many."""
        return min(dim if isinstance(dim, int) else 16 for dim in self.type(value).spatial)

    def static(self, value: str) -> bool:
        """Whether all sizes are numbers: a border copied from an axis of any size may ask for more than is there."""
        return not self.type(value).symbols() - {"N"}

    # -- writing

    def input(self, name: str, *shape: Dim) -> str:
        self.inputs[name] = TensorType(tuple(shape))
        return name

    def put(self, op: str, *reads: str, like: str = "", share: Sequence[str] = (), **arguments: Any) -> str:
        """A node; with `like` it holds that node's parameters, all of them or those in `share`. Raises ShapeError."""
        types = [self.type(name) for name in reads]
        build: Any = OPS[op]
        bound = build(**arguments).bind(*types)
        name = f"{op}_{len(self.nodes)}"
        held: dict[str, str] = {}
        for role, kind in bound.params(*types).items():
            twin = self.nodes[like].params.get(role) if like and (not share or role in share) else None
            held[role] = f"{name}.{role}" if twin is None else twin
            if self.wanted.setdefault(held[role], kind).shape != kind.shape:
                raise ShapeError(f"{held[role]} does not fit {name}")
        late = self.train_only or any(self.nodes[read].train_only for read in reads if read in self.nodes)
        self.nodes[name] = Node(name, bound, reads, bound.infer(*types), MappingProxyType(held), (), late)
        return name

    def again(self, node: str, *reads: str, **changes: Any) -> str:
        """The same operator with the same parameters, on other values or with other arguments."""
        found = self.nodes[node]
        return self.put(found.op.name, *(reads or found.inputs), like=node, **(dict(found.op.arguments()) | changes))

    def constant(self, value: Any) -> str:
        return self.put("constant", value=value)

    def attempt(self, piece: Callable[[Sketch, str], str], value: str) -> str | None:
        """The piece's value, or None, with everything as it was, where it does not fit."""
        nodes, wanted = dict(self.nodes), dict(self.wanted)
        try:
            return piece(self, value)
        except ShapeError:
            self.nodes, self.wanted = nodes, wanted
            return None

    def model(self, outputs: dict[str, str], train_outputs: dict[str, str]) -> Model:
        """The checked model, every parameter filled with numbers that tell."""
        roles = {held: (node.op, role) for node in self.nodes.values() for role, held in node.params.items()}
        seed = self.random.getrandbits(32)
        params: dict[str, Param] = {
            name: filled(name, *roles[name], kind, seed) for name, kind in self.wanted.items() if name in roles
        }
        graph = Graph(
            "fuzz",
            MappingProxyType(self.inputs),
            MappingProxyType(self.nodes),
            MappingProxyType(outputs),
            MappingProxyType(train_outputs),
        )
        trained = frozenset(name for name in params if self.wanted[name].trained)
        model = Model(graph, MappingProxyType(params), trained)
        model.check()
        return model
