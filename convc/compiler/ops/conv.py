"""Convolution: y[o, i] = bias[o] + sum over c, u of weight[o, c, u] * x[c, i * stride + u * dilation - padding]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, Window, arg
from ..ir.types import Init, ParamType, Shape, TensorType
from .axes import axis_name, per_axis, spatial_rank
from .emit import weights
from .init import HE, ZEROS
from .padding import (
    MODES,
    Padding,
    auto_pad,
    check_mode,
    extent,
    is_symmetric,
    onnx_pad,
    onnx_same,
    padded,
    resolve,
    torch_pad,
    torch_same,
)

Spatial = int | tuple[int, ...]


def slide(sizes: Shape, padding: str | tuple[int, ...], window: Window) -> Shape:
    """Spatial sizes behind a window: (size + pads - extent) // stride + 1. Raises ShapeError where none is left."""
    if isinstance(padding, str):
        return tuple((size + s - 1) // s for size, s in zip(sizes, window.stride, strict=True))
    result: list[Dim] = []
    for axis, size in enumerate(padded(sizes, padding)):
        kernel, stride, dilation = window.kernel[axis], window.stride[axis], window.dilation[axis]
        span = extent(kernel, dilation)
        if isinstance(size, int) and size < span:
            where = axis_name(axis + 2, len(sizes) + 2)
            raise ShapeError(
                f"the output would be empty: kernel {kernel} (dilation {dilation}) is larger than the padded input"
                f" {size} ({where})"
            )
        result.append((size - span) // stride + 1)
    return tuple(result)


def check_groups(groups: int, channels: int, out: int) -> None:
    """Refuse groups that do not divide both sides."""
    if channels % groups:
        raise ShapeError(f"groups {groups} do not divide {channels} input channels")
    if out % groups:
        raise ShapeError(f"groups {groups} do not divide {out} output channels")


@dataclass(frozen=True, kw_only=True)
class Conv(Op, name="conv", group="convolution", arity=(1, 1), principal="out"):
    """Convolution over one, two or three spatial axes.

    x       (N, C, *S)
    weight  (out, C / groups, *kernel)
    bias    (out,)                       if bias
    ->      (N, out, *S')                S' = (S + pads - dilation * (kernel - 1) - 1) // stride + 1
    """

    out: int | None = arg(None, kind="size", doc="output channels; the incoming ones if left out")
    kernel: Spatial = arg(3, kind="spatial", doc="kernel size")
    stride: Spatial = arg(1, kind="spatial", doc="step between windows")
    padding: Padding = arg("half", kind="padding", doc="a word, or elements before and after each axis")
    dilation: Spatial = arg(1, kind="spatial", doc="distance between the taps of the kernel")
    groups: int = arg(1, kind="size", doc="channels are cut into so many independent groups")
    bias: bool = arg(True, kind="bool", doc="add a learned number to each output channel")
    padding_mode: str = arg("zeros", kind="word", choices=MODES, doc="what the padding is filled with")
    init: Init | None = arg(None, kind="init", doc="how fresh weights are filled; He et al. (2015) if left out")

    def bind(self, *x: TensorType) -> Self:
        rank = spatial_rank(x[0], "conv")
        out = self.out if self.out is not None else x[0].channels
        check_groups(self.groups, x[0].channels, out)
        kernel = per_axis(self.kernel, rank, "kernel")
        stride = per_axis(self.stride, rank, "stride")
        dilation = per_axis(self.dilation, rank, "dilation")
        padding = resolve(self.padding, x[0].spatial, kernel, stride, dilation)
        check_mode(self.padding_mode, x[0].spatial, padding)
        return replace(self, out=out, kernel=kernel, stride=stride, dilation=dilation, padding=padding)

    def window(self) -> Window:
        return Window(as_spatial(self.kernel), as_spatial(self.stride), as_spatial(self.dilation))

    def infer(self, *x: TensorType) -> TensorType:
        assert self.out is not None
        assert not isinstance(self.padding, int)
        window = self.window()
        if spatial_rank(x[0], "conv") != len(window.kernel):
            raise ShapeError(f"kernel {list(window.kernel)} does not fit {x[0]}")
        check_groups(self.groups, x[0].channels, self.out)
        check_mode(self.padding_mode, x[0].spatial, self.padding)
        return x[0].with_shape(x[0].shape[0], self.out, *slide(x[0].spatial, self.padding, window))

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        assert self.out is not None
        shape = (self.out, x[0].channels // self.groups, *self.window().kernel)
        weight = {"weight": ParamType(shape, self.init or HE)}
        return weight | ({"bias": ParamType((self.out,), ZEROS)} if self.bias else {})

    def macs(self, y: TensorType, *x: TensorType) -> int:
        return static(y.numel) * (x[0].channels // self.groups) * prod(self.window().kernel)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        window = self.window()
        conv = getattr(t.nn.functional, f"conv{len(window.kernel)}d")
        value, padding = self._padded(t, x[0])
        return conv(value, p["weight"], p.get("bias"), window.stride, padding, window.dilation, self.groups)

    def _padded(self, t: Any, x: Any) -> tuple[Any, Any]:
        """The input, padded where PyTorch's own symmetric padding cannot say it, and the padding left to do."""
        window = self.window()
        padding = self.padding
        if isinstance(padding, str):
            padding = torch_same(t, x, padding, window.stride, spans(window))
        elif is_symmetric(as_tuple(padding)) and self.padding_mode == "zeros":
            return x, as_tuple(padding)[: len(window.kernel)]
        return torch_pad(t, x, as_tuple(padding), self.padding_mode), (0,) * len(window.kernel)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        window = self.window()
        value, pads = x[0], self.padding
        attributes: dict[str, Any] = {}
        if isinstance(pads, str):
            if set(window.dilation) == {1}:
                attributes["auto_pad"] = auto_pad(pads)
            else:
                value = onnx_same(g, value, pads, window.stride, spans(window))
        elif self.padding_mode != "zeros" and any(as_tuple(pads)):
            value = onnx_pad(g, value, as_tuple(pads), self.padding_mode)
        elif any(as_tuple(pads)):
            attributes["pads"] = list(as_tuple(pads))
        return str(
            g.Conv(
                value,
                *weights(p),
                kernel_shape=list(window.kernel),
                strides=list(window.stride),
                dilations=list(window.dilation),
                group=self.groups,
                **attributes,
            )
        )


def spans(window: Window) -> tuple[int, ...]:
    """How many input elements each axis of a window spans."""
    return tuple(extent(k, d) for k, d in zip(window.kernel, window.dilation, strict=True))


def static(size: Dim) -> int:
    """A size that must be a number here; raises ShapeError."""
    if not isinstance(size, int):
        raise ShapeError(f"the cost depends on the dynamic size {size}")
    return size


def as_tuple(padding: Padding) -> tuple[int, ...]:
    assert isinstance(padding, tuple), "bind makes padding a tuple"
    return tuple(padding)


def as_spatial(value: int | Sequence[int]) -> tuple[int, ...]:
    assert not isinstance(value, int), "bind makes one value per axis"
    return tuple(value)
