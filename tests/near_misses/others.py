"""Pads, permutations, shared weights, gates, dead channels: and what only resembles them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.near_misses.case import Held, NearMiss, reading
from tests.near_misses.formulas import behind, norm

IMAGE = "input x: [N, 4, 8, 8]"


def pads() -> Iterator[NearMiss]:
    for why, pad, taken in (
        ("of ones", "padding=1, value=1.0", "padding=1"), ("reflected", "padding=1, mode=reflect", "padding=1"),
        ("replicated", "padding=1, mode=replicate", "padding=1"), ("circular", "padding=1, mode=circular", "padding=1"),
        ("barely not 0", "padding=1, value=0.001", "padding=1"),
        ("of ones at one end", "padding=[0, 0, 2, 0], value=1.0", "padding=[0, 0, 2, 0]"),
    ):  # fmt: skip
        yield NearMiss(
            "pad into the conv", why, f"{IMAGE}\na = pad(x, {pad})\ny = conv(a, padding=0)", f"{IMAGE}\ny = conv(x, {taken})",
            lambda p: {},
        )  # fmt: skip
    for mode in ("reflect", "replicate", "circular"):
        yield NearMiss(
            "pad into the conv", f"whose border is {mode}", f"{IMAGE}\na = pad(x, padding=1)\ny = conv(a, padding_mode={mode})",
            f"{IMAGE}\ny = conv(x, padding=2, padding_mode={mode})", lambda p: {},
        )  # fmt: skip
    for why, pad, pool in (
        ("max pool", "padding=1", "max_pool({}, kernel=3, stride=2, padding={})"),
        ("max pool of stride 1", "padding=1", "max_pool({}, kernel=2, stride=1, padding={})"),
        (
            "avg pool that does not count",
            "padding=1",
            "avg_pool({}, kernel=3, stride=2, padding={}, count_include_pad=false)",
        ),
        ("avg pool, of ones", "padding=1, value=1.0", "avg_pool({}, kernel=3, stride=2, padding={})"),
        ("avg pool, reflected", "padding=1, mode=reflect", "avg_pool({}, kernel=3, stride=2, padding={})"),
    ):
        yield NearMiss(
            "pad into the pool", why, f"{IMAGE}\na = pad(x, {pad})\ny = {pool.format('a', 0)}",
            f"{IMAGE}\ny = {pool.format('x', 1)}", lambda p: {},
        )  # fmt: skip
    yield NearMiss(
        "pad into the conv", "a relu of ones between", f"{IMAGE}\na = pad(x, padding=1)\nb = sigmoid(a)\ny = conv(b, padding=0)",
        f"{IMAGE}\nb = sigmoid(x)\ny = conv(b)", lambda p: {},
    )  # fmt: skip
    yield NearMiss(
        "pad into the pad", "another value", f"{IMAGE}\na = pad(x, padding=1)\ny = pad(a, padding=1, value=1.0)",
        f"{IMAGE}\ny = pad(x, padding=2)", lambda p: {},
    )  # fmt: skip


def permutations() -> Iterator[NearMiss]:
    twelve = "input x: [N, 12, 5, 5]"
    for first, second in ((2, 2), (2, 3), (2, 4), (3, 2), (3, 3), (3, 6), (4, 4), (6, 6), (6, 4)):
        yield NearMiss(
            "shuffle against its inverse", f"{first} then {second}",
            f"{twelve}\na = channel_shuffle(x, groups={first})\nb = relu(a)\ny = channel_shuffle(b, groups={second})",
            f"{twelve}\ny = relu(x)", lambda p: {},
        )  # fmt: skip
    for groups, conv in ((2, 3), (3, 2), (3, 3), (4, 2), (6, 4)):
        yield NearMiss(
            "shuffle into the grouped conv", f"{groups}, conv in {conv}",
            f"{twelve}\na = channel_shuffle(x, groups={groups})\ny = conv(a, kernel=1, groups={conv})",
            f"{twelve}\ny = conv(x, kernel=1, groups={conv})", lambda p: {},
        )  # fmt: skip
    for why, lines in (
        ("halves swapped", "a = slice(x, end=2)\nb = slice(x, start=2)\ny = concat(b, a)"),
        ("one channel twice", "a = slice(x, end=2)\nb = slice(x, start=1, end=3)\ny = concat(a, b)"),
        ("two swapped", "y = gather(x, indices=[0, 2, 1, 3])"), ("backwards", "y = gather(x, indices=[3, 2, 1, 0])"),
        ("one channel for all", "y = gather(x, indices=[0, 1, 2, 2])"),
        ("rows for columns", "y = transpose(x, perm=[0, 1, 3, 2])"),
        ("a turn and a turn", "a = transpose(x, perm=[0, 2, 3, 1])\nb = relu(a)\ny = transpose(b, perm=[0, 3, 2, 1])"),
        ("split along the rows", "a = slice(x, axis=2, end=4)\nb = slice(x, axis=2, start=4)\ny = concat(b, a, axis=2)"),
        ("every other, then the rest", "a = slice(x, step=2)\nb = slice(x, start=1, step=2)\ny = concat(a, b)"),
        ("pool of one element with a stride", "a = max_pool(x, kernel=1, stride=2)\ny = resize(a, scale=2)"),
    ):  # fmt: skip
        yield NearMiss("nothing at all", why, f"{IMAGE}\nr = relu(x)\n{lines.replace('(x', '(r')}", f"{IMAGE}\nr = relu(x)",
                       lambda p: {})  # fmt: skip
    yield NearMiss(
        "shuffle spelled out", "rows move along", f"{IMAGE}\na = reshape(x, shape=[0, 2, 2, 8, 8])\n"
        "b = transpose(a, perm=[0, 2, 1, 4, 3])\ny = reshape(b, shape=[0, 4, 8, 8])",
        f"{IMAGE}\ny = channel_shuffle(x, groups=2)", lambda p: {},
    )  # fmt: skip
    yield NearMiss(
        "shuffle spelled out", "another grouping comes back", f"{IMAGE}\na = reshape(x, shape=[0, 2, 2, 8, 8])\n"
        "b = transpose(a, perm=[0, 1, 2, 4, 3])\ny = reshape(b, shape=[0, 4, 8, 8])",
        f"{IMAGE}\ny = channel_shuffle(x, groups=2)", lambda p: {},
    )  # fmt: skip


def shared_weights() -> Iterator[NearMiss]:
    """What is folded into a weight for one reader must not reach the other."""
    for why, first, second, share in (
        ("weight of a second conv", "conv(x)", "conv(x)", "weight=a.weight, bias=a.bias"),
        ("weight alone", "conv(x)", "conv(x)", "weight=a.weight"), ("bias alone", "conv(x)", "conv(x)", "bias=a.bias"),
        ("depthwise", "conv(x, groups=4)", "conv(x, groups=4)", "weight=a.weight, bias=a.bias"),
        ("transposed", "conv_transpose(x)", "conv_transpose(x)", "weight=a.weight, bias=a.bias"),
        ("another stride", "conv(x)", "conv(x, stride=2)", "weight=a.weight, bias=a.bias"),
        ("another dilation", "conv(x)", "conv(x, dilation=2)", "weight=a.weight"),
    ):  # fmt: skip
        tail = "output y = y\noutput z = r"
        yield NearMiss(
            "batch norm into a shared conv", why,
            f"{IMAGE}\na = {first}\nb = {second} with {share}\nr = relu(b)\ny = batch_norm(a)\n{tail}",
            f"{IMAGE}\ny = {first}\nb = {second} with {share.replace('a.', 'y.')}\nr = relu(b)\n{tail}",
            lambda p: behind(p, "a", *norm(p, "y"), to="y"),
        )  # fmt: skip
    for why, reader in (
        ("a relu", "r = relu(a)\noutput z = r"), ("an output", "output z = a"), ("a sum", "r = add(a, y)\noutput z = r"),
        ("another batch norm", "r = batch_norm(a)\noutput z = r"), ("a pool", "r = global_avg_pool(a)\noutput z = r"),
    ):  # fmt: skip
        careless = reading(reader, "a", "y")
        yield NearMiss(
            "batch norm into a conv with two readers", why, f"{IMAGE}\na = conv(x)\ny = batch_norm(a)\n{reader}\noutput y = y",
            f"{IMAGE}\ny = conv(x)\n{careless}\noutput y = y", lambda p: behind(p, "a", *norm(p, "y"), to="y"),
        )  # fmt: skip


def gates() -> Iterator[NearMiss]:
    """A factor per channel that is computed from the input is no constant: at another input it would be another."""
    for why, lines in (
        ("sigmoid of the mean", "g = global_avg_pool(x, keepdims=true)\nh = sigmoid(g)"),
        ("of the conv itself", "g = global_avg_pool(c, keepdims=true)\nh = sigmoid(g)"),
        ("linear", "g = global_avg_pool(x, keepdims=true)\nh = conv(g, kernel=1)"),
        ("the largest", "h = global_max_pool(x, keepdims=true)"),
    ):  # fmt: skip
        yield NearMiss(
            "factor into the conv", why, f"{IMAGE}\nc = conv(x)\n{lines}\ny = mul(c, h)", f"{IMAGE}\nc = conv(x)",
            lambda p: behind(p, "c", np.full(4, 0.5), 0.0),
        )  # fmt: skip


def dead_channels() -> Iterator[NearMiss]:
    """Channels that nobody reads in the end were read on the way."""
    for why, call in (
        ("softmax", "softmax(a)"), ("layer norm", "layer_norm(a, scale=false, shift=false)"),
        ("group norm", "group_norm(a, groups=1, scale=false, shift=false)"), ("lrn", "lrn(a, size=3, alpha=1.0)"),
        ("mean of all", "add(a, m)"), ("shuffle", "channel_shuffle(a, groups=3)"),
        ("backwards", "gather(a, indices=[5, 4, 3, 2, 1, 0])"),
    ):  # fmt: skip
        mean = "m = reduce_mean(a, axes=[1])\n" if "m)" in call else ""
        kept = "relu(a)" if why in ("shuffle", "backwards") else call
        yield NearMiss(
            "conv of fewer channels", why, f"{IMAGE}\na = conv(x, out=6)\n{mean}b = {call}\ny = slice(b, end=3)",
            f"{IMAGE}\na = conv(x, out=3)\n{mean}y = {kept}", _first_three,
        )  # fmt: skip
    for why, curve in (("sigmoid", "sigmoid"), ("softplus", "softplus"), ("hardsigmoid", "hardsigmoid")):
        yield NearMiss(
            "channels of zeros", f"{why} of 0 is not 0", f"{IMAGE}\nk = constant(value=[[[0.0]], [[0.0]], [[1.0]], [[1.0]]])\n"
            f"a = mul(x, k)\nb = {curve}(a)\ny = conv(b, out=3, kernel=1)",
            f"{IMAGE}\na = slice(x, start=2)\nb = {curve}(a)\ny = conv(b, out=3, kernel=1)",
            lambda p: {"y.weight": p["y.weight"][:, 2:]},
        )  # fmt: skip


def _first_three(p: Held) -> dict[str, np.ndarray]:
    return {"a.weight": p["a.weight"][:3], "a.bias": p["a.bias"][:3]}


def near_misses() -> Iterator[NearMiss]:
    for family in (pads, permutations, shared_weights, gates, dead_channels):
        yield from family()
