"""Convolutions in a row next to what does not compose: borders, curves, readers, strides, orders in between."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.near_misses.case import Formula, Held, NearMiss, reading
from tests.near_misses.formulas import pair

IMAGE = "input x: [N, 4, 8, 8]"
POINT = "a = conv(x, out=3, kernel=1)"


def _composed(p: Held) -> dict[str, np.ndarray]:
    return dict(pair(p, "a", "y", to="y"))


def _lone(p: Held) -> dict[str, np.ndarray]:
    return {name: value for name, value in _composed(p).items() if name == "y.weight"}


def borders() -> Iterator[NearMiss]:
    """A border of zeros around the first one's output, whose bias is not there."""
    for why, call in (
        ("3 x 3", "out=5"), ("5 x 5", "out=5, kernel=5"), ("1 x 3", "out=5, kernel=[1, 3]"),
        ("stride 2", "out=5, stride=2"), ("dilation 2", "out=5, dilation=2"), ("one end", "out=5, padding=[0, 0, 1, 0]"),
        ("same_lower", "out=5, kernel=2, padding=same_lower"), ("1 x 1 with a pad", "out=5, kernel=1, padding=1"),
    ):  # fmt: skip
        yield NearMiss(
            "1 x 1 into k x k",
            why,
            f"{IMAGE}\n{POINT}\ny = conv(a, {call})",
            f"{IMAGE}\ny = conv(x, {call})",
            _composed,
        )
    for why, first, second, merged in (
        ("3 x 3 twice", "out=3, bias=false", "out=5", "out=5, kernel=5"),
        ("inner pad alone", "out=3, padding=0, bias=false", "out=5", "out=5, kernel=5, padding=1"),
        ("5 x 5 behind", "out=3, bias=false", "out=5, kernel=5", "out=5, kernel=7"),
        ("columns twice", "out=3, kernel=[1, 3], bias=false", "out=5, kernel=[1, 3]", "out=5, kernel=[1, 5]"),
        ("a row's bias", "out=3, kernel=[1, 3]", "out=5, kernel=[3, 1]", "out=5"),
        ("a column's bias", "out=3, kernel=[3, 1]", "out=5, kernel=[1, 3]", "out=5"),
        ("stride 2 behind", "out=3, bias=false", "out=5, stride=2", "out=5, kernel=5, stride=2"),
    ):
        yield NearMiss(
            "k x k into k x k", why, f"{IMAGE}\na = conv(x, {first})\ny = conv(a, {second})",
            f"{IMAGE}\ny = conv(x, {merged})", _composed,
        )  # fmt: skip
    for why, call, merged in (
        ("zero pad between", "p = pad(a, padding=1)", "p = pad(x, padding=1)"),
        ("pad of ones between", "p = pad(a, padding=1, value=1.0)", "p = pad(x, padding=1, value=1.0)"),
    ):
        yield NearMiss(
            "1 x 1 into k x k", why, f"{IMAGE}\n{POINT}\n{call}\ny = conv(p, out=5, padding=0)",
            f"{IMAGE}\n{merged}\ny = conv(p, out=5, padding=0)", _composed,
        )  # fmt: skip
    yield NearMiss(
        "1 x 1 into k x k", "a depthwise one", f"{IMAGE}\na = conv(x, out=4, kernel=1)\ny = conv(a, groups=4)",
        f"{IMAGE}\ny = conv(x, out=4)", _over_depthwise,
    )  # fmt: skip


def _over_depthwise(p: Held) -> dict[str, np.ndarray]:
    weight = p["y.weight"] * p["a.weight"]
    return {"y.weight": weight, "y.bias": p["y.bias"] + p["y.weight"].sum((1, 2, 3)) * p["a.bias"]}


BETWEEN = (
    ("relu", "relu(a)"), ("relu6", "relu6(a)"), ("sigmoid", "sigmoid(a)"), ("silu", "silu(a)"), ("gelu", "gelu(a)"),
    ("hardswish", "hardswish(a)"), ("leaky_relu", "leaky_relu(a, slope=0.1)"), ("prelu", "prelu(a)"),
    ("max pool", "max_pool(a, kernel=3, stride=1, padding=1)"), ("layer norm", "layer_norm(a, scale=false, shift=false)"),
    ("rows for columns", "transpose(a, perm=[0, 1, 3, 2])"), ("square", "mul(a, a)"),
    ("row softmax", "softmax(a, axis=3)"),
)  # fmt: skip


