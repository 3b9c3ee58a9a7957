"""The nn.Module classes of a lowered model. This file imports torch at its top, so it is imported on use only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..ir import Node, Op
from .reach import last_reads


class Scope(nn.Module):
    """A part of a path. Children and tensors are filed under names that nn.Module would refuse (`training`, `half`)."""

    def __setattr__(self, name: str, value: Any) -> None:
        # A child may be called as an attribute is; nn.Module would take `self.training = False` for an attack on it.
        if name in self.__dict__.get("_modules", ()) and not isinstance(value, nn.Module):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


class Step(Scope):
    """A node: its operator, and where each of its parameters lives (with another node, if they share one)."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.op = op
        # Tuples, which nn.Module does not look into: a shared parameter must appear once in the state_dict.
        self.sources: tuple[tuple[str, Scope, str], ...] = ()

    def forward(self, *inputs: Tensor) -> Tensor:
        held = {role: _held(scope, leaf) for role, scope, leaf in self.sources}
        value: Tensor = self.op.torch(torch, *inputs, p=held, training=self.training)
        return value

    def extra_repr(self) -> str:
        return ", ".join([self.op.name, *(f"{key}={value}" for key, value in self.op.arguments().items())])


class Network(Scope):
    """A lowered model; see `to_torch` for what it takes and returns.

    `names` maps a node's name to its module's path, and a parameter's to its tensor's; by default they are the same.
    """

    def __init__(
        self,
        inputs: tuple[str, ...],
        nodes: Sequence[Node],
        outputs: Mapping[str, str],
        train_outputs: Mapping[str, str],
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.names = dict(names or {})
        self.inputs = inputs
        self.outputs = dict(outputs)
        self.train_outputs = dict(train_outputs)
        steps = {node.name: Step(node.op) for node in nodes}
        for name, step in steps.items():
            self._file(self.names.get(name, name), step)
        for node in nodes:
            steps[node.name].sources = tuple((role, *self._home(name)) for role, name in node.params.items())
        aside = {node.name for node in nodes if node.train_only}
        self.plan_train = self._plan(nodes, {**outputs, **train_outputs})
        self.plan_eval = self._plan([node for node in nodes if node.name not in aside], outputs)

    def fill(self, tensors: Mapping[str, Tensor], trained: frozenset[str]) -> None:
        """Put the tensors in their places: those in `trained` as parameters, the others (statistics) as buffers."""
        for name, value in tensors.items():
            scope, leaf = self._home(name)
            if name in trained and value.is_floating_point():
                scope._parameters[leaf] = nn.Parameter(value)
            else:
                scope._buffers[leaf] = value

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor | dict[str, Tensor]:
        values = self._taken(inputs, named)
        for name, reads, done in self.plan_train if self.training else self.plan_eval:
            values[name] = self._step(name)(*(values[read] for read in reads))
            for finished in done:
                del values[finished]
        outputs = {**self.outputs, **self.train_outputs} if self.training else self.outputs
        if len(outputs) == 1:
            return values[next(iter(outputs.values()))]
        return {public: values[name] for public, name in outputs.items()}

    def _taken(self, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> dict[str, Tensor]:
        given = dict(zip(self.inputs, inputs, strict=False))
        if len(inputs) + len(named) != len(self.inputs) or {*given, *named} != set(self.inputs):
            raise TypeError(f"the network takes {', '.join(self.inputs)}; got {len(inputs)} values and {sorted(named)}")
        return given | named

    def _step(self, name: str) -> nn.Module:
        module: nn.Module = self
        for part in self.names.get(name, name).split("."):
            found = module._modules[part]
            assert found is not None
            module = found
        return module

    def _plan(self, nodes: Sequence[Node], outputs: Mapping[str, str]) -> tuple[tuple[str, tuple[str, ...], Any], ...]:
        free = last_reads(nodes, outputs.values())
        return tuple((node.name, node.inputs, done) for node, done in zip(nodes, free, strict=True))

    def _home(self, name: str) -> tuple[Scope, str]:
        """Where a parameter lives: its scope, made if need be, and its own name there."""
        path, _, leaf = self.names.get(name, name).rpartition(".")
        return (self._scope(path) if path else self), leaf

    def _scope(self, path: str) -> Scope:
        scope: Scope = self
        for part in path.split("."):
            scope = _entered(scope, part)
        return scope

    def _file(self, path: str, step: Step) -> None:
        """Put a node's module at its path; what was filed under that path before moves into it."""
        parent, _, leaf = path.rpartition(".")
        scope = self._scope(parent) if parent else self
        before = scope._modules.get(leaf)
        if before is not None:
            step._modules.update(before._modules)
        scope._modules[leaf] = step


def _entered(scope: Scope, part: str) -> Scope:
    found = scope._modules.get(part)
    if not isinstance(found, Scope):
        found = scope._modules[part] = Scope()
    return found


def _held(scope: Scope, leaf: str) -> Tensor:
    value = scope._parameters.get(leaf)
    found = scope._buffers[leaf] if value is None else value
    assert found is not None
    return found
