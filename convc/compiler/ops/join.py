"""Several values become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, arg
from ..ir.types import TensorType
from .axes import checked_axis, differs, same_types


@dataclass(frozen=True, kw_only=True)
class Concat(Op, name="concat", group="shape", arity=(1, None)):
    """Values one after the other along an axis; the other axes agree.

    a, b, ...   (N, C1, *S), (N, C2, *S), ...
    ->          (N, C1 + C2 + ..., *S)
    """

    axis: int = arg(1, kind="int", doc="the axis they are joined along; a negative one counts from the back")

    def bind(self, *x: TensorType) -> Self:
        return replace(self, axis=checked_axis(self.axis, x[0]))

    def infer(self, *x: TensorType) -> TensorType:
        axis = checked_axis(self.axis, x[0])
        total: Dim = 0
        for other in x:
            _check_fit("concat", x[0], other, axis)
            total = other.shape[axis] + total
        return x[0].with_shape(*x[0].shape[:axis], total, *x[0].shape[axis + 1 :])

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.cat(x, dim=self.axis)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Concat(*x, axis=self.axis))


@dataclass(frozen=True, kw_only=True)
class Stack(Op, name="stack", group="shape", arity=(1, None)):
    """Values of one shape, along a new axis.

    a, b, ...   (N, C, *S) each
    ->          (N, count, C, *S) with axis 1
    """

    axis: int = arg(1, kind="int", doc="where the new axis stands; a negative one counts from the back")

    def bind(self, *x: TensorType) -> Self:
        return replace(self, axis=checked_axis(self.axis, x[0], extra=1))

    def infer(self, *x: TensorType) -> TensorType:
        axis = checked_axis(self.axis, x[0], extra=1)
        for other in x:
            _check_fit("stack", x[0], other, None)
        return x[0].with_shape(*x[0].shape[:axis], len(x), *x[0].shape[axis:])

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.stack(x, dim=self.axis)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        axis = g.const([self.axis], "axis")
        return str(g.Concat(*(g.Unsqueeze(value, axis) for value in x), axis=self.axis))


def _check_fit(verb: str, left: TensorType, right: TensorType, free: int | None) -> None:
    """Refuse values that differ in an axis other than `free`."""
    same_types(verb, left, right)
    if left.rank != right.rank:
        raise ShapeError(f"cannot {verb} {left} and {right}: one has {left.rank} axes, the other {right.rank}")
    for axis, (a, b) in enumerate(zip(left.shape, right.shape, strict=True)):
        if a != b and axis != free:
            raise ShapeError(f"cannot {verb} {left} and {right}: {differs(axis, left.rank, a, b)}")