def between() -> Iterator[NearMiss]:
    for why, call in BETWEEN:
        for kind, arguments in (("1 x 1 into 1 x 1", "kernel=1"), ("1 x 1 into k x k", "padding=0")):
            yield NearMiss(
                kind, f"{why} between", f"{IMAGE}\n{POINT}\nb = {call}\ny = conv(b, out=5, {arguments})",
                f"{IMAGE}\ny = conv(x, out=5, {arguments})", _composed,
            )  # fmt: skip
    yield NearMiss(
        "linear into linear", "relu between", "input x: [N, 4]\na = linear(x, out=3)\nb = relu(a)\ny = linear(b, out=5)",
        "input x: [N, 4]\ny = linear(x, out=5)", _linear,
    )  # fmt: skip


def _linear(p: Held) -> dict[str, np.ndarray]:
    return {"y.weight": p["y.weight"] @ p["a.weight"], "y.bias": p["y.weight"] @ p["a.bias"] + p["y.bias"]}


def readers() -> Iterator[NearMiss]:
    """Somebody else reads the value between: as the composed one's, it is not what it was."""
    for why, reader in (
        ("an output", "output z = a"), ("a relu", "r = relu(a)\noutput z = r"),
        ("a pool", "r = global_avg_pool(a)\noutput z = r"), ("a sum", "r = add(a, y)\noutput z = r"),
    ):  # fmt: skip
        before = f"{IMAGE}\na = conv(x, kernel=1)\ny = conv(a, kernel=1)\n{reader}\noutput y = y"
        careless = reading(reader, "a", "y")
        yield NearMiss("1 x 1 into 1 x 1", f"{why} reads the first", before,
                       f"{IMAGE}\ny = conv(x, kernel=1)\n{careless}\noutput y = y", _composed)  # fmt: skip


def strides() -> Iterator[NearMiss]:
    """A stride in front spreads what comes behind; one behind must be read by all."""
    for why, call in (("3 x 3", "out=5"), ("5 x 5", "out=5, kernel=5"), ("dilated", "out=5, dilation=2")):
        yield NearMiss(
            "strided 1 x 1 into k x k", why,
            f"{IMAGE}\na = conv(x, out=3, kernel=1, stride=2, bias=false)\ny = conv(a, {call})",
            f"{IMAGE}\ny = conv(x, {call}, stride=2)", _lone_kept_bias,
        )  # fmt: skip
    pooled = "r = global_avg_pool(a)\noutput z = r\noutput y = y"
    for why, act in (("", ""), (" behind a relu", "relu")):
        lead = f"c = conv(x)\na = {act}(c)" if act else "a = conv(x)"
        pulled = lead.replace("conv(x)", "conv(x, stride=2)")
        yield NearMiss(
            "stride pulled up", f"all places are read{why}", f"{IMAGE}\n{lead}\ny = conv(a, kernel=1, stride=2)\n{pooled}",
            f"{IMAGE}\n{pulled}\ny = conv(a, kernel=1)\n{pooled}", _same,
        )  # fmt: skip
    for why, first, second in (
        ("the next looks between", "conv(x)", "conv(a, stride=2)"),
        ("a pad shifts the places", "conv(x)", "conv(a, kernel=1, stride=2, padding=[1, 1, 0, 0])"),
        ("a pool looks between", "conv(x)", "max_pool(a, kernel=2)"),
        ("every other row alone", "conv(x)", "slice(a, axis=2, start=1, step=2)"),
    ):
        one = second.replace("stride=2, ", "").replace("kernel=2", "kernel=1").replace("(a, stride=2)", "(a)")
        one = one.replace(", padding=[1, 1, 0, 0]", "").replace("slice(a, axis=2, start=1, step=2)", "relu(a)")
        stride = "stride=[2, 1]" if "slice" in second else "stride=2"
        yield NearMiss(
            "stride pulled up",
            why,
            f"{IMAGE}\na = {first}\ny = {second}",
            f"{IMAGE}\na = conv(x, {stride})\ny = {one}",
            _same,
        )


