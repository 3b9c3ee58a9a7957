"""Per-channel affine maps next to what does not take them in: padded borders, curves, other axes, other readers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.near_misses.case import Formula, Held, NearMiss
from tests.near_misses.formulas import before, behind, norm

IMAGE = "input x: [N, 4, 7, 7]"

# A border of zeros stands for `x = 0`, where the affine map would have put its offset.
PADDED = (
    ("3 x 3", "conv(a, out=5)", 1),
    ("5 x 5", "conv(a, out=5, kernel=5)", 1),
    ("1 x 1 with a pad", "conv(a, out=5, kernel=1, padding=1)", 1),
    ("one pad at one end", "conv(a, out=5, padding=[0, 1, 0, 0])", 1),
    ("stride 2", "conv(a, out=5, stride=2)", 1),
    ("dilation 2", "conv(a, out=5, dilation=2)", 1),
    ("same_upper", "conv(a, out=5, kernel=4, stride=3, padding=same_upper)", 1),
    ("groups 2", "conv(a, out=6, groups=2)", 2),
    ("depthwise", "conv(a, out=4, groups=4)", 4),
)

# Each with the factor and offset it stands for.
MAPS = (
    ("batch norm", "a = batch_norm(x)"),
    ("sum", "c = parameter(shape=[4, 1, 1])\na = add(x, c)"),
    ("standardised", "m = parameter(shape=[4, 1, 1])\nd = parameter(shape=[4, 1, 1])\nb = sub(x, m)\na = div(b, d)"),
)


def padded_borders() -> Iterator[NearMiss]:
    for map_, lines in MAPS:
        for why, call, groups in PADDED:
            yield NearMiss(
                f"{map_} into the next conv", why, f"{IMAGE}\n{lines}\ny = {call}",
                f"{IMAGE}\ny = {call.replace('(a', '(x')}", _folded(map_, groups),
            )  # fmt: skip


def _folded(map_: str, groups: int) -> Formula:
    def formula(p: Held) -> dict[str, np.ndarray]:
        if map_ == "batch norm":
            factor, offset = norm(p, "a")
        elif map_ == "sum":
            factor, offset = np.ones(4), p["c.value"].ravel()
        else:
            factor = 1 / p["d.value"].ravel()
            offset = -p["m.value"].ravel() * factor
        return dict(before(p, "y", factor, offset, groups))

    return formula


CURVES = ("relu", "relu6", "sigmoid", "tanh", "silu", "hardswish", "gelu", "elu", "softplus", "mish", "leaky_relu")


def behind_curves() -> Iterator[NearMiss]:
    """conv -> curve -> batch norm is no conv -> curve."""
    for name in CURVES:
        yield NearMiss(
            "batch norm past a curve", name, f"{IMAGE}\nc = conv(x, out=5)\na = {name}(c)\ny = batch_norm(a)",
            f"{IMAGE}\nc = conv(x, out=5)\ny = {name}(c)", lambda p: behind(p, "c", *norm(p, "y")),
        )  # fmt: skip
    for name in CURVES[1:10]:
        # Positive factors pass a relu, and a leaky one, but no other.
        text = f"c = conv(x, out=3)\na = {name}(c)\nk = constant(value=[[[0.5]], [[2.0]], [[3.0]]])\ny = mul(a, k)"
        yield NearMiss(
            "positive factor past a curve", name, f"{IMAGE}\n{text}", f"{IMAGE}\nc = conv(x, out=3)\ny = {name}(c)",
            lambda p: behind(p, "c", np.array([0.5, 2.0, 3.0]), 0.0),
        )  # fmt: skip


# Between a conv and its batch norm: what does not treat all places, or all numbers of a channel, alike.
BETWEEN = (
    ("max pool", "max_pool(c, kernel=2)"),
    ("max pool with pads", "max_pool(c, kernel=3, stride=1, padding=1)"),
    ("global max pool", "global_max_pool(c, keepdims=true)"),
    ("avg pool that counts its padding", "avg_pool(c, kernel=3, stride=1, padding=1)"),
    ("strided avg pool that counts its padding", "avg_pool(c, kernel=3, stride=2, padding=1)"),
    ("zero pad", "pad(c, padding=1)"),
    ("pad of ones", "pad(c, padding=1, value=1.0)"),
    ("pad at one end", "pad(c, padding=[0, 0, 1, 0])"),
    ("layer norm", "layer_norm(c, scale=false, shift=false)"),
    ("group norm", "group_norm(c, groups=1, scale=false, shift=false)"),
    ("softmax", "softmax(c)"),
    ("absolute value", "abs(c)"),
)


def behind_windows() -> Iterator[NearMiss]:
    for why, call in BETWEEN:
        yield NearMiss(
            "batch norm past a layer", why, f"{IMAGE}\nc = conv(x, out=5)\na = {call}\ny = batch_norm(a)",
            f"{IMAGE}\nc = conv(x, out=5)\ny = {call}", lambda p: behind(p, "c", *norm(p, "y")),
        )  # fmt: skip


def transposed() -> Iterator[NearMiss]:
    """Each output of a transposed convolution gets another number of taps: an offset before it is none behind it."""
    for why, arguments in (
        ("stride 2", "kernel=3"), ("stride 3", "kernel=2, stride=3"), ("stride 1", "kernel=3, stride=1"),
        ("with a crop", "kernel=4, padding=1"), ("output padding", "kernel=2, output_padding=1"),
    ):  # fmt: skip
        yield NearMiss(
            "batch norm into the next conv_transpose", why,
            f"{IMAGE}\na = batch_norm(x)\ny = conv_transpose(a, out=5, {arguments})",
            f"{IMAGE}\ny = conv_transpose(x, out=5, {arguments})", _into_transposed,
        )  # fmt: skip


def _into_transposed(p: Held) -> dict[str, np.ndarray]:
    factor, offset = norm(p, "a")
    weight = p["y.weight"]
    bias = p["y.bias"] + (weight * offset.reshape(-1, 1, 1, 1)).sum((0, 2, 3))
    return {"y.weight": weight * factor.reshape(-1, 1, 1, 1), "y.bias": bias}


# A factor along the width, where there are as many columns as channels.
ALONG = (
    ("behind a conv", "c = conv(x, out=7)\nk = parameter(shape=[7])\ny = mul(c, k)"),
    ("behind a 1 x 1", "c = conv(x, out=7, kernel=1)\nk = parameter(shape=[7])\ny = mul(k, c)"),
    ("along the height", "c = conv(x, out=7)\nk = parameter(shape=[7, 1])\ny = mul(c, k)"),
    ("with leading ones", "c = conv(x, out=7)\nk = parameter(shape=[1, 1, 1, 7])\ny = mul(c, k)"),
    ("behind a conv_transpose", "c = conv_transpose(x, out=14)\nk = parameter(shape=[14])\ny = mul(c, k)"),
)


def along_another_axis() -> Iterator[NearMiss]:
    for why, lines in ALONG:
        first = lines.splitlines()[0]
        yield NearMiss(
            "factor per column into the conv", why, f"{IMAGE}\n{lines}", f"{IMAGE}\n{first.replace('c =', 'y =')}",
            lambda p: _scaled(p),
        )  # fmt: skip
    text = "input x: [N, 5, 3]\nc = linear(x, out=5)\ny = {}"
    yield NearMiss(
        "batch norm into linear", "features are not on axis 1", text.format("batch_norm(c)"),
        "input x: [N, 5, 3]\ny = linear(x, out=5)", lambda p: behind(p, "c", *norm(p, "y"), to="y"),
    )  # fmt: skip
    yield NearMiss(
        "offset per column into the conv", "as many as channels",
        f"{IMAGE}\nc = conv(x, out=7)\nk = parameter(shape=[7])\ny = add(c, k)", f"{IMAGE}\ny = conv(x, out=7)",
        lambda p: behind(p, "c", np.ones(7), p["k.value"], to="y"),
    )  # fmt: skip


def _scaled(p: Held) -> dict[str, np.ndarray]:
    factor = p["k.value"].ravel()
    weight = p["c.weight"]
    if weight.shape[1] == len(factor):  # a transposed one: outputs are axis 1
        return {"y.weight": weight * factor.reshape(1, -1, 1, 1), "y.bias": p["c.bias"] * factor}
    return dict(behind(p, "c", factor, 0.0, to="y"))


# The affine part of a norm, and a conv whose border, or whose curve, stands in between.
NORMED = (
    ("3 x 3", "y = conv(a, out=5)", ""),
    ("1 x 1 with a pad", "y = conv(a, out=5, kernel=1, padding=1)", ""),
    ("relu between", "r = relu(a)\ny = conv(r, out=5, kernel=1)", "r = relu(a)\n"),
    ("zero pad between", "r = pad(a, padding=1)\ny = conv(r, out=5, kernel=1)", "r = pad(a, padding=1)\n"),
    ("max pool between", "r = max_pool(a, kernel=2)\ny = conv(r, out=5, kernel=1)", "r = max_pool(a, kernel=2)\n"),
)


def norms() -> Iterator[NearMiss]:
    for kind in ("layer_norm(x{})", "group_norm(x, groups=2{})"):
        for why, lines, kept in NORMED:
            bare = kind.format(", scale=false, shift=false")
            yield NearMiss(
                f"affine of {kind.split('(')[0]} into the next conv", why,
                f"{IMAGE}\na = {kind.format('')}\n{lines}",
                f"{IMAGE}\na = {bare}\n{kept}{lines.splitlines()[-1]}",
                lambda p: before(p, "y", p["a.weight"], p["a.bias"]),
            )  # fmt: skip


def near_misses() -> Iterator[NearMiss]:
    yield from padded_borders()
    yield from behind_curves()
    yield from behind_windows()
    yield from transposed()
    yield from along_another_axis()
    yield from norms()
