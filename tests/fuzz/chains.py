"""Linear maps one after the other, permutations, pads, strides: what composes, and what must stay apart."""

from __future__ import annotations

from convc.compiler.errors import ShapeError
from tests.fuzz.layers import (
    Piece,
    avg_pool,
    batch_norm,
    conv,
    curve,
    depthwise,
    divisor,
    max_pool,
    pad,
    pixel_shuffle,
    pointwise,
    resize,
    widths,
)
from tests.fuzz.sketch import Sketch


def linear_pair(s: Sketch, x: str) -> str:
    """Two convolutions with nothing between, of which one is a 1 x 1 mostly; a border, a bias, a reader more or less."""
    first = s.one([pointwise, pointwise, conv, depthwise])
    second = s.one([pointwise, conv, depthwise] if first is not conv else [pointwise, pointwise, depthwise, conv])
    y = first(s, x)
    if s.chance(0.1):
        y = curve(s, y)
    z = second(s, y)
    if s.chance(0.1) and s.type(y).spatial == s.type(z).spatial:
        return s.put("concat", y, z)
    return z


def strided_pair(s: Sketch, x: str) -> str:
    """A layer whose positions are read by a stride of 1 x 1 windows alone."""
    axes = s.axes(x)
    y = s.one([conv, depthwise])(s, x, stride=1, kernel=(3,) * axes, dilation=1)
    y = curve(s, batch_norm(s, y)) if s.chance(0.6) else y
    if s.chance(0.3):
        z = x if s.type(x) == s.type(y) else y
        y = s.put("relu", s.put("add", y, z))
    readers = [pointwise(s, y, stride=2, padding=s.one([0, 0, 0, 1])) for _ in range(s.one([1, 1, 2]))]
    if s.chance(0.3):
        readers.append(s.put("max_pool", y, kernel=1, stride=2))
    fits = [r for r in readers if s.type(r).spatial == s.type(readers[0]).spatial]
    return s.put("concat", *fits) if len(fits) > 1 else readers[0]


def permuted(s: Sketch, x: str) -> str:
    """Channels in another order, as an operator, a gather, or three rearrangements; perhaps back again; perhaps into a conv."""
    channels = s.channels(x)
    groups = divisor(s, channels)
    y = s.one([_shuffle, _shuffle, _gather, _spelled])(s, x, groups)
    for _ in range(s.one([0, 0, 1, 2])):
        y = s.one([curve, batch_norm, avg_pool, depthwise])(s, y)
    if s.chance(0.4) and s.channels(y) == channels:
        # The inverse, or another.
        y = _shuffle(s, y, channels // groups if s.chance(0.7) else divisor(s, channels))
    if s.chance(0.5):
        y = conv(s, y)
    return y


def _shuffle(s: Sketch, x: str, groups: int) -> str:
    return s.put("channel_shuffle", x, groups=groups)


def _gather(s: Sketch, x: str, groups: int) -> str:
    """Any order; now and then a channel twice, or not at all."""
    channels = s.channels(x)
    if s.chance(0.3):
        return s.put("gather", x, indices=tuple(s.random.choices(range(channels), k=widths(s))))
    return s.put("gather", x, indices=tuple(s.random.sample(range(channels), channels)))


def _spelled(s: Sketch, x: str, groups: int) -> str:
    """reshape, transpose, reshape."""
    batch, channels, *spatial = s.type(x).shape
    assert isinstance(channels, int)
    rest = range(3, 3 + len(spatial))
    y = s.put("reshape", x, shape=(batch, groups, channels // groups, *spatial))
    y = s.put("transpose", y, perm=(0, 2, 1, *rest))
    return s.put("reshape", y, shape=(batch, channels, *spatial))


def padded_conv(s: Sketch, x: str) -> str:
    y = pad(s, x)
    return s.one([conv, conv, avg_pool, max_pool])(s, y)


def resized_conv(s: Sketch, x: str) -> str:
    """Upsampling or pooling beside a 1 x 1, an affine or a permutation, in either order."""
    y = s.one([resize, resize, avg_pool])(s, x)
    if s.chance(0.4):
        y = batch_norm(s, y)
    return s.one([pointwise, pointwise, conv, pixel_shuffle])(s, y)


def normed_pointwise(s: Sketch, x: str) -> str:
    """Layer norm over the channels -> 1 x 1, in NCHW or around a linear layer in NHWC."""
    if s.channels(x) < 3:
        raise ShapeError("too few channels to normalise")
    if s.chance(0.6):
        y = s.put("layer_norm", x, eps=0.01, scale=s.chance(0.9), shift=s.chance(0.9))
        return conv(s, y) if s.chance(0.3) else pointwise(s, y)
    rank = s.type(x).rank
    y = s.put("transpose", x, perm=(0, *range(2, rank), 1))
    if s.chance(0.7):
        y = s.put("layer_norm", y, axis="last", eps=0.01)
    y = s.put("linear", y, out=widths(s), bias=s.chance(0.7))
    if s.chance(0.6):
        y = curve(s, y) if s.chance(0.7) else y
        y = s.put("linear", y, out=s.channels(x), bias=s.chance(0.7))
    return s.put("transpose", y, perm=(0, rank - 1, *range(1, rank - 1)))


def dead_channels(s: Sketch, x: str) -> str:
    """A convolution of which only some channels are read."""
    y = conv(s, x, out=6, groups=1)
    y = s.one([curve, batch_norm])(s, y) if s.chance(0.6) else y
    if s.chance(0.5):
        y = s.put("slice", y, start=s.one([0, 1]), end=s.one([3, 4, 5]))
    else:
        y = s.put("gather", y, indices=tuple(s.random.sample(range(6), s.one([2, 3, 4]))))
    return conv(s, y) if s.chance(0.5) else y


def turned(s: Sketch, x: str) -> str:
    """C4 convolutions: four orientations of one weight."""
    if s.axes(x) != 2:
        raise ShapeError("images only")
    y = s.put("c4_conv", x, out=2, kind="lifting", bias=s.chance(0.5))
    y = s.put("c4_batch_norm", y) if s.chance(0.7) else y
    return s.put("c4_conv", s.put("relu", y), out=1) if s.chance(0.4) else y


def head(s: Sketch, x: str) -> str:
    """Pool, flatten, linear layers, softmax: the value is no image any more."""
    y = s.put(s.one(["global_avg_pool", "global_avg_pool", "global_max_pool"]), x)
    if s.chance(0.3):
        y = batch_norm(s, y)
    y = s.put("linear", y, out=5, bias=s.chance(0.7))
    if s.chance(0.4):
        y = s.put("linear", y if s.chance(0.5) else s.put("relu", y), out=3)
    if s.chance(0.4):
        y = batch_norm(s, y)
    return s.put("softmax", y) if s.chance(0.2) else y


def pooled_linear(s: Sketch, x: str) -> str:
    """batch norm or 1 x 1 before the global pool rather than behind it, kept as a map."""
    y = batch_norm(s, x) if s.chance(0.5) else pointwise(s, x)
    y = s.put("global_avg_pool", y, keepdims=True)
    y = pointwise(s, y)
    return s.put("add", x, y) if s.channels(x) == s.channels(y) else y


CHAINS: tuple[tuple[int, Piece], ...] = (
    (9, linear_pair), (4, strided_pair), (5, permuted), (4, padded_conv), (5, resized_conv), (3, normed_pointwise),
    (3, dead_channels), (1, turned), (2, head), (2, pooled_linear),
)  # fmt: skip
