"""Single layers with random arguments: what any graph is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convc.compiler.errors import ShapeError
from tests.fuzz.sketch import Sketch

Piece = Callable[[Sketch, str], str]

CURVES = (
    "relu", "relu6", "sigmoid", "tanh", "silu", "mish", "hardswish", "softplus", "leaky_relu", "elu", "gelu",
    "hardsigmoid", "prelu",
)  # fmt: skip


def widths(s: Sketch) -> int:
    return s.one([2, 3, 4, 4, 6, 8])


def divisor(s: Sketch, channels: int, *others: int) -> int:
    """A group count that divides all."""
    return s.one([g for g in range(1, channels + 1) if not any(n % g for n in (channels, *others))])


def pads(s: Sketch, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """Half the kernel mostly; else none, or other numbers at every end."""
    half = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    luck = s.random.random()
    if luck < 0.55:
        return half * 2
    if luck < 0.8:
        return (0,) * (2 * len(kernel))
    return tuple(s.one([0, 1, 2]) for _ in range(2 * len(kernel)))


def kernel(s: Sketch, x: str) -> tuple[int, ...]:
    if s.chance(0.3):
        return tuple(s.one([1, 2, 3, 3, 5]) for _ in range(s.axes(x)))
    return (s.one([1, 1, 3, 3, 5]),) * s.axes(x)


def conv(s: Sketch, x: str, **given: Any) -> str:
    """Any convolution; arguments that are given stand."""
    size = given.pop("kernel", None) or kernel(s, x)
    spread = given.pop("dilation", None) or s.one([1, 1, 1, 2])
    out = given.pop("out", None) or widths(s)
    chosen: dict[str, Any] = {
        "kernel": size,
        "stride": s.one([1, 1, 1, 2]),
        "dilation": spread,
        "bias": s.chance(0.6),
        "groups": divisor(s, s.channels(x), out) if s.chance(0.3) else 1,
        "padding": pads(s, size, (spread,) * len(size)),
    }
    if s.chance(0.04) and s.static(x):
        chosen["padding_mode"] = s.one(["reflect", "replicate", "circular"])
    return s.put("conv", x, out=out, **(chosen | given))


def depthwise(s: Sketch, x: str, **given: Any) -> str:
    times = s.one([1, 1, 1, 2])
    return conv(s, x, out=times * s.channels(x), groups=s.channels(x), **given)


def pointwise(s: Sketch, x: str, **given: Any) -> str:
    return conv(s, x, **({"kernel": (1,) * s.axes(x), "padding": 0, "stride": 1} | given))


def conv_transpose(s: Sketch, x: str) -> str:
    if s.least(x) > 12:
        raise ShapeError("large enough")
    out = widths(s)
    stride = s.one([1, 2, 2, 3])
    return s.put(
        "conv_transpose", x, out=out, kernel=s.one([1, 2, 3, 4]), stride=stride, padding=s.one([0, 0, 1]),
        output_padding=s.one([0, 0, stride - 1]), dilation=s.one([1, 1, 2]), bias=s.chance(0.6),
        groups=divisor(s, s.channels(x), out) if s.chance(0.3) else 1,
    )  # fmt: skip


def batch_norm(s: Sketch, x: str) -> str:
    return s.put("batch_norm", x, eps=s.one([1e-5, 1e-3, 0.1]), scale=s.chance(0.9), shift=s.chance(0.9))


def other_norm(s: Sketch, x: str) -> str:
    kind = s.one(["layer_norm", "layer_norm", "group_norm", "instance_norm"])
    more: dict[str, Any] = {"groups": divisor(s, s.channels(x))} if kind == "group_norm" else {}
    # An instance of one element would be its own mean, and the quotient rounding.
    if kind == "instance_norm" or (kind == "group_norm" and s.channels(x) == more["groups"]):
        if s.least(x) < 3:
            raise ShapeError("too few elements to normalise")
    elif s.channels(x) < 3:
        raise ShapeError("too few channels to normalise")
    return s.put(kind, x, eps=s.one([1e-2, 0.1]), scale=s.chance(0.9), shift=s.chance(0.9), **more)


def curve(s: Sketch, x: str) -> str:
    name = s.one(CURVES + ("relu",) * 5)
    return s.put(name, x, slope=0.2) if name == "leaky_relu" else s.put(name, x)


def max_pool(s: Sketch, x: str) -> str:
    size = s.one([1, 2, 3])
    return s.put("max_pool", x, kernel=size, stride=s.one([1, 2, 2]), padding=s.one([0, size // 2]), ceil=s.chance(0.3))


def avg_pool(s: Sketch, x: str) -> str:
    size = s.one([1, 2, 3, 3])
    return s.put(
        "avg_pool", x, kernel=size, stride=s.one([1, 1, 2]), padding=s.one([0, 0, size // 2]), ceil=s.chance(0.2),
        count_include_pad=s.chance(0.6),
    )  # fmt: skip


def passing(s: Sketch, x: str) -> str:
    name = s.one(["identity", "dropout", "drop_path", "flatten", "transpose", "concat", "slice"])
    arguments: dict[str, dict[str, Any]] = {
        "drop_path": {"p": 0.1},
        "flatten": {"start": s.type(x).rank - 1},
        "transpose": {"perm": tuple(range(s.type(x).rank))},
        "slice": {"axis": s.one(range(s.type(x).rank))},
    }
    return s.put(name, x, **arguments.get(name, {}))


def resize(s: Sketch, x: str) -> str:
    if s.least(x) > 8:
        raise ShapeError("large enough")
    mode = s.one(["nearest", "nearest", "linear", "linear"] + ["cubic"] * (s.axes(x) == 2))
    return s.put(
        "resize", x, scale=(s.one([2.0, 2.0, 3.0, 1.5]),), mode=mode, align_corners=mode == "linear" and s.chance(0.3)
    )


def pixel_shuffle(s: Sketch, x: str) -> str:
    if s.least(x) > 8:
        raise ShapeError("large enough")
    return s.put("pixel_shuffle", x, factor=2)


def pad(s: Sketch, x: str) -> str:
    count = s.axes(x)
    if s.chance(0.1):
        return s.put("pad", x, padding=(s.one([0, 1]), 1), axes=(1,))
    amounts = tuple(s.one([0, 1, 1, 2]) for _ in range(2 * count)) if s.chance(0.4) else (1,)
    luck = s.random.random()
    if luck < 0.7 or not s.static(x):
        return s.put("pad", x, padding=amounts)
    return s.put("pad", x, padding=amounts, **({"value": -1.5} if luck < 0.85 else {"mode": "reflect"}))


def crop(s: Sketch, x: str) -> str:
    axis = s.one(range(2, s.axes(x) + 2))
    return s.put("slice", x, axis=axis, start=s.one([0, 1]), end=s.one([None, -1]), step=s.one([1, 1, 2]))


LAYERS: tuple[tuple[int, Piece], ...] = (
    (8, conv), (3, depthwise), (4, pointwise), (2, conv_transpose), (6, batch_norm), (2, other_norm), (6, curve),
    (2, max_pool), (3, avg_pool), (3, passing), (2, resize), (1, pixel_shuffle), (2, pad), (1, crop),
)  # fmt: skip
