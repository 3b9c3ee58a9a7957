"""Values while a spec is elaborated: a tensor, a list of values, or the trace of a step that failed.

    Value = Tensor | Bundle | Poison

Expressions read them through `read` (x.channels, branch.left), `[k]` and `len`; steps read them by name through a Scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..ir import TensorType

if TYPE_CHECKING:
    from .scope import Scope


@dataclass(frozen=True, slots=True)
class Tensor:
    """The value of a node or of an input."""

    name: str
    type: TensorType

    def read(self, name: str) -> Any:
        """What expressions may ask of a tensor; raises KeyError with what there is."""
        shape = self.type.shape
        if name == "channels" and len(shape) > 1:
            return shape[1]
        if name == "shape":
            return tuple(shape)
        if name == "rank":
            return len(shape)
        if name == "length" and len(shape) == 3:
            return shape[2]
        spatial = _SPATIAL.get(name)
        if spatial is not None and len(shape) >= 2 - spatial:
            return shape[spatial]
        raise KeyError(f"{self.type} has no {name!r}; there is {', '.join(FIELDS)}")

    def __len__(self) -> int:
        return 1


MAX_LISTED = 1000
FIELDS = ("channels", "height", "width", "depth", "length", "shape", "rank")
_SPATIAL: Mapping[str, int] = {"width": -1, "height": -2, "depth": -3}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Several values by label, in order.

    `last` is set where the list also reads as one value: the rounds of a loop. `counted` says that the labels are the places.
    """

    parts: Mapping[str, Value]
    last: Value | None = None
    counted: bool = False

    def __len__(self) -> int:
        return len(self.parts)

    def read(self, name: str) -> Any:
        """A part by its label, or what the value says that the list reads as: of several, the first."""
        if name in self.parts:
            return self.parts[name]
        value = self.last if self.last is not None else next(iter(self.parts.values()), None)
        if value is not None and name in FIELDS:
            return value.read(name)
        raise KeyError(f"this list has no part {name!r}; there is {', '.join(islice(self.parts, 12)) or 'nothing'}")

    def part(self, index: int) -> Value:
        """The value at a place in order; raises IndexError."""
        place = index + len(self.parts) if index < 0 else index
        if not 0 <= place < len(self.parts):
            raise IndexError(index)
        if self.counted:
            return self.parts[str(place)]
        return next(islice(self.parts.values(), place, None))

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


class Rounds(Mapping[str, Value]):
    """The first `count` of a growing list, by place: a loop shows every round those before it without a copy."""

    __slots__ = ("_count", "_values")

    def __init__(self, values: Sequence[Value]) -> None:
        self._values = values
        self._count = len(values)

    def __getitem__(self, key: str) -> Value:
        if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10:
            place = int(key)
            if place < self._count and str(place) == key:
                return self._values[place]
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return map(str, range(self._count))

    def __len__(self) -> int:
        return self._count


def rounds(values: Sequence[Value]) -> Bundle:
    """What a loop's name reads as: its rounds so far, and the last of them as one value."""
    return Bundle(Rounds(values), values[-1] if values else None, counted=True)


def bundle(values: Iterable[Value]) -> Bundle:
    """A list labelled by its places."""
    return Bundle({str(i): value for i, value in enumerate(values)}, counted=True)


def gathered(values: Sequence[Value]) -> Value:
    """What a step that takes one value reads: of several, their list."""
    return values[0] if len(values) == 1 else bundle(values)


def single(value: Value) -> Tensor | None:
    """The one tensor a value reads as, or None for a list; raises Poisoned."""
    while isinstance(value, Bundle):
        if value.last is not None:
            value = value.last
        elif len(value.parts) == 1:
            value = value.part(0)
        else:
            return None
    if isinstance(value, Poison):
        raise Poisoned
    return value


def flatten(value: Value) -> Iterator[Tensor]:
    """Every tensor of a value in order; a loop's value counts once (its last round). Raises Poisoned."""
    if isinstance(value, Poison):
        raise Poisoned
    if isinstance(value, Tensor):
        yield value
    elif value.last is not None:
        yield from flatten(value.last)
    else:
        for part in value.parts.values():
            yield from flatten(part)


def spoilt(value: Value) -> bool:
    """Whether a failed step left its trace anywhere in a value."""
    if isinstance(value, Bundle):
        return spoilt(value.last) if value.last is not None else any(map(spoilt, value.parts.values()))
    return isinstance(value, Poison)


@dataclass(frozen=True, slots=True)
class Env(Mapping[str, Any]):
    """What an expression sees: parameters and loop names, then `x`, then the values in scope.

    Where the name of a value is expected (`values_first`), a value is found before a parameter of the same name.
    """

    params: Mapping[str, Any]
    x: Value | None = None
    scope: Scope | None = None
    values_first: bool = False

    def __getitem__(self, name: str) -> Any:
        if name in self.params and not (self.values_first and self.scope is not None and self.scope.has(name)):
            return self.params[name]
        if name == "x" and self.x is not None:
            return self.x
        found = self.scope.read(name) if self.scope is not None else None
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self.params
        if self.x is not None:
            yield "x"
        # Names are listed for messages: ten thousand of them would take longer to compare than to elaborate.
        yield from islice(self.scope.known(), MAX_LISTED) if self.scope is not None else ()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def with_x(self, x: Value | None) -> Env:
        return Env(self.params, x, self.scope)
