"""Dynamic sizes as arguments, computed in the graph from the sizes of the operator's own input.

    x is [N, 64, (H + 1) // 2, W]
    2 * W + 1       2 * axis 3 + 1
    (H + 1) // 4    axis 2 // 2
    H // 4          refused: axis 2 does not tell it

One walk over the size serves both backends, which bring the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any, Protocol

from ..errors import ShapeError
from ..ir.dims import Atom, Dim, FloorDiv, SymDim
from ..ir.types import Shape


class Arithmetic(Protocol):
    """Whole numbers of a backend."""

    def axis(self, axis: int) -> Any: ...
    def number(self, value: int) -> Any: ...
    def add(self, a: Any, b: Any) -> Any: ...
    def mul(self, a: Any, b: Any) -> Any: ...
    def div(self, a: Any, b: int) -> Any: ...


def compute(dim: Dim, shape: Shape, a: Arithmetic) -> Any:
    """The size `dim` from the sizes of a value of this shape; raises ShapeError where they do not tell it."""
    if isinstance(dim, int):
        return a.number(dim)
    if dim in shape:
        return a.axis(shape.index(dim))
    whole = lcm(*(factor.denominator for _, factor in dim.terms))
    total: Any = None
    for atoms, factor in dim.terms:
        term = a.number(int(factor * whole))
        for atom in atoms:
            term = a.mul(term, _atom(atom, shape, a))
        total = term if total is None else a.add(total, term)
    return total if whole == 1 else a.div(total, whole)


def _atom(atom: Atom, shape: Shape, a: Arithmetic) -> Any:
    for axis, dim in enumerate(shape):
        if (found := _linear(dim)) is None:
            continue
        inner, factor, constant = found
        if inner == atom:
            shifted = a.add(a.axis(axis), a.number(-constant))
            return a.div(a.mul(shifted, a.number(factor.denominator)), factor.numerator)
        if isinstance(atom, FloorDiv) and isinstance(inner, FloorDiv) and factor == 1:
            # (n // a + c) // b = (n + a c) // (a b), read from right to left.
            ahead = atom.numerator - inner.numerator
            if atom.divisor % inner.divisor == 0 and isinstance(ahead, int) and ahead % inner.divisor == 0:
                start = a.add(a.axis(axis), a.number(ahead // inner.divisor - constant))
                return a.div(start, atom.divisor // inner.divisor)
    if isinstance(atom, FloorDiv):
        return a.div(compute(atom.numerator, shape, a), atom.divisor)
    listed = ", ".join(str(dim) for dim in shape)
    raise ShapeError(f"a size that depends on {atom} cannot be computed from a value of shape [{listed}]")


def _linear(dim: Dim) -> tuple[Atom, Fraction, int] | None:
    """factor * atom + constant, if the size is that."""
    if not isinstance(dim, SymDim):
        return None
    terms = dict(dim.terms)
    constant = terms.pop((), Fraction(0))
    if len(terms) != 1 or constant.denominator != 1:
        return None
    ((atoms, factor),) = terms.items()
    return (atoms[0], factor, int(constant)) if len(atoms) == 1 else None


@dataclass
class TorchSizes:
    """Python's numbers, or torch.export's symbols."""

    x: Any

    def axis(self, axis: int) -> Any:
        return self.x.shape[axis]

    def number(self, value: int) -> Any:
        return value

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def mul(self, a: Any, b: Any) -> Any:
        return a * b

    def div(self, a: Any, b: int) -> Any:
        return a // b


@dataclass
class OnnxSizes:
    """int64 vectors of one element; ONNX divides towards 0, and sizes are not negative."""

    g: Any
    x: str
    _shape: list[str] = field(default_factory=list)

    def axis(self, axis: int) -> Any:
        if not self._shape:
            self._shape.append(self.g.Shape(self.x))
        return self.g.Slice(self._shape[0], self.number(axis), self.number(axis + 1))

    def number(self, value: int) -> Any:
        return self.g.const([value], "number")

    def add(self, a: Any, b: Any) -> Any:
        return self.g.Add(a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self.g.Mul(a, b)

    def div(self, a: Any, b: int) -> Any:
        return a if b == 1 else self.g.Div(a, self.number(b))


class _Nothing:
    """Computes nothing: only asks whether it could."""

    def axis(self, axis: int) -> Any:
        return 0

    def number(self, value: int) -> Any:
        return 0

    def add(self, a: Any, b: Any) -> Any:
        return 0

    mul = add

    def div(self, a: Any, b: int) -> Any:
        return 0


def as_dims(value: Dim | Sequence[Dim]) -> tuple[Dim, ...]:
    """A single size as a list of one."""
    return (value,) if isinstance(value, int | SymDim) else tuple(value)


def check_known(dims: Sequence[Dim], shape: Shape) -> None:
    """Refuse sizes that the sizes of a value of this shape do not tell; raises ShapeError."""
    for dim in dims:
        compute(dim, shape, _Nothing())


def torch_sizes(dims: Sequence[Dim], shape: Shape, x: Any) -> list[Any]:
    return [compute(dim, shape, TorchSizes(x)) for dim in dims]


def onnx_sizes(g: Any, dims: Sequence[Dim], shape: Shape, x: str, hint: str) -> str:
    """The sizes as one int64 vector."""
    if all(isinstance(dim, int) for dim in dims):
        return str(g.const(list(dims), hint))
    a = OnnxSizes(g, x)
    found = [compute(dim, shape, a) for dim in dims]
    return str(found[0] if len(found) == 1 else g.Concat(*found, axis=0))
