"""Deformable convolution: a convolution whose taps are moved, at each place by numbers computed from the input.

    y[o, p] = bias[o] + sum over c, k of weight[o, c, k] * m[k, p] * x[c, p * stride + k * dilation - padding + d[k, p]]

x is read between its elements by bilinear interpolation, and is 0 outside. The displacements d, and with `modulated` the
numbers m = sigmoid(.), are a second convolution of x over the same windows, which begins at 0.

    Dai et al., 2017, "Deformable Convolutional Networks", equations 2 and 3; Zhu et al., 2019, "Deformable ConvNets v2",
    equation 1

Channels of the second convolution, for K taps and G offset groups, in ONNX's order:

    displacements   (G, K, 2)   down, then right        m   (G, K)   behind all of them

A group's channels share displacements. In ONNX this is DeformConv; for older opsets, and for runtimes without a kernel for
it, GridSample reads every tap into a row and every place into a column, and a K x 1 convolution sums the rows up. PyTorch
does the same with grid_sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, Window, arg
from ..ir.types import DType, Init, ParamType, TensorType
from .axes import differs, per_axis, spatial_rank
from .conv import Spatial, as_spatial, as_tuple, check_groups, slide, spans, static
from .emit import weights
from .init import HE, ZEROS
from .padding import Padding, is_symmetric, onnx_same, resolve, torch_pad, torch_same
from .sizes import onnx_sizes

# The first opset that has DeformConv.
NATIVE_OPSET = 19

# What ONNX calls the types that are sampled.
_ELEMENTS: Mapping[DType, int] = {DType.float32: 1, DType.float16: 10, DType.float64: 11}


@dataclass(frozen=True, kw_only=True)
class DeformConv(Op, name="deform_conv", group="convolution", arity=(1, 2), principal="out"):
    """Deformable convolution over height and width.

    x              (N, C, H, W), and offsets (N, channels, H', W') where they are not computed here
    weight         (out, C / groups, *kernel)
    bias           (out,)                          if bias
    offset.weight  (channels, C, *kernel)          if no offsets are given
    offset.bias    (channels,)                     if no offsets are given
    ->             (N, out, H', W')                as conv; channels = offset_groups * taps * (3 if modulated else 2)
    """

    out: int | None = arg(None, kind="size", doc="output channels; the incoming ones if left out")
    kernel: Spatial = arg(3, kind="spatial", doc="kernel size")
    stride: Spatial = arg(1, kind="spatial", doc="step between windows")
    padding: Padding = arg("half", kind="padding", doc="a word, or elements before and after each axis")
    dilation: Spatial = arg(1, kind="spatial", doc="distance between the taps of the kernel where they are not moved")
    groups: int = arg(1, kind="size", doc="channels are cut into so many independent groups")
    offset_groups: int = arg(
        1, kind="size", doc="channels are cut into so many groups that are each moved in their own way"
    )
    modulated: bool = arg(False, kind="bool", doc="weigh each tap at each place by a number between 0 and 1 (v2)")
    bias: bool = arg(True, kind="bool", doc="add a learned number to each output channel")
    init: Init | None = arg(None, kind="init", doc="how fresh weights are filled; He et al. (2015) if left out")

    @property
    def taps(self) -> int:
        return prod(as_spatial(self.kernel))

    @property
    def offset_channels(self) -> int:
        return self.offset_groups * self.taps * (3 if self.modulated else 2)

    def bind(self, *x: TensorType) -> Self:
        if spatial_rank(x[0], "deform_conv") != 2:
            raise ShapeError(f"deform_conv moves taps over height and width, but got {x[0]}")
        channels = x[0].channels
        out = self.out if self.out is not None else channels
        check_groups(self.groups, channels, out)
        if channels % self.offset_groups:
            raise ShapeError(f"offset_groups {self.offset_groups} do not divide {channels} input channels")
        kernel = per_axis(self.kernel, 2, "kernel")
        stride = per_axis(self.stride, 2, "stride")
        dilation = per_axis(self.dilation, 2, "dilation")
        padding = resolve(self.padding, x[0].spatial, kernel, stride, dilation)
        return replace(self, out=out, kernel=kernel, stride=stride, dilation=dilation, padding=padding)

    def window(self) -> Window:
        return Window(as_spatial(self.kernel), as_spatial(self.stride), as_spatial(self.dilation))

    def infer(self, *x: TensorType) -> TensorType:
        assert self.out is not None
        assert not isinstance(self.padding, int)
        check_groups(self.groups, x[0].channels, self.out)
        y = x[0].with_shape(x[0].shape[0], self.out, *slide(x[0].spatial, self.padding, self.window()))
        if len(x) == 2:
            self._check_offsets(x[1], y)
        return y

    def _check_offsets(self, offsets: TensorType, y: TensorType) -> None:
        if offsets.rank != 4 or offsets.channels != self.offset_channels:
            height, width = as_spatial(self.kernel)
            per_tap = "3 (two displacements and a weight)" if self.modulated else "2"
            raise ShapeError(
                f"offsets {offsets} need {self.offset_channels} channels: {per_tap} for each of {height} x {width} taps"
                f" and {self.offset_groups} offset groups"
            )
        for axis in (0, 2, 3):
            if offsets.shape[axis] != y.shape[axis]:
                what = differs(axis, 4, offsets.shape[axis], y.shape[axis])
                raise ShapeError(f"offsets {offsets} do not lie over the output {y}: {what}")

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        assert self.out is not None
        kernel = as_spatial(self.kernel)
        found = {"weight": ParamType((self.out, x[0].channels // self.groups, *kernel), self.init or HE)}
        if self.bias:
            found["bias"] = ParamType((self.out,), ZEROS)
        if len(x) == 1:
            found["offset.weight"] = ParamType((self.offset_channels, x[0].channels, *kernel), ZEROS)
            found["offset.bias"] = ParamType((self.offset_channels,), ZEROS)
        return found

    def macs(self, y: TensorType, *x: TensorType) -> int:
        """Of both convolutions; interpolation is not counted."""
        places = static(y.shape[0] * y.shape[2] * y.shape[3]) * self.taps
        own = places * self.offset_channels * x[0].channels if len(x) == 1 else 0
        return places * y.channels * (x[0].channels // self.groups) + own

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        window, value, pads = self.window(), x[0], self.padding
        if isinstance(pads, str) or not is_symmetric(as_tuple(pads)):
            # Zeros outside and zeros of the padding are the same to whoever reads between elements.
            amounts = torch_same(t, value, pads, window.stride, spans(window)) if isinstance(pads, str) else pads
            value, pads = torch_pad(t, value, as_tuple(amounts)), (0, 0, 0, 0)
        conv = t.nn.functional.conv2d
        if len(x) == 2:
            offsets = x[1]
        else:
            begins = as_tuple(pads)[:2]
            offsets = conv(value, p["offset.weight"], p["offset.bias"], window.stride, begins, window.dilation)
        rows = self._torch_rows(t, value, offsets, as_tuple(pads)[:2])
        weight = p["weight"].reshape(*p["weight"].shape[:2], self.taps, 1)
        y = conv(rows, weight, p.get("bias"), groups=self.groups)
        return y.reshape(y.shape[0], y.shape[1], *offsets.shape[2:])

    def _torch_rows(self, t: Any, x: Any, offsets: Any, begins: tuple[int, ...]) -> Any:
        """What each tap reads at each place, (N, C, taps, H' W')."""
        groups, taps = self.offset_groups, self.taps
        count, channels, height, width = x.shape
        moved = 2 * groups * taps
        shifts = offsets[:, :moved].reshape(-1, taps, 2, *offsets.shape[2:])
        lines = t.arange(offsets.shape[2], device=x.device).reshape(-1, 1) * self.window().stride[0] - begins[0]
        columns = t.arange(offsets.shape[3], device=x.device) * self.window().stride[1] - begins[1]
        down, right = (
            t.tensor(steps, device=x.device).reshape(-1, 1, 1) for steps in zip(*self._tap_places(), strict=True)
        )
        ys = (2 * (shifts[:, :, 0] + lines + down) + 1) / height - 1
        xs = (2 * (shifts[:, :, 1] + columns + right) + 1) / width - 1
        grid = t.stack([xs, ys], -1).flatten(2, 3)
        images = x.reshape(-1, channels // groups, height, width)
        sample = t.nn.functional.grid_sample
        read = sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        if self.modulated:
            read = read * t.sigmoid(offsets[:, moved:]).reshape(-1, 1, taps, grid.shape[2])
        return read.reshape(count, channels, taps, grid.shape[2])

    def _tap_places(self) -> list[tuple[int, int]]:
        """(down, right) of each tap from the first one."""
        (height, width), (down, right) = self.window().kernel, self.window().dilation
        return [(i * down, j * right) for i in range(height) for j in range(width)]

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        window, value, pads = self.window(), x[0], self.padding
        if isinstance(pads, str):
            value, pads = onnx_same(g, value, pads, window.stride, spans(window)), (0, 0, 0, 0)
        attributes = {
            "kernel_shape": list(window.kernel),
            "strides": list(window.stride),
            "pads": list(as_tuple(pads)),
            "dilations": list(window.dilation),
        }
        offsets = x[1] if len(x) == 2 else g.Conv(value, p["offset.weight"], p["offset.bias"], **attributes)
        shifts, mask = self._onnx_offsets(g, offsets)
        if g.opset < NATIVE_OPSET or "DeformConv" in g.lacking:
            return self._onnx_sampled(g, value, shifts, mask, as_tuple(pads)[:2], p)
        groups = {"group": self.groups, "offset_group": self.offset_groups}
        return str(g.DeformConv(value, p["weight"], shifts, p.get("bias"), mask, **groups, **attributes))

    def _onnx_offsets(self, g: Any, offsets: str) -> tuple[str, str | None]:
        """The displacements, and the weights of the taps if there are any."""
        if not self.modulated:
            return offsets, None
        taps = self.offset_groups * self.taps
        shifts, mask = g.Split(offsets, g.const([2 * taps, taps], "sizes"), axis=1, outputs=2)
        return shifts, g.Sigmoid(mask)

    def _onnx_sampled(
        self, g: Any, x: str, shifts: str, mask: str | None, begins: tuple[int, ...], p: Mapping[str, str]
    ) -> str:
        """The GridSample form: what the taps read as rows of an image, and a column of weights that slides over it."""
        taps, channels = self.taps, g.inputs[0].channels
        each = channels // self.offset_groups
        images = g.Reshape(x, g.const([-1, each, 0, 0], "group")) if self.offset_groups > 1 else x
        grid = self._onnx_grid(g, x, shifts, begins)
        # The word for it changed with opset 20.
        mode = "bilinear" if g.opset < 20 else "linear"
        read = g.GridSample(images, grid, mode=mode, padding_mode="zeros", align_corners=0)
        if mask is not None:
            weighed = g.Reshape(self._onnx_by_group(g, mask, taps), g.const([0, 1, taps, -1], "weights"))
            read = g.Mul(read, weighed)
        rows = g.Reshape(read, g.const([-1, channels, 0, 0], "rows")) if self.offset_groups > 1 else read
        column = g.Reshape(p["weight"], g.const([0, 0, taps, 1], "column"))
        y = g.Conv(rows, column, *weights(p)[1:], kernel_shape=[taps, 1], group=self.groups)
        return str(g.Reshape(y, g.Concat(g.const([0, 0], "kept"), self._onnx_places(g, shifts), axis=0)))

    def _onnx_by_group(self, g: Any, value: str, channels: int) -> str:
        """(N, G * channels, H', W') -> (N * G, channels, H' W')"""
        flat = g.Reshape(value, g.const([0, 0, -1], "flat"))
        return str(g.Reshape(flat, g.const([-1, channels, 0], "by_group")) if self.offset_groups > 1 else flat)

    def _onnx_places(self, g: Any, shifts: str) -> str:
        """H' and W', from the displacements, which lie over the output."""
        return onnx_sizes(g, g.output.spatial, (g.output.shape[0], 0, *g.output.spatial), shifts, "places")

    def _onnx_grid(self, g: Any, x: str, shifts: str, begins: tuple[int, ...]) -> str:
        """Where each tap reads at each place, (N * G, taps, H' W', 2): right, then down, in GridSample's units."""
        by_tap = g.Reshape(self._onnx_by_group(g, shifts, 2 * self.taps), g.const([0, self.taps, 2, -1], "by_tap"))
        moved = g.Transpose(g.Gather(by_tap, g.const([1, 0], "right_down"), axis=2), perm=[0, 1, 3, 2])
        unit = g.Div(g.const([2.0, 2.0], "two"), self._onnx_size(g, x))
        # (2 (at + moved) + 1) / size - 1
        start = g.Sub(g.Mul(self._onnx_taps(g, shifts, begins), unit), g.const([1.0], "one"))
        return str(g.Add(g.Mul(moved, unit), start))

    def _onnx_size(self, g: Any, x: str) -> str:
        """Width, then height, of what is sampled."""
        height, width = g.inputs[0].spatial
        if isinstance(height, int) and isinstance(width, int):
            return str(g.const([float(width), float(height)], "size"))
        size = g.Gather(g.Shape(x), g.const([3, 2], "axes"))
        return str(g.Cast(size, to=_ELEMENTS[g.output.dtype]))

    def _onnx_taps(self, g: Any, shifts: str, begins: tuple[int, ...]) -> str:
        """Where the centre of the pixel lies that each tap reads unmoved, (taps, H' W', 2)."""
        import numpy as np

        taps = np.array(self._tap_places(), g.output.dtype.value)[:, None, ::-1] - np.array(begins[::-1]) + 0.5
        stride = self.window().stride[::-1]
        height, width = g.output.spatial
        if isinstance(height, int) and isinstance(width, int):
            down, right = np.mgrid[:height, :width].reshape(2, -1)
            at = np.stack([right, down], -1) * stride + taps
            return str(g.const(at.astype(g.output.dtype.value), "at"))
        sizes = self._onnx_places(g, shifts)
        columns = g.Gather(sizes, g.const([1], "width"))
        count = g.Mul(g.Gather(sizes, g.const(0, "height")), g.Squeeze(columns))
        index = g.Range(g.const(0, "first"), count, g.const(1, "step"))
        down = g.Div(index, columns)
        right = g.Sub(index, g.Mul(down, columns))
        last = g.const([-1], "last")
        at = g.Concat(g.Unsqueeze(right, last), g.Unsqueeze(down, last), axis=1)
        placed = g.Cast(g.Mul(at, g.const(list(stride), "stride")), to=_ELEMENTS[g.output.dtype])
        return str(g.Add(placed, g.const(taps.astype(g.output.dtype.value), "taps")))
