"""Operators that move channels, or elements along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import TensorType
from .axes import axis_name, checked_axis


@dataclass(frozen=True, kw_only=True)
class ChannelShuffle(Op, name="channel_shuffle", group="shape", arity=(1, 1), principal="groups"):
    """Channels (groups, C / groups) read as (C / groups, groups) (Zhang et al., 2017, figure 1).

    x       (N, C, *S)
    ->      (N, C, *S)     y[:, i * groups + g] = x[:, g * C / groups + i]
    """

    groups: int = arg(kind="size", doc="how many groups the channels stand in")

    def infer(self, *x: TensorType) -> TensorType:
        if x[0].channels % self.groups:
            raise ShapeError(f"groups {self.groups} do not divide {x[0].channels} channels")
        return x[0]

    def order(self, channels: int) -> list[int]:
        """The input channel that each output channel is."""
        each = channels // self.groups
        return [group * each + i for i in range(each) for group in range(self.groups)]

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        batch, channels, *spatial = x[0].shape
        grouped = x[0].reshape(batch, self.groups, channels // self.groups, *spatial)
        return grouped.transpose(1, 2).reshape(batch, channels, *spatial)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        # One node where the paper has three, and it knows no spatial size.
        return str(g.Gather(x[0], g.const(self.order(g.inputs[0].channels), "order"), axis=1))


@dataclass(frozen=True, kw_only=True)
class PixelShuffle(Op, name="pixel_shuffle", group="shape", arity=(1, 1), principal="factor"):
    """Channels become places: sub-pixel upsampling (Shi et al., 2016, equation 4).

    x       (N, C * factor^2, H, W)
    ->      (N, C, H * factor, W * factor)
    """

    factor: int = arg(kind="size", doc="how much height and width grow")

    def infer(self, *x: TensorType) -> TensorType:
        if x[0].rank != 4:
            raise ShapeError(f"pixel_shuffle needs [N, C, H, W], but got {x[0]}")
        area = self.factor**2
        if x[0].channels % area:
            raise ShapeError(
                f"factor {self.factor} needs channels in multiples of {area}, but there are {x[0].channels}"
            )
        batch, channels, height, width = x[0].shape
        return x[0].with_shape(batch, channels // area, height * self.factor, width * self.factor)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.pixel_shuffle(x[0], self.factor)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.DepthToSpace(x[0], blocksize=self.factor, mode="CRD"))


@dataclass(frozen=True, kw_only=True)
class Gather(Op, name="gather", group="shape", arity=(1, 1), principal="indices"):
    """Chosen elements along an axis, in the order given.

    x       (N, C, *S)
    ->      (N, len(indices), *S) with axis 1
    """

    indices: tuple[int, ...] = arg(kind="ints", doc="which elements; negative ones count from the back")
    axis: int = arg(1, kind="int", doc="the axis they are taken from; a negative one counts from the back")

    def bind(self, *x: TensorType) -> Self:
        axis = checked_axis(self.axis, x[0])
        size = x[0].shape[axis]
        if not self.indices:
            raise ShapeError("gather needs at least one index")
        if isinstance(size, int):
            return replace(self, axis=axis, indices=tuple(i + size if -size <= i < 0 else i for i in self.indices))
        if min(self.indices) < 0:
            raise ShapeError(f"index {min(self.indices)} counts from the back of {axis_name(axis, x[0].rank)} {size}")
        return replace(self, axis=axis)

    def infer(self, *x: TensorType) -> TensorType:
        axis = checked_axis(self.axis, x[0])
        size = x[0].shape[axis]
        for index in self.indices:
            if isinstance(size, int) and not 0 <= index < size:
                raise ShapeError(f"index {index} lies outside the {size} elements of axis {axis} of {x[0]}")
        return x[0].with_shape(*x[0].shape[:axis], len(self.indices), *x[0].shape[axis + 1 :])

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0].index_select(self.axis, t.tensor(self.indices, device=x[0].device))

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Gather(x[0], g.const(list(self.indices), "indices"), axis=self.axis))
