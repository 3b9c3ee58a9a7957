"""Values that read nothing: a learned tensor, and numbers written in the spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import Init, ParamType, TensorType
from .emit import array


@dataclass(frozen=True, kw_only=True)
class Parameter(Op, name="parameter", group="arithmetic", arity=(0, 0), principal="shape"):
    """A learned tensor, which stands in the checkpoint under the step's own name.

    value   shape
    ->      shape
    """

    shape: tuple[int, ...] = arg(kind="ints", doc="its shape; an empty list for a single number")
    init: Init | None = arg(None, kind="init", doc="how it is filled; normal with deviation 0.02 if left out")

    def bind(self, *x: TensorType) -> Self:
        if any(size < 1 for size in self.shape):
            raise ShapeError(f"shape {list(self.shape)} has a size below 1")
        return self

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(tuple(self.shape))

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return {"value": ParamType(tuple(self.shape), self.init or Init("normal", 0.02))}

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return p["value"]

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        # The initializer is the value: no node is needed.
        return p["value"]


@dataclass(frozen=True, kw_only=True)
class Constant(Op, name="constant", group="arithmetic", arity=(0, 0), principal="value"):
    """Numbers written in the spec, in nested lists; they are not learned.

    ->      the shape of the lists; [] for a single number
    """

    value: Any = arg(kind="data", doc="a number, or numbers in nested lists")

    def bind(self, *x: TensorType) -> Self:
        return replace(self, value=_frozen(self.value))

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(shape_of(self.value, "a constant"))

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.tensor(self.value, dtype=t.float32)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        # An initializer has its own name; the node gives it that of the step.
        return str(g.Identity(array(g, self.value, "value")))


def _frozen(value: Any) -> Any:
    """Nested lists as tuples: an operator is a value, and has a hash."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def shape_of(value: Any, what: str) -> tuple[int, ...]:
    """The shape of numbers in nested lists; raises ShapeError where they differ in length, or are empty."""
    if not isinstance(value, list | tuple):
        return ()
    if not value:
        raise ShapeError(f"{what} needs at least one number in each list")
    shapes = {shape_of(row, what) for row in value}
    if len(shapes) > 1:
        raise ShapeError(f"the lists of {what} differ in shape: {' and '.join(map(str, sorted(shapes)))}")
    return (len(value), *shapes.pop())
