"""A linear map on feature maps: what a convolution over zero-padded maps computes, whoever wrote it.

    y[o, p] = bias[o] + sum over c, i of weight[o, c, i] * x[c, p * stride + offset(i)]         x is 0 outside
    offset(i) = i * dilation - begin

A batch norm, a scale, an identity and a mean of each window are such maps too, so that one algebra serves them all. Offsets are
what counts: two kernels are the same map where they have the same numbers at the same offsets, however they are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from ..ir import Param, constant
from ..ops.conv import Conv

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Why:
    """Why two maps have no exact combination, in words."""

    reason: str


@dataclass(frozen=True)
class Axis:
    """A map along one spatial axis: `size` taps, and padding `begin` and `end`, in elements of the input."""

    size: int = 1
    stride: int = 1
    dilation: int = 1
    begin: int = 0
    end: int = 0

    @property
    def first(self) -> int:
        """Offset of the first tap."""
        return -self.begin

    @property
    def last(self) -> int:
        """Offset of the last tap."""
        return (self.size - 1) * self.dilation - self.begin

    @property
    def is_point(self) -> bool:
        """Whether one tap reads the place itself, and nothing is padded."""
        return self.size == 1 and self.begin == self.end == 0

    def offsets(self) -> tuple[int, ...]:
        return tuple(i * self.dilation - self.begin for i in range(self.size))


@dataclass(frozen=True)
class LinearMap:
    """A map from `inputs` to `outputs` channels.

    weight  (outputs, inputs / groups, *sizes of the axes)
    bias    (outputs,), or None
    """

    axes: tuple[Axis, ...]
    inputs: int
    outputs: int
    groups: int
    weight: Param
    bias: Param | None = None

    @property
    def is_pointwise(self) -> bool:
        """Whether it reads each place alone, at stride 1 or more."""
        return all(axis.is_point for axis in self.axes)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(axis.stride for axis in self.axes)

    @property
    def is_padded(self) -> bool:
        return any(axis.begin or axis.end for axis in self.axes)

    def has_bias(self) -> bool:
        """Whether a bias is there that is not 0 throughout. Its numbers are looked at."""
        return self.bias is not None and bool(self.bias.evaluate().any())

    def conv(self) -> Conv:
        """The convolution that computes it."""
        return Conv(
            out=self.outputs,
            kernel=tuple(axis.size for axis in self.axes),
            stride=self.strides,
            padding=(*(axis.begin for axis in self.axes), *(axis.end for axis in self.axes)),
            dilation=tuple(axis.dilation for axis in self.axes),
            groups=self.groups,
            bias=self.bias is not None,
        )


def from_conv(op: Conv, inputs: int, weight: Param, bias: Param | None) -> LinearMap | Why:
    """A bound convolution as a map."""
    if op.padding_mode != "zeros":
        return Why(f"it pads with {op.padding_mode} values, not with zeros")
    if not isinstance(op.padding, tuple):
        return Why(f"its padding {op.padding} depends on a dynamic size")
    window, pads = op.window(), op.padding
    rank = len(window.kernel)
    rows = zip(window.kernel, window.stride, window.dilation, pads[:rank], pads[rank:], strict=True)
    assert op.out is not None
    return LinearMap(tuple(Axis(*row) for row in rows), inputs, op.out, op.groups, weight, bias)


def identity(channels: int, rank: int) -> LinearMap:
    """y = x on maps with `rank` spatial axes."""
    return LinearMap((Axis(),) * rank, channels, channels, channels, constant(1.0, (channels, 1, *[1] * rank)))


def per_channel(scale: Param, shift: Param | None, rank: int) -> LinearMap:
    """y[c] = scale[c] x[c] + shift[c]: a batch norm in inference, a layer scale."""
    channels = scale.shape[0]
    weight = scale.reshape(channels, 1, *[1] * rank)
    return LinearMap((Axis(),) * rank, channels, channels, channels, weight, shift)


def average(channels: int, axes: Sequence[Axis]) -> LinearMap:
    """The mean of each window, padding counted."""
    sizes = [axis.size for axis in axes]
    return LinearMap(tuple(axes), channels, channels, channels, constant(1.0 / prod(sizes), (channels, 1, *sizes)))


def scaled(one: LinearMap, factor: float) -> LinearMap:
    """factor * map."""
    bias = None if one.bias is None else one.bias * factor
    return replace(one, weight=one.weight * factor, bias=bias)


def widened(weight: NDArray[Any], groups: int, wanted: int) -> NDArray[Any]:
    """(out, C / groups, *k) as the same map with fewer groups: (out, C / wanted, *k), zeros where groups did not meet."""
    import numpy as np

    values = np.asarray(weight, np.float64)
    if groups == wanted:
        return values
    out, each = values.shape[:2]
    result = np.zeros((out, each * groups // wanted, *values.shape[2:]))
    rows, per_wanted = out // groups, groups // wanted
    for group in range(groups):
        start = group % per_wanted * each
        result[group * rows : (group + 1) * rows, start : start + each] = values[group * rows : (group + 1) * rows]
    return result
