"""Convolutions that turn with their input, over the group of the four quarter turns (Cohen and Welling, 2016).

A filter is stored once and applied in four orientations. Channels are (filter, orientation), [out, 4], the orientation r
the faster: r quarter turns, counter-clockwise where height points down. With R the turn of a plane,

    lifting   y[o, r] = sum over c     (R^r weight[o, c])              * x[c]            of an ordinary image
    group     y[o, r] = sum over c, s  (R^r weight[o, c, (s - r) % 4]) * x[c, s]         of the output of a C4 convolution

so that a turned input gives the turned output with its orientations moved on by one, exactly where the places that are
looked at turn into each other: stride 1, a square kernel, the same padding on all sides. What acts on every channel alike
keeps that; a norm must share its numbers between the orientations of a filter, as c4_batch_norm does.

A turned copy is a permutation of the filter's numbers, so that one Gather makes all of them. Exported by the passes the
copies are the weights of an ordinary convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, Window, arg
from ..ir.types import Init, ParamType, TensorType
from .axes import per_axis, spatial_rank
from .batch_norm import BatchNorm
from .conv import Conv, Spatial, as_spatial
from .init import HE, ZEROS
from .padding import Padding
from .reduce import onnx_reduce
from .sizes import onnx_sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

TURNS = 4


@dataclass(frozen=True, kw_only=True)
class C4Conv(Op, name="c4_conv", group="convolution", arity=(1, 1), principal="out"):
    """Convolution with filters in four orientations, over height and width.

    x       (N, C, H, W)                 kind lifting;   (N, 4 C, H, W), channels (C, 4), kind group
    weight  (out, C, k, k)               kind lifting;   (out, C, 4, k, k)                kind group
    bias    (out,)                       if bias: one for the four orientations of a filter
    ->      (N, 4 out, H', W')           channels (out, 4); sizes as conv
    """

    out: int | None = arg(None, kind="size", doc="filters, each in four orientations; as many as come in if left out")
    kernel: Spatial = arg(3, kind="spatial", doc="kernel size, the same on both axes")
    kind: str = arg(
        "group", kind="word", choices=("lifting", "group"), doc="reads an image, or a C4 convolution's output"
    )
    stride: Spatial = arg(1, kind="spatial", doc="step between windows; only 1 keeps turning exact at every size")
    padding: Padding = arg("half", kind="padding", doc="a word, or elements before and after each axis")
    dilation: Spatial = arg(1, kind="spatial", doc="distance between the taps of the kernel")
    bias: bool = arg(True, kind="bool", doc="add a learned number to the four orientations of each filter")
    init: Init | None = arg(None, kind="init", doc="how fresh weights are filled; He et al. (2015) if left out")

    def bind(self, *x: TensorType) -> Self:
        if spatial_rank(x[0], "c4_conv") != 2:
            raise ShapeError(f"c4_conv turns height into width, but got {x[0]}")
        for what, value in (("kernel", self.kernel), ("stride", self.stride), ("dilation", self.dilation)):
            values = per_axis(value, 2, what)
            if values[0] != values[1]:
                raise ShapeError(f"{what} {list(values)} of c4_conv must be the same on both axes: filters are turned")
        incoming = self._filters_in(x[0])
        out = self.out if self.out is not None else incoming
        plain = replace(self, out=out).plain.bind(x[0])
        return replace(
            self, out=out, kernel=plain.kernel, stride=plain.stride, padding=plain.padding, dilation=plain.dilation
        )

    @property
    def plain(self) -> Conv:
        """The convolution that the turned copies make together."""
        assert self.out is not None
        return Conv(
            out=TURNS * self.out,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            bias=self.bias,
        )

    def _filters_in(self, x: TensorType) -> int:
        return x.channels if self.kind == "lifting" else filters(x, "c4_conv of kind group")

    def window(self) -> Window:
        return self.plain.window()

    def infer(self, *x: TensorType) -> TensorType:
        self._filters_in(x[0])
        return self.plain.infer(*x)

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        assert self.out is not None
        turns = (TURNS,) if self.kind == "group" else ()
        shape = (self.out, self._filters_in(x[0]), *turns, *as_spatial(self.kernel))
        weight = {"weight": ParamType(shape, self.init or HE)}
        return weight | ({"bias": ParamType((self.out,), ZEROS)} if self.bias else {})

    def macs(self, y: TensorType, *x: TensorType) -> int:
        """Of the convolution that runs; the copies are made once."""
        return self.plain.macs(y, *x)

    def copies(self, channels: int) -> NDArray[Any]:
        """Which of a filter's numbers each turned copy takes, in order: (4, channels * k * k) places in the flat filter.

        `channels` are the input's; the copies are the plain convolution's weight (4 out, channels, k, k) once reshaped.
        """
        import numpy as np

        size = as_spatial(self.kernel)[0]
        turns = TURNS if self.kind == "group" else 1
        places = np.arange(channels * size * size).reshape(-1, turns, size, size)
        turned = [np.roll(np.rot90(places, r, axes=(2, 3)), r, axis=1) for r in range(TURNS)]
        return np.stack(turned).reshape(TURNS, -1)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        channels = x[0].shape[1]
        weight = p["weight"].flatten(1)[:, t.tensor(self.copies(channels), device=x[0].device)]
        held = {"weight": weight.reshape(-1, channels, *as_spatial(self.kernel))}
        if self.bias:
            held["bias"] = p["bias"].repeat_interleave(TURNS)
        return self.plain.torch(t, *x, p=held)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        channels, size = g.inputs[0].channels, as_spatial(self.kernel)[0]
        copies = g.Gather(g.Flatten(p["weight"], axis=1), g.const(self.copies(channels), "turned"), axis=1)
        held = {"weight": g.Reshape(copies, g.const([-1, channels, size, size], "filters"))}
        if self.bias:
            held["bias"] = onnx_repeated(g, p["bias"], g.output.channels)
        return self.plain.onnx(g, *x, p=held)


@dataclass(frozen=True, kw_only=True)
class C4BatchNorm(Op, name="c4_batch_norm", group="norm"):
    """Batch normalisation of a C4 convolution's output; the four orientations of a filter are one channel.

    x             (N, 4 C, *S)    channels (C, 4)
    weight, bias  (C,)
    running_mean  (C,)
    running_var   (C,)
    ->            (N, 4 C, *S)
    """

    eps: float = arg(1e-5, kind="number", doc="added to the variance")
    momentum: float = arg(0.1, kind="number", doc="weight of the newest batch in the running statistics")

    @property
    def plain(self) -> BatchNorm:
        """The norm of each orientation by itself."""
        return BatchNorm(eps=self.eps, momentum=self.momentum)

    def bind(self, *x: TensorType) -> Self:
        self.plain.bind(*x)
        return self

    def infer(self, *x: TensorType) -> TensorType:
        filters(x[0], self.name)
        return x[0]

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return self.plain.params(TensorType((1, filters(x[0], self.name))))

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        by_filter = x[0].reshape(x[0].shape[0], x[0].shape[1] // TURNS, TURNS, *x[0].shape[2:])
        return self.plain.torch(t, by_filter, p=p, training=training).reshape(x[0].shape)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        channels = g.output.channels
        return self.plain.onnx(g, *x, p={role: onnx_repeated(g, name, channels) for role, name in p.items()})


@dataclass(frozen=True, kw_only=True)
class C4Pool(Op, name="c4_pool", group="pool", principal="reduce"):
    """One number for the four orientations of each filter: what it says no longer depends on how the input is turned.

    x       (N, 4 C, *S)    channels (C, 4)
    ->      (N, C, *S)
    """

    reduce: str = arg("max", kind="word", choices=("max", "mean"), doc="how the four become one")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(x[0].shape[0], filters(x[0], self.name), *x[0].spatial)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        by_filter = x[0].reshape(x[0].shape[0], x[0].shape[1] // TURNS, TURNS, *x[0].shape[2:])
        return by_filter.amax(2) if self.reduce == "max" else by_filter.mean(2)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        spatial = g.output.spatial
        split = g.const([0, g.output.channels, TURNS], "split")
        sizes = (onnx_sizes(g, spatial, g.inputs[0].shape, x[0], "size"),) if spatial else ()
        by_filter = g.Reshape(x[0], g.Concat(split, *sizes, axis=0) if sizes else split)
        return onnx_reduce(g, "ReduceMax" if self.reduce == "max" else "ReduceMean", by_filter, [2], 0)


def filters(x: TensorType, what: str) -> int:
    """How many filters the channels of a C4 convolution's output stand for; raises ShapeError."""
    if x.channels % TURNS:
        raise ShapeError(
            f"{what} needs 4 orientations per filter, but the {x.channels} channels of {x} are no multiple of 4",
            hint="an image is read by `c4_conv: {kind: lifting, ...}`",
        )
    return x.channels // TURNS


def onnx_repeated(g: Any, vector: str, channels: int) -> str:
    """(C,) -> (4 C,), each number four times."""
    return str(g.Gather(vector, g.const([i // TURNS for i in range(channels)], "filter")))
