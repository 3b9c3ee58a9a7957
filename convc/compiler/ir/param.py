"""Parameters: stored arrays, or expressions over them that nobody has computed yet.

A pass writes `weight * scale` and no number moves. Probe and lowering evaluate in float64, so a chain of folds rounds once.
The same expression of the same parameters is one object as long as somebody holds it: what a shared weight becomes in several
places stays one parameter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary
from zlib import crc32

from .types import Init

# numpy is imported where numbers are made: `check` and `show` ask for shapes alone, and answer a tenth of a second sooner.
if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"


class Param(ABC):
    """A tensor of known shape, computed on demand. Supports `+ - * /`, `sqrt` and `reshape` without computing."""

    shape: tuple[int, ...]

    @abstractmethod
    def evaluate(self) -> Array:
        """The values: as stored, or in float64 where they are computed."""

    @abstractmethod
    def stored(self) -> bool:
        """Whether `evaluate` hands out existing values rather than computing new ones."""

    def as_float64(self) -> Array:
        import numpy as np

        return np.asarray(self.evaluate(), dtype=np.float64)

    def rounded(self, dtype: str) -> Array:
        """The values in the model's element type, rounded once, contiguous."""
        import numpy as np

        return np.ascontiguousarray(self.evaluate(), dtype=np.dtype(dtype))

    @property
    def numel(self) -> int:
        return prod(self.shape)

    def reshape(self, *shape: int) -> Param:
        return once("reshape", shape, lambda a: a.reshape(shape), (self,), "reshape")

    def sqrt(self) -> Param:
        return once("sqrt", self.shape, partial(_ufunc, "sqrt"), (self,), "sqrt")

    def apply(
        self, shape: tuple[int, ...], function: Callable[[Array], Array], name: str, key: Hashable | None = None
    ) -> Param:
        """Any other function of this tensor, which is handed to it in float64; `name` says what it does, for printing.

        Functions of one `key` compute the same of the same tensor (see `once`).
        """
        if key is None:
            return Lazy(shape, lambda a: function(_float64(a)), (self,), name)
        return once((name, key), shape, lambda a: function(_float64(a)), (self,), name)

    def __add__(self, other: Param | float) -> Param:
        return _binary("add", self, other)

    def __sub__(self, other: Param | float) -> Param:
        return _binary("subtract", self, other)

    def __mul__(self, other: Param | float) -> Param:
        return _binary("multiply", self, other)

    def __truediv__(self, other: Param | float) -> Param:
        return _binary("divide", self, other)

    def __neg__(self) -> Param:
        return self * -1.0


@dataclass(frozen=True, eq=False)
class Stored(Param):
    """An array that exists: from a checkpoint, or given. It is never written to."""

    array: Array = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # read-only here
        return tuple(self.array.shape)

    def evaluate(self) -> Array:
        return self.array

    def stored(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Seeded(Param):
    """A fresh parameter, filled by its name and a seed, whatever the order of creation."""

    shape: tuple[int, ...]
    init: Init
    name: str
    seed: int = 0

    @cached_property
    def array(self) -> Array:
        values = fill(self.init, self.shape, crc32(self.name.encode()), self.seed)
        values.flags.writeable = False
        return values

    def evaluate(self) -> Array:
        return self.array

    def stored(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Lazy(Param):
    """A function of other parameters, computed when asked for.

    `function` takes arrays as they are stored and computes in float64: a ufunc that is told so converts piece by piece, where a
    float64 copy of each weight would cost as much as the arithmetic.
    """

    shape: tuple[int, ...]
    function: Callable[..., Array] = field(repr=False)
    arguments: tuple[Param, ...]
    label: str = "lazy"

    def evaluate(self) -> Array:
        values = self.function(*(a.evaluate() for a in self.arguments))
        if values.shape != self.shape:
            raise ValueError(f"{self.label} yields {values.shape}, but {self.shape} was promised")
        return values

    def stored(self) -> bool:
        return False


# Expressions that are alive, by what they are of. One that is held holds its arguments: no other object has their ids.
_ALIVE: WeakValueDictionary[Hashable, Param] = WeakValueDictionary()


def once(
    key: Hashable, shape: tuple[int, ...], function: Callable[..., Array], arguments: tuple[Param, ...], label: str
) -> Param:
    """A Lazy, the same object for the same `key`, shape and arguments; functions of one key must compute the same."""
    whole = (key, shape, tuple(map(id, arguments)))
    found = _ALIVE.get(whole)
    if found is None:
        found = _ALIVE[whole] = Lazy(shape, function, arguments, label)
    return found


def constant(value: float, shape: tuple[int, ...]) -> Param:
    """A tensor with one value everywhere, which takes no memory; the same object for the same value and shape."""
    import numpy as np

    whole = ("constant", float(value), shape)
    found = _ALIVE.get(whole)
    if found is None:
        found = _ALIVE[whole] = Stored(np.broadcast_to(np.float64(value), shape))
    return found


def fill(init: Init, shape: tuple[int, ...], key: int, seed: int) -> Array:
    """A fresh float32 array as `init` says (see Init for the formulas); the same on every machine."""
    import numpy as np

    if init.kind == "constant":
        return np.full(shape, init.value, np.float32)
    if init.kind == "bilinear":
        return _bilinear(shape)
    rng = np.random.Generator(np.random.SFC64([key, seed]))
    fan_in = max(1, prod(shape[1:]))
    if init.kind == "normal":
        return _scaled(rng.standard_normal(shape, np.float32), init.value)
    if init.kind == "kaiming":
        return _scaled(rng.standard_normal(shape, np.float32), init.value / fan_in**0.5)
    if init.kind == "positive":
        return _scaled(rng.random(shape, np.float32), 0.5) + np.float32(init.value)
    if init.kind == "uniform":
        return _scaled(rng.random(shape, np.float32) * 2 - 1, init.value)
    if init.kind == "xavier":
        fan_out = max(1, shape[0] * prod(shape[2:]))
        return _scaled(rng.random(shape, np.float32) * 2 - 1, (6 / (fan_in + fan_out)) ** 0.5)
    raise ValueError(f"no filling is called {init.kind!r}")


def _scaled(values: Array, factor: float) -> Array:
    import numpy as np

    values *= np.float32(factor)
    return values


def _bilinear(shape: tuple[int, ...]) -> Array:
    import numpy as np

    kernel = np.ones((), np.float64)
    for size in shape[2:]:
        half = (size + 1) // 2
        centre = half - 1 if size % 2 else half - 0.5
        kernel = np.multiply.outer(kernel, 1 - abs(np.arange(size) - centre) / half)
    values = np.zeros(shape, np.float32)
    for channel in range(min(shape[:2])):
        values[channel, channel] = kernel
    return values


def _float64(values: Array) -> Array:
    import numpy as np

    return np.asarray(values, np.float64)


def _ufunc(name: str, *values: Array | float) -> Array:
    import numpy as np

    result: Array = getattr(np, name)(*values, dtype=np.float64)
    return result


def _binary(name: str, left: Param, right: Param | float) -> Param:
    if not isinstance(right, Param):
        value = float(right)
        return once((name, value), left.shape, lambda a: _ufunc(name, a, value), (left,), f"{name} {value:g}")
    return once(name, _broadcast(left.shape, right.shape), partial(_ufunc, name), (left, right), name)


def _broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    import numpy as np

    return np.broadcast_shapes(left, right)
