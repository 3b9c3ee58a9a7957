"""Reductions over chosen axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import TensorType
from .axes import checked_axes


def onnx_reduce(g: Any, op_type: str, x: str, axes: Sequence[int], keepdims: int) -> str:
    """A reduction node: axes became an input in opset 18, for the sum in 13."""
    emit = getattr(g, op_type)
    if g.opset < 18 and op_type != "ReduceSum":
        return str(emit(x, axes=list(axes), keepdims=keepdims))
    return str(emit(x, g.const(list(axes), "axes_" + "_".join(map(str, axes))), keepdims=keepdims))


@dataclass(frozen=True, kw_only=True)
class _Reduce(Op):
    """
    x       any shape
    ->      the same with the axes as 1, or without them
    """

    axes: tuple[int, ...] = arg(kind="ints", doc="the axes to reduce; negative ones count from the back")
    keepdims: bool = arg(True, kind="bool", doc="keep the reduced axes, as 1")

    def bind(self, *x: TensorType) -> Self:
        if not self.axes:
            raise ShapeError(f"{self.name} needs at least one axis")
        return replace(self, axes=checked_axes(self.axes, x[0]))

    def infer(self, *x: TensorType) -> TensorType:
        axes = checked_axes(self.axes, x[0])
        kept = [1 if i in axes else dim for i, dim in enumerate(x[0].shape) if self.keepdims or i not in axes]
        return x[0].with_shape(*kept)

    def _onnx(self, g: Any, op_type: str, x: str) -> str:
        return onnx_reduce(g, op_type, x, self.axes, int(self.keepdims))


class ReduceMean(_Reduce, name="reduce_mean", group="arithmetic", principal="axes"):
    """Mean over axes.

    x       any shape
    ->      the same with the axes as 1, or without them
    """

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0].mean(dim=self.axes, keepdim=self.keepdims)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return self._onnx(g, "ReduceMean", x[0])


class ReduceMax(_Reduce, name="reduce_max", group="arithmetic", principal="axes"):
    """Maximum over axes.

    x       any shape
    ->      the same with the axes as 1, or without them
    """

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0].amax(dim=self.axes, keepdim=self.keepdims)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return self._onnx(g, "ReduceMax", x[0])


class ReduceSum(_Reduce, name="reduce_sum", group="arithmetic", principal="axes"):
    """Sum over axes.

    x       any shape
    ->      the same with the axes as 1, or without them
    """

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0].sum(dim=self.axes, keepdim=self.keepdims)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return self._onnx(g, "ReduceSum", x[0])
