"""Parallel branches next to what is no sum of convolutions on one grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.near_misses.case import Formula, Held, NearMiss, reading
from tests.near_misses.formulas import behind, dirac, joined, norm, stacked, summed, uniform

IMAGE = "input x: [N, 4, 8, 8]"


def _both(to: str = "y") -> Formula:
    return lambda p: summed(p, "a", "b", to=to)


def other_grids() -> Iterator[NearMiss]:
    """The kernels do not lie on one grid of the input, though the outputs are of one size."""
    for why, one, two, merged in (
        ("shifted down", "conv(x)", "conv(x, padding=[0, 1, 2, 1])", "conv(x)"),
        ("shifted up", "conv(x)", "conv(x, padding=[2, 1, 0, 1])", "conv(x)"),
        ("shifted right", "conv(x)", "conv(x, padding=[1, 2, 1, 0])", "conv(x)"),
        ("shifted by two", "conv(x)", "conv(x, padding=[1, 3, 1, -1])", ""),
        ("shifted in both", "conv(x)", "conv(x, padding=[0, 2, 2, 0])", "conv(x)"),
        ("1 x 1 shifted", "conv(x)", "conv(x, kernel=1, padding=[1, 0, -1, 0])", ""),
        ("5 x 5 shifted", "conv(x)", "conv(x, kernel=5, padding=[0, 2, 4, 2])", "conv(x, kernel=5)"),
        ("depthwise shifted", "conv(x, groups=4)", "conv(x, groups=4, padding=[2, 1, 0, 1])", "conv(x, groups=4)"),
        ("dilation 2", "conv(x)", "conv(x, dilation=2)", "conv(x)"),
        ("dilation 2 and 3", "conv(x, dilation=2)", "conv(x, dilation=3)", "conv(x, dilation=2)"),
        ("1 x 3 dilated", "conv(x)", "conv(x, kernel=[1, 3], dilation=2)", "conv(x)"),
        ("stride 2 beside a valid 5 x 5", "conv(x, kernel=5, padding=0)", "conv(x, stride=2)", "conv(x, kernel=5, padding=0)"),
        ("1 x 1 of stride 2", "conv(x, kernel=5, padding=0)", "conv(x, kernel=1, stride=2)", "conv(x, kernel=5, padding=0)"),
        ("strides along other axes", "conv(x, kernel=[5, 1], stride=[1, 2], padding=[0, 0, 0, 0])",
         "conv(x, kernel=1, stride=2)", "conv(x, kernel=[5, 1], stride=[1, 2], padding=[0, 0, 0, 0])"),
        ("border reflected", "conv(x)", "conv(x, padding_mode=reflect)", "conv(x)"),
        ("border replicated", "conv(x, padding_mode=replicate)", "conv(x)", "conv(x, padding_mode=replicate)"),
        ("border circular", "conv(x)", "conv(x, padding_mode=circular)", "conv(x)"),
        ("1 x 3 reflected", "conv(x)", "conv(x, kernel=[1, 3], padding_mode=reflect)", "conv(x)"),
    ):  # fmt: skip
        if not merged:
            continue
        yield NearMiss(
            "sum of branches", why, f"{IMAGE}\na = {one}\nb = {two}\ny = add(a, b)", f"{IMAGE}\ny = {merged}", _both()
        )


def other_joins() -> Iterator[NearMiss]:
    for join in ("max", "min", "mul", "div"):
        yield NearMiss(
            "sum of branches", f"joined by {join}", f"{IMAGE}\na = conv(x)\nb = conv(x)\ny = {join}(a, b)",
            f"{IMAGE}\ny = conv(x)", _both(),
        )  # fmt: skip
    for curve in ("relu", "relu6", "sigmoid", "tanh", "silu", "hardswish", "abs"):
        yield NearMiss(
            "sum of branches", f"{curve} in one", f"{IMAGE}\na = conv(x)\nc = conv(x, kernel=1)\nb = {curve}(c)\ny = add(a, b)",
            f"{IMAGE}\ny = conv(x)", lambda p: summed(p, "a", "c", to="y"),
        )  # fmt: skip
    yield NearMiss(
        "sum of branches", "a relu before one", f"{IMAGE}\na = conv(x)\nr = relu(x)\nb = conv(r)\ny = add(a, b)",
        f"{IMAGE}\ny = conv(x)", _both(),
    )  # fmt: skip
    two = f"{IMAGE}\ninput z: [N, 4, 8, 8]"
    for why, call in (("3 x 3", "conv(z)"), ("1 x 1", "conv(z, kernel=1)"), ("depthwise", "conv(z, groups=4)")):
        first = "conv(x, groups=4)" if "groups" in call else "conv(x)"
        yield NearMiss(
            "sum of branches", f"two inputs, {why}", f"{two}\na = {first}\nb = {call}\ny = add(a, b)",
            f"{two}\ny = {first}", _both(),
        )  # fmt: skip
    yield NearMiss(
        "sum of branches", "one from the pooled input",
        f"{IMAGE}\na = conv(x)\np = global_avg_pool(x, keepdims=true)\nb = conv(p, kernel=1)\ny = add(a, b)",
        f"{IMAGE}\ny = conv(x)", _both(),
    )  # fmt: skip
    yield NearMiss(
        "sum of branches", "one turned", f"{IMAGE}\na = conv(x)\nt = transpose(x, perm=[0, 1, 3, 2])\nb = conv(t)\ny = add(a, b)",
        f"{IMAGE}\ny = conv(x)", _both(),
    )  # fmt: skip


def read_branches() -> Iterator[NearMiss]:
    """A branch that somebody else reads as it is."""
    for why, reader in (
        ("a relu", "r = relu(b)\noutput z = r"), ("an output", "output z = b"),
        ("a product", "r = mul(b, y)\noutput z = r"), ("a pool", "r = global_avg_pool(b)\noutput z = r"),
    ):  # fmt: skip
        careless = reading(reader, "b", "y")
        yield NearMiss(
            "sum of branches", f"{why} reads one", f"{IMAGE}\na = conv(x)\nb = conv(x)\ny = add(a, b)\n{reader}\noutput y = y",
            f"{IMAGE}\ny = conv(x)\n{careless}\noutput y = y", _both(),
        )  # fmt: skip


def nested() -> Iterator[NearMiss]:
    """No sum of sums: something bends or multiplies between the two, or somebody else reads the inner one."""
    head, short = f"{IMAGE}\na = conv(x)\ns = relu(x)\n", "b = conv(x)\n"
    for why, lines, reader in (
        ("a curve between", "p = add(a, s)\nc = tanh(p)\ny = add(c, b)", ""),
        ("a gate between", "p = add(a, s)\nc = sigmoid(p)\ny = sub(b, c)", ""),
        ("a product within", "p = mul(a, s)\ny = add(p, b)", ""),
        ("a maximum within", "p = max(a, s)\ny = add(p, b)", ""),
        ("a product without", "p = add(a, s)\ny = mul(p, b)", ""),
        ("a quotient without", "p = add(a, s)\ny = div(p, b)", ""),
        ("an output within", "p = add(a, s)\ny = add(p, b)", "output p = p\noutput y = y"),
        ("the inner one is read", "p = add(a, s)\ny = add(p, b)", "w = relu(p)\noutput w = w\noutput y = y"),
    ):  # fmt: skip
        left = lines.replace("b, ", "").replace(", b", "")
        yield NearMiss(
            "sum of sums", why, f"{head}{short}{lines}\n{reader}", f"{head}{left}\n{reader}",
            lambda p: summed(p, "a", "b", to="a"),
        )  # fmt: skip


def identities() -> Iterator[NearMiss]:
    """What is added is not quite the input."""
    for why, branch in (
        ("relu", "relu(x)"), ("shuffled", "channel_shuffle(x, groups=2)"), ("turned", "transpose(x, perm=[0, 1, 3, 2])"),
        ("max pool", "max_pool(x, kernel=3, stride=1, padding=1)"), ("normed", "layer_norm(x)"),
        ("another channel order", "gather(x, indices=[1, 0, 2, 3])"), ("gated", "sigmoid(x)"),
    ):  # fmt: skip
        yield NearMiss(
            "identity into the conv", why, f"{IMAGE}\na = conv(x)\nb = {branch}\ny = add(a, b)", f"{IMAGE}\ny = conv(x)",
            lambda p: {"y.weight": p["a.weight"] + dirac(4, (3, 3)), "y.bias": p["a.bias"]},
        )  # fmt: skip
    yield NearMiss(
        "identity into the conv", "across a relu", f"{IMAGE}\na = conv(x)\nr = relu(a)\ny = add(r, x)",
        f"{IMAGE}\na = conv(x)\ny = relu(a)", lambda p: {"a.weight": p["a.weight"] + dirac(4, (3, 3))},
    )  # fmt: skip
    yield NearMiss(
        "identity into the conv", "product", f"{IMAGE}\na = conv(x)\ny = mul(a, x)", f"{IMAGE}\ny = conv(x)",
        lambda p: {"y.weight": p["a.weight"] + dirac(4, (3, 3)), "y.bias": p["a.bias"]},
    )  # fmt: skip


# A pool as a kernel of 1 / 9 in the sum: padding that does not count, a bias that the border thins.
POOLS = (
    ("padding does not count", "avg_pool(x, kernel=3, stride=1, padding=1, count_include_pad=false)"),
    ("maximum", "max_pool(x, kernel=3, stride=1, padding=1)"),
    ("shifted", "avg_pool(p, kernel=3, stride=1)"),
)


def pools() -> Iterator[NearMiss]:
    for why, call in POOLS:
        lead = "p = pad(x, padding=[2, 1, 0, 1])\n" if "(p" in call else ""
        yield NearMiss(
            "avg pool into the conv", why, f"{IMAGE}\na = conv(x)\n{lead}b = {call}\ny = add(a, b)", f"{IMAGE}\ny = conv(x)",
            lambda p: {"y.weight": p["a.weight"] + uniform(4, (3, 3)), "y.bias": p["a.bias"]},
        )  # fmt: skip
    for why, arguments in (
        ("its border thins the bias", "padding=1"), ("and padding does not count", "padding=1, count_include_pad=false"),
    ):  # fmt: skip
        yield NearMiss(
            "1 x 1 and avg pool into the conv", why,
            f"{IMAGE}\na = conv(x)\nc = conv(x, kernel=1)\nb = avg_pool(c, kernel=3, stride=1, {arguments})\ny = add(a, b)",
            f"{IMAGE}\ny = conv(x)",
            lambda p: {
                "y.weight": p["a.weight"] + p["c.weight"] * np.full((3, 3), 1 / 9), "y.bias": p["a.bias"] + p["c.bias"],
            },
        )  # fmt: skip
    yield NearMiss(
        "1 x 1 and avg pool into the conv", "batch norm between",
        f"{IMAGE}\na = conv(x)\nc = conv(x, kernel=1, bias=false)\nn = batch_norm(c)\n"
        "b = avg_pool(n, kernel=3, stride=1, padding=1)\ny = add(a, b)",
        f"{IMAGE}\ny = conv(x)", _pooled_norm,
    )  # fmt: skip
    yield NearMiss(
        "avg pool into the conv", "the last window hangs over",
        f"{IMAGE}\na = conv(x, stride=2)\nb = avg_pool(x, kernel=3, stride=2, ceil=true)\ny = add(a, b)",
        f"{IMAGE}\ny = conv(x, stride=2)",
        lambda p: {"y.weight": p["a.weight"] + uniform(4, (3, 3)), "y.bias": p["a.bias"]},
    )  # fmt: skip


def _pooled_norm(p: Held) -> dict[str, np.ndarray]:
    factor, offset = norm(p, "n")
    folded = behind(p, "c", factor, offset)
    return {
        "y.weight": p["a.weight"] + folded["c.weight"] * np.full((3, 3), 1 / 9),
        "y.bias": p["a.bias"] + folded["c.bias"],
    }


def siblings() -> Iterator[NearMiss]:
    """Convolutions of one value, side by side in a concat."""
    for why, one, two in (
        ("shifted", "conv(x)", "conv(x, padding=[0, 1, 2, 1])"),
        ("dilation", "conv(x)", "conv(x, dilation=2)"),
        ("border reflected", "conv(x)", "conv(x, padding_mode=reflect)"),
        ("border replicated", "conv(x, padding_mode=replicate)", "conv(x)"),
        ("other stride", "conv(x, padding=0, kernel=5)", "conv(x, stride=2, kernel=5)"),
        ("other groups", "conv(x, out=4, groups=2)", "conv(x, out=4, groups=2)"),
        ("other input", "conv(x)", "conv(z)"),
        ("1 x 1 of the other input", "conv(x, kernel=1)", "conv(z, kernel=1)"),
    ):  # fmt: skip
        head = f"{IMAGE}\ninput z: [N, 4, 8, 8]" if "(z" in two else IMAGE
        yield NearMiss(
            "siblings", why, f"{head}\na = {one}\nb = {two}\ny = concat(a, b)",
            f"{head}\ny = {one.replace('out=4, ', '').replace('(x', '(x, out=8')}", lambda p: stacked(p, "a", "b", to="y"),
        )  # fmt: skip
    for curve in ("relu", "sigmoid"):
        yield NearMiss(
            "siblings", f"{curve} behind one", f"{IMAGE}\na = conv(x)\nc = conv(x)\nb = {curve}(c)\ny = concat(a, b)",
            f"{IMAGE}\ny = conv(x, out=8)", lambda p: stacked(p, "a", "c", to="y"),
        )  # fmt: skip
    tail = "output y = y\noutput z = z"
    yield NearMiss(
        "siblings", "read the other way round",
        f"{IMAGE}\na = conv(x)\nb = conv(x)\ny = concat(b, a)\nz = sub(a, b)\n{tail}",
        f"{IMAGE}\ny = conv(x, out=8)\ns = slice(y, end=4)\nt = slice(y, start=4)\nz = sub(s, t)\n{tail}",
        lambda p: stacked(p, "a", "b", to="y"),
    )  # fmt: skip


def joins() -> Iterator[NearMiss]:
    """A sum of convolutions of two values that is no convolution of their concat."""
    two = f"{IMAGE}\ninput z: [N, 4, 8, 8]"
    for why, one, other, join in (
        ("shifted", "conv(x)", "conv(z, padding=[0, 1, 2, 1])", "add"),
        ("dilated", "conv(x)", "conv(z, dilation=2)", "add"),
        ("reflected", "conv(x)", "conv(z, padding_mode=reflect)", "add"),
        ("in groups", "conv(x, groups=2, out=4)", "conv(z, groups=2, out=4)", "add"),
        ("multiplied", "conv(x)", "conv(z)", "mul"),
        ("the greater", "conv(x)", "conv(z)", "max"),
        ("strides", "conv(x, kernel=5, padding=0)", "conv(z, stride=2)", "add"),
    ):  # fmt: skip
        grouped = ", groups=4, out=4" if "groups" in one else ", out=4"
        kernel = ", kernel=5, padding=0" if "kernel=5" in one else ""
        yield NearMiss(
            "conv of a concat", why, f"{two}\na = {one}\nb = {other}\ny = {join}(a, b)",
            f"{two}\nc = concat(x, z)\ny = conv(c{grouped}{kernel})",
            _joined_groups if "groups" in one else lambda p: joined(p, "a", "b", to="y"),
        )  # fmt: skip
    for why, reader in (("a relu", "w = relu(b)\noutput w = w"), ("an output", "output w = b")):
        yield NearMiss(
            "conv of a concat", f"{why} reads one", f"{two}\na = conv(x)\nb = conv(z)\ny = add(a, b)\n{reader}\noutput y = y",
            f"{two}\nc = concat(x, z)\ny = conv(c, out=4)\n{reading(reader, 'b', 'y')}\noutput y = y",
            lambda p: joined(p, "a", "b", to="y"),
        )  # fmt: skip
    yield NearMiss(
        "conv of a concat", "a curve behind one", f"{two}\na = conv(x)\nb = conv(z)\nr = relu(b)\ny = add(a, r)",
        f"{two}\nc = concat(x, z)\ny = conv(c, out=4)", lambda p: joined(p, "a", "b", to="y"),
    )  # fmt: skip


def _joined_groups(p: Held) -> dict[str, np.ndarray]:
    """What two convolutions in two groups each have, as if one in four groups were their sum."""
    halves = [p[f"{name}.weight"] for name in ("a", "b")]
    return {"y.weight": np.concatenate([w[:2] for w in halves]), "y.bias": p["a.bias"] + p["b.bias"]}


def over_concats() -> Iterator[NearMiss]:
    """concat -> conv as a sum of convolutions of the parts: the parts must lie along the channels, and in order."""
    two = f"{IMAGE}\ninput z: [N, 4, 8, 8]"
    yield NearMiss(
        "conv over concat", "of the rows", f"{two}\nc = concat(x, z, axis=2)\ny = conv(c, stride=[2, 1])",
        f"{two}\na = conv(x)\nb = conv(z) with weight=a.weight\ny = add(a, b)",
        lambda p: {"a.weight": p["y.weight"], "a.bias": p["y.bias"], "b.bias": p["y.bias"]},
    )  # fmt: skip
    yield NearMiss(
        "conv over concat", "grouped across the parts", f"{two}\nc = concat(x, z)\ny = conv(c, out=8, groups=4, bias=false)",
        f"{two}\na = conv(x, out=8, groups=2, bias=false)\nb = conv(z, out=8, groups=2, bias=false)\ny = add(a, b)",
        lambda p: {"a.weight": p["y.weight"], "b.weight": p["y.weight"]},
    )  # fmt: skip
    yield NearMiss(
        "conv over concat", "a relu between", f"{two}\nc = concat(x, z)\nr = relu(c)\ny = conv(r, out=4, bias=false)",
        f"{two}\na = conv(x, out=4, bias=false)\nb = conv(z, out=4, bias=false)\ny = add(a, b)",
        lambda p: {"a.weight": p["y.weight"][:, :4], "b.weight": p["y.weight"][:, 4:]},
    )  # fmt: skip
    yield NearMiss(
        "conv over concat", "a part and its curve", f"{IMAGE}\nr = relu(x)\nc = concat(x, r)\ny = conv(c, out=4, bias=false)",
        f"{IMAGE}\ny = conv(x, out=4, bias=false)", lambda p: {"y.weight": p["y.weight"][:, :4] + p["y.weight"][:, 4:]},
    )  # fmt: skip


def near_misses() -> Iterator[NearMiss]:
    yield from other_grids()
    yield from other_joins()
    yield from read_branches()
    yield from nested()
    yield from identities()
    yield from pools()
    yield from siblings()
    yield from joins()
    yield from over_concats()