def _lone_kept_bias(p: Held) -> dict[str, np.ndarray]:
    return _lone(p) | {"y.bias": p["y.bias"]}


def _same(p: Held) -> dict[str, np.ndarray]:
    return {}


def groups() -> Iterator[NearMiss]:
    """Grouped convolutions in a row: what one group makes, another reads."""
    wide = "input x: [N, 8, 6, 6]"
    for why, mid in (
        ("a shuffle between", "b = channel_shuffle(a, groups=2)"), ("another shuffle", "b = channel_shuffle(a, groups=4)"),
        ("halves swapped", "s = slice(a, end=4)\nt = slice(a, start=4)\nb = concat(t, s)"),
        ("any order", "b = gather(a, indices=[0, 4, 1, 5, 2, 6, 3, 7])"),
    ):  # fmt: skip
        yield NearMiss(
            "grouped 1 x 1 into grouped 1 x 1", why,
            f"{wide}\na = conv(x, kernel=1, groups=2, bias=false)\n{mid}\ny = conv(b, kernel=1, groups=2, bias=false)",
            f"{wide}\ny = conv(x, kernel=1, groups=2, bias=false)", _by_groups(2, 2),
        )  # fmt: skip
    for why, first, second in (("2 and 4", 2, 4), ("4 and 2", 4, 2), ("8 and 2", 8, 2)):
        more = max(first, second)
        yield NearMiss(
            "grouped 1 x 1 into grouped 1 x 1", f"{why} groups",
            f"{wide}\na = conv(x, kernel=1, groups={first}, bias=false)\ny = conv(a, kernel=1, groups={second}, bias=false)",
            f"{wide}\ny = conv(x, kernel=1, groups={more}, bias=false)", _by_groups(first, second),
        )  # fmt: skip


def _by_groups(first: int, second: int) -> Formula:
    """The product of the two block-diagonal matrices, cut to the blocks of the finer one."""

    def formula(p: Held) -> dict[str, np.ndarray]:
        a, b = (_blocks(p[f"{name}.weight"][:, :, 0, 0], g) for name, g in (("a", first), ("y", second)))
        product, count = b @ a, max(first, second)
        size = 8 // count
        kept = [product[g * size : (g + 1) * size, g * size : (g + 1) * size] for g in range(count)]
        return {"y.weight": np.concatenate(kept)[:, :, None, None]}

    return formula


def _blocks(weight: np.ndarray, count: int) -> np.ndarray:
    rows, width = len(weight) // count, weight.shape[1]
    full = np.zeros((len(weight), width * count))
    for g in range(count):
        full[g * rows : (g + 1) * rows, g * width : (g + 1) * width] = weight[g * rows : (g + 1) * rows]
    return full


def swapped() -> Iterator[NearMiss]:
    """A 1 x 1 that would rather run on the other side of a pool, an enlargement, a pad."""
    for why, arguments in (
        ("max pool", "max_pool({}, kernel=2)"), ("max pool with pads", "max_pool({}, kernel=3, stride=2, padding=1)"),
        ("avg pool thins the bias", "avg_pool({}, kernel=3, stride=2, padding=1)"),
        ("zero pad", "pad({}, padding=1)"), ("pad of ones", "pad({}, padding=1, value=1.0)"),
        ("absolute value", "abs({})"), ("global max pool", "global_max_pool({}, keepdims=true)"),
    ):  # fmt: skip
        yield NearMiss(
            "1 x 1 to the other side", why, f"{IMAGE}\nc = conv(x, out=5, kernel=1)\ny = {arguments.format('c')}",
            f"{IMAGE}\na = {arguments.format('x')}\nc = conv(a, out=5, kernel=1)", _same,
        )  # fmt: skip
    for why, call in (("3 x 3", "conv({})"), ("1 x 1 with a pad", "conv({}, kernel=1, padding=1)")):
        yield NearMiss(
            "conv before the enlargement", why, f"{IMAGE}\na = resize(x, scale=2)\nc = {call.format('a')}",
            f"{IMAGE}\nc = {call.format('x')}\ny = resize(c, scale=2)", _same,
        )  # fmt: skip


def near_misses() -> Iterator[NearMiss]:
    for family in (borders, between, readers, strides, groups, swapped):
        yield from family()
