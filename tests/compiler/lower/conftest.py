"""A small builder of models, and two operators that exist for these tests only (they are not in the registry)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

from convc.compiler.errors import Mark, Origin, Source
from convc.compiler.ir import Graph, Model, Node, Op, Param, Seeded, TensorType


@dataclass(frozen=True, kw_only=True)
class Pass(Op):
    """Returns its input itself, as an operator does that is nothing at inference."""

    name = "pass"
    group = "test"

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, t: Any, *x: Any, p: Mapping[str, Any], training: bool = False) -> Any:
        return x[0]

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return x[0]


@dataclass(frozen=True, kw_only=True)
class Raw(Op):
    """Emits what it is told to, and computes nothing."""

    name = "raw"
    group = "test"
    emit: Any

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, t: Any, *x: Any, p: Mapping[str, Any], training: bool = False) -> Any:
        raise NotImplementedError

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(self.emit(g, *x))


class Net:
    """Collects nodes; types and fresh parameters follow from the operators."""

    def __init__(self, **inputs: TensorType) -> None:
        self.types: dict[str, TensorType] = dict(inputs)
        self.inputs = dict(inputs)
        self.nodes: dict[str, Node] = {}
        self.params: dict[str, Param] = {}
        self.trained: set[str] = set()

    def add(self, name: str, op: Op, *inputs: str, like: str = "", line: int = 0, train_only: bool = False) -> str:
        """Add a node; `like` is the node whose parameters it shares, `line` the line of net.yaml that wrote it."""
        types = [self.types[i] for i in inputs]
        bound = op.bind(*types)
        wanted = bound.params(*types)
        # A learned tensor is called by its step's own name, as the frontend has it.
        held = {role: name if op.name == "parameter" else f"{like or name}.{role}" for role in wanted}
        for role, kind in wanted.items():
            self.params.setdefault(held[role], Seeded(kind.shape, kind.init, held[role]))
            self.trained |= {held[role]} if kind.trained else set()
        origins = (Origin(name, Mark(Source("net.yaml"), line, 1)),) if line else ()
        node = Node(name, bound, inputs, bound.infer(*types), MappingProxyType(held), origins, train_only)
        self.nodes[name] = node
        self.types[name] = node.type
        return name

    def model(self, outputs: Mapping[str, str] | str, train_outputs: Mapping[str, str] | None = None) -> Model:
        named = {"output": outputs} if isinstance(outputs, str) else dict(outputs)
        graph = Graph("net", self.inputs, self.nodes, named, train_outputs or {})
        model = Model(graph, self.params, frozenset(self.trained))
        model.check()
        return model


@pytest.fixture
def new_net() -> type[Net]:
    return Net
