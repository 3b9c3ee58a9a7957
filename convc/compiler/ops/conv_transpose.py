"""Transposed convolution: the gradient of a convolution with respect to its input (Zeiler et al., 2010).

full    (S - 1) * stride + dilation * (kernel - 1) + 1 elements
output  full without `padding` elements at either end, with `output_padding` more behind
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, arg
from ..ir.types import Init, ParamType, TensorType
from .axes import axis_name, per_axis, spatial_rank
from .conv import Spatial, as_spatial, as_tuple, check_groups, static
from .emit import weights
from .init import HE, ZEROS
from .padding import Padding, explicit, extent, is_symmetric


@dataclass(frozen=True, kw_only=True)
class ConvTranspose(Op, name="conv_transpose", group="convolution", arity=(1, 1), principal="out"):
    """Transposed convolution over one, two or three spatial axes.

    x       (N, C, *S)
    weight  (C, out / groups, *kernel)
    bias    (out,)                       if bias
    ->      (N, out, *S')                S' = (S - 1) * stride - pads + dilation * (kernel - 1) + 1 + output_padding

    The padding word `same_upper` gives S' = S * stride, as TensorFlow's does.
    """

    out: int | None = arg(None, kind="size", doc="output channels; the incoming ones if left out")
    kernel: Spatial = arg(2, kind="spatial", doc="kernel size")
    stride: Spatial = arg(2, kind="spatial", doc="distance between the inputs' places in the output")
    padding: Padding = arg(0, kind="padding", doc="elements cut off before and after each axis, or a word")
    output_padding: Spatial = arg(0, kind="spatial0", doc="elements added behind each axis")
    dilation: Spatial = arg(1, kind="spatial", doc="distance between the taps of the kernel")
    groups: int = arg(1, kind="size", doc="channels are cut into so many independent groups")
    bias: bool = arg(True, kind="bool", doc="add a learned number to each output channel")
    init: Init | None = arg(None, kind="init", doc="how fresh weights are filled; He et al. (2015) if left out")

    def bind(self, *x: TensorType) -> Self:
        rank = spatial_rank(x[0], "conv_transpose")
        out = self.out if self.out is not None else x[0].channels
        check_groups(self.groups, x[0].channels, out)
        bound = replace(
            self,
            out=out,
            kernel=per_axis(self.kernel, rank, "kernel"),
            stride=per_axis(self.stride, rank, "stride"),
            dilation=per_axis(self.dilation, rank, "dilation"),
            output_padding=per_axis(self.output_padding, rank, "output_padding"),
        )
        bound = bound._cropped(rank)
        bound._check_output_padding()
        return bound

    def _cropped(self, rank: int) -> Self:
        """With `padding` as numbers."""
        if not isinstance(self.padding, str):
            return replace(self, padding=explicit(self.padding, rank))
        sizes = [extent(k, d) for k, d in zip(as_spatial(self.kernel), as_spatial(self.dilation), strict=True)]
        if self.padding == "valid":
            return replace(self, padding=(0,) * (2 * rank))
        if self.padding == "half":
            return replace(self, padding=tuple((size - 1) // 2 for size in sizes) * 2)
        if self.padding not in ("same_upper", "same_lower"):
            raise ShapeError(f"padding {self.padding} has no meaning for a transposed convolution")
        if any(as_spatial(self.output_padding)):
            raise ShapeError(f"padding {self.padding} sets the output size: output_padding must be 0 beside it")
        over = [size - stride for size, stride in zip(sizes, as_spatial(self.stride), strict=True)]
        less = tuple(max(0, n) // 2 for n in over)
        more = tuple(max(0, n) - low for n, low in zip(over, less, strict=True))
        padding = less + more if self.padding == "same_upper" else more + less
        return replace(self, padding=padding, output_padding=tuple(max(0, -n) for n in over))

    def _check_output_padding(self) -> None:
        for more, stride in zip(as_spatial(self.output_padding), as_spatial(self.stride), strict=True):
            if more >= stride:
                raise ShapeError(f"output_padding {more} must be smaller than the stride {stride}")

    def infer(self, *x: TensorType) -> TensorType:
        assert self.out is not None
        rank = spatial_rank(x[0], "conv_transpose")
        if rank != len(as_spatial(self.kernel)):
            raise ShapeError(f"kernel {list(as_spatial(self.kernel))} does not fit {x[0]}")
        check_groups(self.groups, x[0].channels, self.out)
        sizes = [self._size(axis, size) for axis, size in enumerate(x[0].spatial)]
        for axis, size in enumerate(sizes):
            if isinstance(size, int) and size < 1:
                name = axis_name(axis + 2, x[0].rank)
                raise ShapeError(f"the output would be empty: padding cuts off all of its {name}")
        return x[0].with_shape(x[0].shape[0], self.out, *sizes)

    def _size(self, axis: int, size: Dim) -> Dim:
        pads = as_tuple(self.padding)
        span = extent(as_spatial(self.kernel)[axis], as_spatial(self.dilation)[axis])
        grown = (size - 1) * as_spatial(self.stride)[axis] + span + as_spatial(self.output_padding)[axis]
        return grown - pads[axis] - pads[axis + len(pads) // 2]

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        assert self.out is not None
        shape = (x[0].channels, self.out // self.groups, *as_spatial(self.kernel))
        weight = {"weight": ParamType(shape, self.init or HE)}
        return weight | ({"bias": ParamType((self.out,), ZEROS)} if self.bias else {})

    def macs(self, y: TensorType, *x: TensorType) -> int:
        return static(x[0].numel) * (y.channels // self.groups) * prod(as_spatial(self.kernel))

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        rank = len(as_spatial(self.kernel))
        begins, ends = as_tuple(self.padding)[:rank], as_tuple(self.padding)[rank:]
        more, dilation = as_spatial(self.output_padding), as_spatial(self.dilation)
        transpose = getattr(t.nn.functional, f"conv_transpose{rank}d")
        weights = (x[0], p["weight"], p.get("bias"), as_spatial(self.stride))
        if is_symmetric(as_tuple(self.padding)):
            return transpose(*weights, begins, more, self.groups, dilation)
        # PyTorch cuts the same on both sides: make the uncut output and cut here.
        behind = tuple(max(0, n - end) for n, end in zip(more, ends, strict=True))
        y = transpose(*weights, (0,) * rank, behind, self.groups, dilation)
        for axis in range(rank):
            y = y.narrow(axis + 2, begins[axis], self._size(axis, x[0].shape[axis + 2]))
        return y

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(
            g.ConvTranspose(
                x[0],
                *weights(p),
                kernel_shape=list(as_spatial(self.kernel)),
                strides=list(as_spatial(self.stride)),
                pads=list(as_tuple(self.padding)),
                output_padding=list(as_spatial(self.output_padding)),
                dilations=list(as_spatial(self.dilation)),
                group=self.groups,
            )
        )
