"""Max unpooling: every value goes back to where its pool found the maximum, between zeros (Zeiler and Fergus, 2014, section 2.1).

A node has one value, so the places of the maxima are a node of their own beside the pool, max_pool_indices. They are flat
over the whole tensor, as in ONNX:

    index = ((n C + c) H + h) W + w

and y = 0 but for y.flat[index] = x. A pool whose windows overlap may find one maximum twice, with two values to put there;
such pools are refused, so that every place is written once at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import DType, TensorType
from .axes import differs
from .conv import as_tuple, spans
from .padding import torch_pad
from .pool import MaxPool, pooled


@dataclass(frozen=True, kw_only=True)
class MaxPoolIndices(MaxPool, name="max_pool_indices", group="pool", arity=(1, 1), principal="kernel"):
    """Where max_pool finds the maximum of each window; max_unpool makes this node beside the pool that it undoes.

    x       (N, C, *S)
    ->      (N, C, *S') of int64, flat over (N, C, *S)      S' as max_pool
    """

    def bind(self, *x: TensorType) -> Self:
        bound = super().bind(*x)
        window = bound.window()
        if any(step < span for step, span in zip(window.stride, spans(window), strict=True)):
            raise ShapeError(
                f"a max_pool of kernel {list(window.kernel)}, stride {list(window.stride)} cannot be undone: its windows"
                " overlap, and two of them may want one place",
                hint="unpooling needs a stride no smaller than the kernel, e.g. `max_pool: 2`",
            )
        if isinstance(bound._pads, str) or set(window.dilation) != {1}:
            what = "dilated windows" if isinstance(bound._pads, tuple) else f"padding {bound._pads} over a dynamic size"
            raise ShapeError(f"a max_pool with {what} cannot be undone")
        return bound

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(super().infer(*x).shape, DType.int64)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        window, pads = self.window(), as_tuple(self._pads)
        rank = len(window.kernel)
        pool = getattr(t.nn.functional, f"max_pool{rank}d")
        # PyTorch counts within the plane that it is given, which is the padded one here.
        padded = torch_pad(t, x[0], pads, value=float("-inf")) if any(pads) else x[0]
        _, found = pool(padded, window.kernel, window.stride, 0, 1, self.ceil, return_indices=True)
        for axis, size in enumerate(pooled(tuple(x[0].shape[2:]), pads, window, self.ceil)):
            found = found.narrow(axis + 2, 0, size) if self.ceil else found
        place, step = 0, 1
        for axis in reversed(range(rank)):
            grown = padded.shape[axis + 2]
            place = place + (found % grown - pads[axis]) * step
            found = found // grown
            step = step * x[0].shape[axis + 2]
        planes = t.arange(x[0].shape[0] * x[0].shape[1], device=x[0].device)
        return planes.reshape(*x[0].shape[:2], *[1] * rank) * step + place

    def _emit(self, g: Any, value: str, **attributes: Any) -> str:
        window = self.window()
        kernel, strides = list(window.kernel), list(window.stride)
        _, found = g.MaxPool(value, kernel_shape=kernel, strides=strides, outputs=2, **attributes)
        return str(found)


@dataclass(frozen=True, kw_only=True)
class MaxUnpool(Op, name="max_unpool", group="pool", arity=(3, 3), principal="pool"):
    """Values put back to the maxima of an earlier max_pool, zeros elsewhere.

    x        (N, C, *S)
    indices  (N, C, *S) of int64, the pool's max_pool_indices
    before   (N, C, *S'), what the pool read: of this only the size counts
    ->       (N, C, *S')

    A spec gives x alone and names the pool; the other two values are found beside it.
    """

    pool: str = arg(kind="text", doc="the id of the max_pool that is undone")

    def infer(self, *x: TensorType) -> TensorType:
        value, indices, before = x
        if indices.dtype is not DType.int64:
            raise ShapeError(f"max_unpool needs places of dtype int64, but got {indices}")
        if value.rank != indices.rank:
            raise ShapeError(
                f"cannot undo pool {self.pool!r}, which gave {_text(indices)}, on {value}: their ranks differ"
            )
        for axis, (size, wanted) in enumerate(zip(value.shape, indices.shape, strict=True)):
            if size != wanted:
                what = differs(axis, value.rank, size, wanted)
                raise ShapeError(f"cannot undo pool {self.pool!r}, which gave {_text(indices)}, on {value}: {what}")
        return value.with_shape(*before.shape)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        value, indices, before = x
        flat = value.new_zeros(before.numel())
        return flat.scatter(0, indices.reshape(-1), value.reshape(-1)).reshape(before.shape)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        import numpy as np

        value, indices, before = x
        line = g.const([-1], "line")
        count, shape = self._onnx_sizes(g, value, before)
        zeros = g.ConstantOfShape(count, value=np.zeros(1, g.output.dtype.value))
        placed = g.ScatterElements(zeros, g.Reshape(indices, line), g.Reshape(value, line), axis=0)
        return str(g.Reshape(placed, shape))

    def _onnx_sizes(self, g: Any, value: str, before: str) -> tuple[str, str]:
        """How many values there will be, and their shape: where sizes are fixed, without what the pool read."""
        sizes, pooled = g.output.spatial, g.inputs[0].spatial
        if not all(isinstance(size, int) for size in (*sizes, *pooled)):
            return g.Reshape(g.Size(before), g.const([1], "vector")), g.Shape(before)
        larger = g.Mul(g.Size(value), g.const([prod(sizes)], "after"))
        count = g.Div(larger, g.const([prod(pooled)], "before"))
        return count, g.const([-1, g.output.channels, *sizes], "shape")


def _text(indices: TensorType) -> str:
    """The pool's own output, which has the shape of the places."""
    return str(TensorType(indices.shape))
