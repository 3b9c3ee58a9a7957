"""Pooling to a given size: output i covers the input from floor(i S / size) up to ceil((i + 1) S / size).

ONNX has no such operator. A size of 1 is a reduction; one that divides the input is an ordinary pool; another fixed size
gathers each output's window (shorter ones repeat their last element) and reduces it, axis by axis. The mean over a dynamic
axis is a product with the matrix of shares, which the graph computes from the size:

    P[i, j] = 1 / (end_i - start_i) where start_i <= j < end_i, else 0        y = P x  or  x P^T
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, arg
from ..ir.types import TensorType
from .axes import axis_name, per_axis, spatial_rank
from .conv import Spatial, as_spatial
from .emit import array
from .reduce import onnx_reduce


def windows(size: int, count: int) -> list[range]:
    """The input positions that each of `count` outputs covers."""
    return [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


@dataclass(frozen=True, kw_only=True)
class _AdaptivePool(Op):
    """
    x       (N, C, *S)
    ->      (N, C, *size)
    """

    size: Spatial = arg(kind="spatial", doc="output size")

    def bind(self, *x: TensorType) -> Self:
        return replace(self, size=per_axis(self.size, spatial_rank(x[0], self.name), "size"))

    def infer(self, *x: TensorType) -> TensorType:
        rank = spatial_rank(x[0], self.name)
        wanted = as_spatial(self.size)
        if rank != len(wanted):
            raise ShapeError(f"size {list(wanted)} does not fit {x[0]}")
        for axis, (size, count) in enumerate(zip(x[0].spatial, wanted, strict=True)):
            if count != 1 and not isinstance(size, int) and not self._takes_dynamic(rank):
                name = axis_name(axis + 2, x[0].rank)
                raise ShapeError(f"{self.name} to {count} needs a fixed {name}, but it is {size}: only 1 fits any size")
        return x[0].with_shape(*x[0].shape[:2], *wanted)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        kind = self.name.removeprefix("adaptive_").removesuffix("_pool")
        pool = getattr(t.nn.functional, f"adaptive_{kind}_pool{x[0].ndim - 2}d")
        return pool(x[0], as_spatial(self.size))

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        sizes, wanted = g.inputs[0].spatial, as_spatial(self.size)
        if sizes == wanted:
            return str(g.Identity(x[0]))
        if set(wanted) == {1}:
            return self._onnx_global(g, x[0])
        if all(isinstance(size, int) and size % count == 0 for size, count in zip(sizes, wanted, strict=True)):
            steps = [size // count for size, count in zip(sizes, wanted, strict=True)]
            return self._onnx_pool(g, x[0], kernel_shape=steps, strides=steps)
        y = x[0]
        for axis, (size, count) in enumerate(zip(sizes, wanted, strict=True)):
            y = self._onnx_axis(g, y, axis + 2, size, count)
        return y

    def _onnx_axis(self, g: Any, y: str, axis: int, size: Dim, count: int) -> str:
        if size == count:
            return y
        if count == 1:
            return self._onnx_reduce(g, y, axis, keepdims=1)
        if not isinstance(size, int):
            return self._onnx_dynamic(g, y, axis, count)
        covered = windows(size, count)
        longest = max(len(window) for window in covered)
        places = [[window[min(i, len(window) - 1)] for i in range(longest)] for window in covered]
        picked = g.Gather(y, g.const(places, f"windows_{axis}"), axis=axis)
        return self._onnx_windows(g, picked, axis, covered, longest)

    def _onnx_windows(self, g: Any, picked: str, axis: int, covered: Sequence[range], longest: int) -> str:
        """(..., outputs, longest, ...) -> (..., outputs, ...)."""
        return self._onnx_reduce(g, picked, axis + 1, keepdims=0)

    def _takes_dynamic(self, rank: int) -> bool:
        """Whether a dynamic axis can be pooled to a size above 1."""
        return False

    def _onnx_dynamic(self, g: Any, y: str, axis: int, count: int) -> str:
        raise ShapeError(f"{self.name} over a dynamic axis {axis}")

    @abstractmethod
    def _onnx_global(self, g: Any, x: str) -> str: ...

    @abstractmethod
    def _onnx_pool(self, g: Any, x: str, **attributes: Any) -> str: ...

    @abstractmethod
    def _onnx_reduce(self, g: Any, x: str, axis: int, keepdims: int) -> str: ...


def _onnx_shares(g: Any, y: str, axis: int, count: int) -> str:
    """P above, (count, size of the axis), from the size at run time."""
    size = g.Gather(g.Shape(y), g.const([axis], f"axis_{axis}"), axis=0)
    rows = g.const([[i] for i in range(count)], f"rows_{axis}")
    steps = g.const([count], f"steps_{axis}")
    scaled = g.Mul(rows, size)
    start = g.Div(scaled, steps)
    # ceil(a / b) = (a + b - 1) // b
    end = g.Div(g.Add(scaled, g.Add(size, g.const([count - 1], f"rest_{axis}"))), steps)
    places = g.Range(g.const(0, f"zero_{axis}"), g.Squeeze(size), g.const(1, f"one_{axis}"))
    inside = g.And(g.GreaterOrEqual(places, start), g.Less(places, end))
    return str(g.Div(g.Cast(inside, to=1), g.Cast(g.Sub(end, start), to=1)))


class AdaptiveAvgPool(_AdaptivePool, name="adaptive_avg_pool", group="pool", principal="size"):
    """Mean over windows that cover the input, to a given size.

    x       (N, C, *S)
    ->      (N, C, *size)
    """

    def _takes_dynamic(self, rank: int) -> bool:
        # A matrix product reaches the last two axes.
        return rank <= 2

    def _onnx_dynamic(self, g: Any, y: str, axis: int, count: int) -> str:
        shares = _onnx_shares(g, y, axis, count)
        if axis == g.inputs[0].rank - 2:
            return str(g.MatMul(shares, y))
        return str(g.MatMul(y, g.Transpose(shares, perm=[1, 0])))

    def _onnx_global(self, g: Any, x: str) -> str:
        return str(g.GlobalAveragePool(x))

    def _onnx_pool(self, g: Any, x: str, **attributes: Any) -> str:
        return str(g.AveragePool(x, **attributes))

    def _onnx_reduce(self, g: Any, x: str, axis: int, keepdims: int) -> str:
        return onnx_reduce(g, "ReduceMean", x, [axis], keepdims)

    def _onnx_windows(self, g: Any, picked: str, axis: int, covered: Sequence[range], longest: int) -> str:
        shares = [[1 / len(window) if i < len(window) else 0.0 for i in range(longest)] for window in covered]
        if all(len(window) == longest for window in covered):
            return self._onnx_reduce(g, picked, axis + 1, keepdims=0)
        shape = [len(covered), longest, *[1] * (g.inputs[0].rank - axis - 1)]
        weights = g.Reshape(array(g, shares, f"shares_{axis}"), g.const(shape, f"shares_shape_{axis}"))
        return onnx_reduce(g, "ReduceSum", g.Mul(picked, weights), [axis + 1], 0)


class AdaptiveMaxPool(_AdaptivePool, name="adaptive_max_pool", group="pool", principal="size"):
    """Maximum over windows that cover the input, to a given size.

    x       (N, C, *S)
    ->      (N, C, *size)
    """

    def _onnx_global(self, g: Any, x: str) -> str:
        return str(g.GlobalMaxPool(x))

    def _onnx_pool(self, g: Any, x: str, **attributes: Any) -> str:
        return str(g.MaxPool(x, **attributes))

    def _onnx_reduce(self, g: Any, x: str, axis: int, keepdims: int) -> str:
        return onnx_reduce(g, "ReduceMax", x, [axis], keepdims)
