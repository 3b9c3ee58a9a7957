"""Values while a spec is elaborated: a tensor, a bundle of values, or the trace of a step that failed.

Expressions read them through `read` (x.channels), `[k]` and `len`; steps read them by name through a Scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..ir import TensorType


@dataclass(frozen=True)
class Tensor:
    """The value of a node or of an input."""

    name: str
    type: TensorType

    FIELDS = ("channels", "height", "width", "depth", "length", "shape", "rank")

    def read(self, name: str) -> Any:
        """An attribute that expressions may read; raises KeyError with what there is."""
        shape = self.type.shape
        spatial = {"width": -1, "height": -2, "depth": -3}
        if name == "channels" and len(shape) > 1:
            return shape[1]
        if name == "shape":
            return tuple(shape)
        if name == "rank":
            return len(shape)
        if name == "length" and len(shape) == 3:
            return shape[2]
        if name in spatial and len(shape) >= 2 - spatial[name]:
            return shape[spatial[name]]
        raise KeyError(f"{self.type} has no {name!r}; there is {', '.join(self.FIELDS)}")

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Bundle:
    """Several values by label, in order. `last` is set where the bundle also reads as one value (a loop's last round)."""

    parts: Mapping[str, Value]
    last: Value | None = None

    def __len__(self) -> int:
        return len(self.parts)

    def read(self, name: str) -> Any:
        if name in self.parts:
            return self.parts[name]
        if self.last is not None and not isinstance(self.last, Poison):
            return self.last.read(name)
        raise KeyError(f"this list has no part {name!r}; there is {', '.join(self.parts) or 'nothing'}")

    def part(self, index: int) -> Value:
        """The value at a place in order; raises IndexError."""
        return tuple(self.parts.values())[index]

    def __getitem__(self, index: int) -> Value:
        return self.part(index)


class Poison:
    """What a failed step yields: whoever reads it stays silent, so one mistake gives one message."""

    parts: Mapping[str, Value] = {}

    def read(self, name: str) -> Any:
        raise Poisoned

    def __len__(self) -> int:
        raise Poisoned

    def __getitem__(self, index: int) -> Value:
        raise Poisoned


class Poisoned(Exception):
    """A value that an earlier mistake spoilt was read."""


Value = Tensor | Bundle | Poison
POISON = Poison()


def single(value: Value) -> Tensor | None:
    """The one tensor a value reads as, or None for a list; raises Poisoned."""
    if isinstance(value, Poison):
        raise Poisoned
    if isinstance(value, Tensor):
        return value
    if value.last is not None:
        return single(value.last)
    return single(value.part(0)) if len(value.parts) == 1 else None


def flatten(value: Value) -> Iterator[Tensor]:
    """Every tensor of a value in order; a loop's value counts once (its last round)."""
    if isinstance(value, Poison):
        raise Poisoned
    if isinstance(value, Tensor):
        yield value
    elif value.last is not None:
        yield from flatten(value.last)
    else:
        for part in value.parts.values():
            yield from flatten(part)


def bundle(values: Iterable[Value]) -> Bundle:
    """A list labelled by its places."""
    return Bundle({str(i): value for i, value in enumerate(values)})


@dataclass
class Scope:
    """Names and their values, inside out. A block starts a scope of its own; a combinator adds to the one around it."""

    names: dict[str, Value | Callable[[], Value]] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    parent: Scope | None = None

    def lookup(self, name: str) -> Value | None:
        """The value called `name` (which may hold dots), or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                found = scope.names[name]
                return found() if callable(found) else found
            scope = scope.parent
        return None

    def known(self) -> list[str]:
        """Every name that can be read here."""
        scope: Scope | None = self
        names: dict[str, None] = {}
        while scope is not None:
            names.update(dict.fromkeys(scope.names))
            scope = scope.parent
        return list(names)

    def inner(self) -> Scope:
        return Scope(parent=self)


@dataclass(frozen=True)
class Env(Mapping[str, Any]):
    """What an expression sees: parameters and loop names, then `x`, then the values in scope."""

    params: Mapping[str, Any]
    x: Value | None = None
    scope: Scope | None = None

    def __getitem__(self, name: str) -> Any:
        if name in self.params:
            return self.params[name]
        if name == "x" and self.x is not None:
            return _readable(self.x)
        found = self.scope.lookup(name) if self.scope is not None else None
        if found is None:
            raise KeyError(name)
        return _readable(found, whole=True)

    def __iter__(self) -> Iterator[str]:
        yield from self.params
        if self.x is not None:
            yield "x"
        yield from self.scope.known() if self.scope is not None else ()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def with_params(self, more: Mapping[str, Any]) -> Env:
        return Env({**self.params, **more}, self.x, self.scope)

    def with_x(self, x: Value) -> Env:
        return Env(self.params, x, self.scope)


def _readable(value: Value, whole: bool = False) -> Value:
    """`x` is the incoming value; of several, the first."""
    if isinstance(value, Poison):
        raise Poisoned
    if whole or not isinstance(value, Bundle):
        return value
    if value.last is not None:
        return value.last
    return value.part(0) if value.parts else value
