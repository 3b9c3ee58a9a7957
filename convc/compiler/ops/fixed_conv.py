"""Convolution of every channel with kernels that are written in the spec and not learned.

y[n, c * K + k] = kernel[k] * x[n, c]        K kernels

sobel_x     [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]      a derivative along the width (Sobel and Feldman, 1968)
sobel_y     its transpose                             along the height
sobel       both, in this order
laplace     [[0, 1, 0], [1, -4, 1], [0, 1, 0]]        the sum of both second derivatives
blur        [[1, 2, 1], [2, 4, 2], [1, 2, 1]] / 16    binomial smoothing
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, Window, arg
from ..ir.types import TensorType
from .axes import spatial_rank
from .conv import Conv, Spatial
from .emit import array
from .padding import Padding
from .tensor import shape_of

Kernel = tuple[tuple[float, ...], ...]

_SOBEL: Kernel = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
_SOBEL_Y: Kernel = tuple(zip(*_SOBEL, strict=True))
KERNELS: Mapping[str, tuple[Kernel, ...]] = {
    "sobel_x": (_SOBEL,),
    "sobel_y": (_SOBEL_Y,),
    "sobel": (_SOBEL, _SOBEL_Y),
    "laplace": (((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0)),),
    "blur": (((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16)),),
}


@dataclass(frozen=True, kw_only=True)
class FixedConv(Op, name="fixed_conv", group="convolution", arity=(1, 1), principal="kernel"):
    """Each channel convolved with given kernels, over height and width.

    x       (N, C, H, W)
    ->      (N, C * K, H', W')     channels (C, K); sizes as conv
    """

    kernel: str = arg("sobel", kind="word", choices=tuple(KERNELS), doc="which kernel or kernels, where none are given")
    weight: Any = arg(None, kind="data", doc="one kernel, rows of numbers, or a list of several of one size")
    stride: Spatial = arg(1, kind="spatial", doc="step between windows")
    padding: Padding = arg("half", kind="padding", doc="a word, or elements before and after each axis")

    def bind(self, *x: TensorType) -> Self:
        if spatial_rank(x[0], "fixed_conv") != 2:
            raise ShapeError(f"fixed_conv has kernels of height and width, but got {x[0]}")
        bound = self._plain(x[0].channels).bind(x[0])
        return replace(self, stride=bound.stride, padding=bound.padding)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels, each as rows; raises ShapeError where the spec's are none."""
        if self.weight is None:
            return KERNELS[self.kernel]
        depth = len(shape_of(self.weight, "weight"))
        given = (self.weight,) if depth == 2 else tuple(self.weight) if depth == 3 else ()
        if not given:
            raise ShapeError(
                "weight must be a kernel, rows of equal length, or a list of kernels of one size",
                hint="e.g. `fixed_conv: {weight: [[0, 1, 0], [1, -4, 1], [0, 1, 0]]}`",
            )
        kernels = tuple(tuple(tuple(float(value) for value in row) for row in kernel) for kernel in given)
        if not all(isfinite(value) for kernel in kernels for row in kernel for value in row):
            raise ShapeError("weight holds a number that is not finite")
        return kernels

    def _plain(self, channels: int) -> Conv:
        """The depthwise convolution that it is."""
        kernels = self.kernels
        size = (len(kernels[0]), len(kernels[0][0]))
        out = channels * len(kernels)
        return Conv(out=out, kernel=size, stride=self.stride, padding=self.padding, groups=channels, bias=False)

    def window(self) -> Window:
        kernels = self.kernels
        assert not isinstance(self.stride, int)
        return Window((len(kernels[0]), len(kernels[0][0])), tuple(self.stride), (1, 1))

    def infer(self, *x: TensorType) -> TensorType:
        return self._plain(x[0].channels).bind(x[0]).infer(x[0])

    def macs(self, y: TensorType, *x: TensorType) -> int:
        return self._plain(x[0].channels).bind(x[0]).macs(y, *x)

    def _weight(self, channels: int) -> list[Any]:
        """(C * K, 1, height, width), in nested lists."""
        return [[[list(row) for row in kernel]] for kernel in self.kernels] * channels

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        channels = x[0].shape[1]
        weight = t.tensor(self._weight(channels), dtype=x[0].dtype, device=x[0].device)
        return self._plain(channels).bind(TensorType(tuple(x[0].shape))).torch(t, *x, p={"weight": weight})

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        kind = g.inputs[0]
        weight = array(g, self._weight(kind.channels), "weight")
        return self._plain(kind.channels).bind(kind).onnx(g, *x, p={"weight": weight})
