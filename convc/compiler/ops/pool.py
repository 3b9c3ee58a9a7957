"""Pooling: the maximum or the mean of each window.

    floor   (S + pads - extent) // stride + 1
    ceil    the last window may hang over the end, but must start inside the input or its front padding:
            min(ceil((S + pads - extent) / stride) + 1, ceil((S + front) / stride))

In ONNX, what hangs over is written as padding behind that does not count, so that every runtime agrees on it. A mean is
divided by the elements of its window inside input and padding, as PyTorch does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, Window, arg
from ..ir.types import Shape, TensorType
from .axes import axis_name, per_axis, spatial_rank
from .conv import Spatial, as_spatial, as_tuple, slide, spans
from .padding import Padding, auto_pad, extent, is_symmetric, onnx_pad, onnx_same, resolve, torch_pad, torch_same

_MINUS_INF = float("-inf")


def pooled(sizes: Shape, padding: str | tuple[int, ...], window: Window, ceil: bool) -> Shape:
    """Spatial sizes behind a pool; raises ShapeError where none is left."""
    if isinstance(padding, str) or not ceil:
        return slide(sizes, padding, window)
    rank = len(sizes)
    result: list[Dim] = []
    for axis, (size, span, stride) in enumerate(zip(sizes, spans(window), window.stride, strict=True)):
        front, behind = padding[axis], padding[axis + rank]
        count = (size + front + min(0, behind - span + stride) + stride - 1) // stride
        if isinstance(count, int) and count < 1:
            where = axis_name(axis + 2, rank + 2)
            raise ShapeError(
                f"the output would be empty: kernel {window.kernel[axis]} (dilation {window.dilation[axis]}) is larger"
                f" than the padded input {size + front + behind} ({where})"
            )
        result.append(count)
    return tuple(result)


@dataclass(frozen=True, kw_only=True)
class Pool(Op):
    """What both pools share. Bound padding is (begins ..., ends ...)."""

    kernel: Spatial = arg(kind="spatial", doc="window size")
    stride: Spatial | None = arg(None, kind="spatial", doc="step between windows; the kernel if left out")
    padding: Padding = arg(0, kind="padding", doc="a word, or elements before and after each axis")
    ceil: bool = arg(False, kind="bool", doc="keep a last window that hangs over the end")

    def bind(self, *x: TensorType) -> Self:
        rank = spatial_rank(x[0], self.name)
        kernel = per_axis(self.kernel, rank, "kernel")
        stride = per_axis(self.kernel if self.stride is None else self.stride, rank, "stride")
        dilation = per_axis(self._dilation(), rank, "dilation")
        padding = resolve(self.padding, x[0].spatial, kernel, stride, dilation)
        _check_half(tuple(extent(k, d) for k, d in zip(kernel, dilation, strict=True)), padding)
        return replace(self._dilated(dilation), kernel=kernel, stride=stride, padding=padding)

    def _dilation(self) -> Spatial:
        return 1

    def _dilated(self, dilation: tuple[int, ...]) -> Self:
        return self

    def window(self) -> Window:
        assert self.stride is not None
        kernel = as_spatial(self.kernel)
        return Window(kernel, as_spatial(self.stride), per_axis(self._dilation(), len(kernel), "dilation"))

    def infer(self, *x: TensorType) -> TensorType:
        window = self.window()
        if spatial_rank(x[0], self.name) != len(window.kernel):
            raise ShapeError(f"kernel {list(window.kernel)} does not fit {x[0]}")
        return x[0].with_shape(*x[0].shape[:2], *pooled(x[0].spatial, self._pads, window, self.ceil))

    @property
    def _pads(self) -> str | tuple[int, ...]:
        assert not isinstance(self.padding, int)
        return self.padding

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        window, pads = self.window(), self._pads
        rank = len(window.kernel)
        if isinstance(pads, tuple) and is_symmetric(pads) and self._in_reach(pads):
            return self._torch_pool(t, x[0], pads[:rank])
        if isinstance(pads, str):
            return self._torch_padded(t, x[0], torch_same(t, x[0], pads, window.stride, spans(window)))
        y = self._torch_padded(t, x[0], pads)
        if not self.ceil:
            return y
        # Padded beforehand, a window may start in the padding behind: it is no part of the output.
        for axis, size in enumerate(pooled(tuple(x[0].shape[2:]), pads, window, True)):
            y = y.narrow(axis + 2, 0, size)
        return y

    def _in_reach(self, pads: tuple[int, ...]) -> bool:
        """Whether PyTorch's pools take this padding themselves."""
        return all(2 * pad <= k for pad, k in zip(pads, self.window().kernel * 2, strict=True))

    def _native_same(self) -> bool:
        """Whether ORT's `auto_pad` is right: it knows no dilation, and pads by less than 0 if stride passes kernel."""
        window = self.window()
        return set(window.dilation) == {1} and all(s <= k for s, k in zip(window.stride, window.kernel, strict=True))

    def _ends(self, x: TensorType, y: TensorType) -> tuple[int, ...]:
        """Padding behind with which rounding down counts the windows: no runtime has to round up as PyTorch does.

        A static size needs what hangs over. For any size, rounding up is rounding down with stride - 1 more elements:
            ceil((S + front + m) / stride) = (S + front + end - extent) // stride + 1     with end = m + extent - 1
        """
        window, pads = self.window(), as_tuple(self._pads)
        rank = len(window.kernel)
        if not self.ceil:
            return pads[rank:]
        ends: list[int] = []
        for axis, (size, count) in enumerate(zip(x.spatial, y.spatial, strict=True)):
            front, behind, stride, span = pads[axis], pads[axis + rank], window.stride[axis], spans(window)[axis]
            over = (count - 1) * stride + span - size - front
            end = over if isinstance(over, int) else min(0, behind - span + stride) + span - 1
            ends.append(max(behind, end))
        return tuple(ends)

    @abstractmethod
    def _torch_pool(self, t: Any, x: Any, padding: tuple[int, ...]) -> Any:
        """PyTorch's own pool."""

    @abstractmethod
    def _torch_padded(self, t: Any, x: Any, padding: tuple[Any, ...]) -> Any:
        """The pool of the input padded beforehand."""


def _check_half(extents: tuple[int, ...], padding: str | tuple[int, ...]) -> None:
    for i, pad in enumerate(padding):
        size = extents[i % len(extents)]
        if isinstance(pad, int) and 2 * pad > size:
            raise ShapeError(
                f"padding {pad} is more than half the kernel {size}: a window could lie in the padding altogether"
            )


@dataclass(frozen=True, kw_only=True)
class MaxPool(Pool, name="max_pool", group="pool", arity=(1, 1), principal="kernel"):
    """Maximum of each window; padding never wins.

    x       (N, C, *S)
    ->      (N, C, *S')     S' = (S + pads - dilation * (kernel - 1) - 1) // stride + 1, or rounded up with ceil
    """

    dilation: Spatial = arg(1, kind="spatial", doc="distance between the elements of a window")

    def infer(self, *x: TensorType) -> TensorType:
        y = super().infer(*x)
        padded = any(self._pads) if isinstance(self._pads, tuple) else True
        for axis, (size, dilation) in enumerate(zip(x[0].spatial, self.window().dilation, strict=True)):
            if padded and dilation > 1 and isinstance(size, int) and size < dilation:
                name = axis_name(axis + 2, x[0].rank)
                raise ShapeError(
                    f"dilation {dilation} is larger than {name} {size}: a window could lie in the padding altogether"
                )
        return y

    def _dilation(self) -> Spatial:
        return self.dilation

    def _dilated(self, dilation: tuple[int, ...]) -> Self:
        return replace(self, dilation=dilation)

    def _torch_pool(self, t: Any, x: Any, padding: tuple[int, ...]) -> Any:
        window = self.window()
        pool = getattr(t.nn.functional, f"max_pool{len(window.kernel)}d")
        return pool(x, window.kernel, window.stride, padding, window.dilation, self.ceil)

    def _torch_padded(self, t: Any, x: Any, padding: tuple[Any, ...]) -> Any:
        none = (0,) * (len(padding) // 2)
        return self._torch_pool(t, torch_pad(t, x, padding, value=_MINUS_INF), none)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        window, word = self.window(), self._pads
        if isinstance(word, str):
            if self._native_same():
                return self._emit(g, x[0], auto_pad=auto_pad(word))
            return self._emit(g, onnx_same(g, x[0], word, window.stride, spans(window), _MINUS_INF))
        pads = as_tuple(word)[: len(window.kernel)] + self._ends(g.inputs[0], g.output)
        if not any(pads):
            return self._emit(g, x[0])
        if all(pad < k for pad, k in zip(pads, window.kernel * 2, strict=True)):
            return self._emit(g, x[0], pads=list(pads))
        # ORT wants padding below the kernel, which a dilated window may exceed.
        return self._emit(g, onnx_pad(g, x[0], pads, value=_MINUS_INF))

    def _emit(self, g: Any, value: str, **attributes: Any) -> str:
        window = self.window()
        if set(window.dilation) != {1}:
            attributes["dilations"] = list(window.dilation)
        return str(g.MaxPool(value, kernel_shape=list(window.kernel), strides=list(window.stride), **attributes))


@dataclass(frozen=True, kw_only=True)
class AvgPool(Pool, name="avg_pool", group="pool", arity=(1, 1), principal="kernel"):
    """Mean of each window.

    x       (N, C, *S)
    ->      (N, C, *S')     S' = (S + pads - kernel) // stride + 1, or rounded up with ceil
    """

    count_include_pad: bool = arg(True, kind="bool", doc="whether padding counts among the elements of a window")

    def infer(self, *x: TensorType) -> TensorType:
        if self.ceil and x[0].rank == 5:
            # PyTorch's mean over volumes wants one whole window.
            slide(x[0].spatial, self._pads, self.window())
        return super().infer(*x)

    def _in_reach(self, pads: tuple[int, ...]) -> bool:
        # Over volumes, PyTorch forgets the padding where it asks whether a window fits.
        return super()._in_reach(pads) and not (len(pads) == 6 and any(pads))

    def _torch_pool(self, t: Any, x: Any, padding: tuple[int, ...]) -> Any:
        window = self.window()
        pool = getattr(t.nn.functional, f"avg_pool{len(window.kernel)}d")
        return pool(x, window.kernel, window.stride, padding, self.ceil, self.count_include_pad)

    def _torch_padded(self, t: Any, x: Any, padding: tuple[Any, ...]) -> Any:
        none = (0,) * (len(padding) // 2)
        mean = self._torch_pool(t, torch_pad(t, x, padding), none)
        if self.count_include_pad:
            return mean
        inside = torch_pad(t, t.ones_like(x[:1, :1]), padding)
        return mean / self._torch_pool(t, inside, none)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        word = self._pads
        if isinstance(word, str):
            if self._native_same() and not self.count_include_pad:
                return self._emit(g, x[0], auto_pad=auto_pad(word), count_include_pad=0)
            return self._onnx_same(g, x[0], word)
        rank = len(word) // 2
        begins, ends = word[:rank], self._ends(g.inputs[0], g.output)
        if not any(begins + ends):
            return self._emit(g, x[0])
        if not self.count_include_pad:
            return self._emit(g, x[0], pads=[*begins, *ends], count_include_pad=0)
        if begins == ends == word[rank:]:
            return self._emit(g, x[0], pads=list(word), count_include_pad=1)
        # Runtimes differ where padding is uneven and counted: pad first, and count what was padded as input.
        value = onnx_pad(g, x[0], word) if any(word) else x[0]
        over = [end - padded for end, padded in zip(ends, word[rank:], strict=True)]
        beyond = {"pads": [0] * rank + over, "count_include_pad": 0} if any(over) else {}
        return self._emit(g, value, **beyond)

    def _onnx_same(self, g: Any, x: str, word: str) -> str:
        window = self.window()
        mean = self._emit(g, onnx_same(g, x, word, window.stride, spans(window)))
        if self.count_include_pad:
            return mean
        ones = g.ConstantOfShape(g.Shape(x), value=_one(g))
        return str(g.Div(mean, self._emit(g, onnx_same(g, ones, word, window.stride, spans(window)))))

    def _emit(self, g: Any, value: str, **attributes: Any) -> str:
        window = self.window()
        return str(g.AveragePool(value, kernel_shape=list(window.kernel), strides=list(window.stride), **attributes))


def _one(g: Any) -> Any:
    import numpy as np

    return np.ones(1, g.output.dtype.value)
