"""Expressions that look like another: duplicates that differ in one thing, activations spelled out with one number wrong."""

from __future__ import annotations

from collections.abc import Iterator

from tests.near_misses.case import NearMiss

IMAGE = "input x: [N, 4, 8, 8]"
TWO = f"{IMAGE}\ninput z: [N, 4, 8, 8]"
_BARE = "layer_norm(x, scale=false, shift=false"

# Two lines that differ in one thing; the second is not the first.
TWINS = (
    ("weights", "conv(x)", "conv(x)"), ("padding mode", "conv(x)", "conv(x, padding_mode=reflect)"),
    ("pads", "conv(x, padding=1)", "conv(x, padding=[0, 1, 2, 1])"), ("dilation", "conv(x)", "conv(x, dilation=2)"),
    ("groups", "conv(x, groups=2)", "conv(x, groups=2)"), ("statistics", "batch_norm(x)", "batch_norm(x)"),
    ("eps", "batch_norm(x)", "batch_norm(x, eps=0.1)"), ("slope", "leaky_relu(x)", "leaky_relu(x, slope=0.2)"),
    ("limit", "clip(x, min=0.0, max=1.0)", "clip(x, min=0.0, max=0.5)"), ("curve", "relu(x)", "relu6(x)"),
    ("approximation", "gelu(x)", "gelu(x, approximate=tanh)"), ("range", "slice(x, end=2)", "slice(x, start=2)"),
    ("step", "slice(x, start=1, end=3)", "slice(x, step=2)"),
    ("order", "gather(x, indices=[0, 1])", "gather(x, indices=[1, 0])"),
    ("groups of a shuffle", "channel_shuffle(x, groups=2)", "channel_shuffle(x, groups=4)"),
    ("kind of pool", "max_pool(x, kernel=2)", "avg_pool(x, kernel=2)"),
    ("counting", "avg_pool(x, kernel=3, padding=1)", "avg_pool(x, kernel=3, padding=1, count_include_pad=false)"),
    ("rounding up", "avg_pool(x, kernel=3, stride=2, padding=1)", "avg_pool(x, kernel=2, stride=2, ceil=true)"),
    ("interpolation", "resize(x, scale=2)", "resize(x, scale=2, mode=linear)"),
    ("corners", "resize(x, scale=2, mode=linear)", "resize(x, scale=2, mode=linear, align_corners=true)"),
    ("axis of a softmax", "softmax(x)", "softmax(x, axis=2)"), ("axis of a norm", f"{_BARE})", f"{_BARE}, axis=last)"),
    ("turn", "transpose(x, perm=[0, 1, 3, 2])", "transpose(x, perm=[0, 1, 2, 3])"), ("factors", "scale(x)", "scale(x)"),
    ("place of the pad", "pad(x, padding=[1, 0, 0, 0])", "pad(x, padding=[0, 0, 1, 0])"),
    ("value of the pad", "pad(x, padding=1, value=1.0)", "pad(x, padding=1)"),
    ("group norm", "group_norm(x, groups=2)", "group_norm(x, groups=4)"),
    ("power", "pow(x, exponent=2.0)", "pow(x, exponent=3.0)"),
)  # fmt: skip

TWINS_OF_TWO = (
    ("order of a difference", "sub(x, z)", "sub(z, x)"), ("order of a quotient", "div(x, z)", "div(z, x)"),
    ("order of a concat", "concat(x, z)", "concat(z, x)"), ("one value of a sum", "add(x, z)", "add(x, x)"),
    ("sum and difference", "add(x, z)", "sub(x, z)"), ("maximum and minimum", "max(x, z)", "min(x, z)"),
    ("input", "relu(x)", "relu(z)"),
)  # fmt: skip


def twins() -> Iterator[NearMiss]:
    for head, rows in ((IMAGE, TWINS), (TWO, TWINS_OF_TWO)):
        for why, one, two in rows:
            yield NearMiss(
                "common subexpression", why, f"{head}\na = {one}\nb = {two}\nc = sigmoid(b)\ny = mul(a, c)",
                f"{head}\na = {one}\nc = sigmoid(a)\ny = mul(a, c)",
            )  # fmt: skip
    for why, share in (("bias", "bias=a.bias"), ("weight", "weight=a.weight")):
        yield NearMiss(
            "common subexpression", f"shares the {why} alone",
            f"{IMAGE}\na = conv(x)\nb = conv(x) with {share}\nc = sigmoid(b)\ny = mul(a, c)",
            f"{IMAGE}\na = conv(x)\nc = sigmoid(a)\ny = mul(a, c)",
        )  # fmt: skip


HARD_SWISH = """
c = constant(value={0})
s = constant(value={1})
a = {2}(x, c)
b = clip(a, min={3}, max={4})
d = div(b, s)
y = {5}({6}, d)"""
SIX = ("3.0", "6.0", "add", "0.0", "6.0", "mul", "x")

GELU = """
p = pow(x, exponent={0})
k = constant(value={1})
a = mul(p, k)
b = add(x, a)
m = constant(value={2})
c = mul(b, m)
d = tanh(c)
o = constant(value={3})
e = add(d, o)
h = constant(value={4})
f = mul(x, h)
y = mul(f, e)"""
USUAL = ("3.0", "0.044715", "0.7978845608", "1.0", "0.5")

# A template, its numbers, what it spells out; then which number is wrong, and by what.
SPELLED = (
    (HARD_SWISH, SIX, "hardswish(x)", (
        ("+ 2", 0, "2.0"), ("/ 5", 1, "5.0"), ("x - 3", 2, "sub"), ("clipped at -1", 3, "-1.0"),
        ("clipped at 5", 4, "5.0"), ("added", 5, "add"), ("of the sum", 6, "a"), ("of the clipped", 6, "b"),
        ("of another value", 6, "z"), ("a number per channel", 0, "[[[3.0]], [[3.0]], [[3.0]], [[2.0]]]"),
    )),
    (GELU, USUAL, "gelu(x, approximate=tanh)", (
        ("0.05", 1, "0.05"), ("x squared", 0, "2.0"), ("0.8 for the root", 2, "0.8"), ("1.1", 3, "1.1"),
        ("times 1", 4, "1.0"),
    )),
    ("\nk = constant(value=1.0)\na = mul(x, k)\nb = {0}(a)\ny = {1}({2}, b)", ("sigmoid", "mul", "x"), "silu(x)", (
        ("added", 1, "add"), ("tanh", 0, "tanh"), ("of itself", 2, "b"), ("of another value", 2, "z"),
    )),
    ("\nk = constant(value={0})\na = mul(x, k)\nb = sigmoid(a)\ny = mul(x, b)", ("1.0",), "silu(x)", (
        ("1.702 x", 0, "1.702"), ("the negative", 0, "-1.0"), ("almost x", 0, "1.001"),
    )),
    ("\na = {0}(x)\nb = {1}(a)\ny = mul({2}, b)", ("softplus", "tanh", "x"), "mish(x)", (
        ("relu", 0, "relu"), ("sigmoid", 1, "sigmoid"), ("of the softplus", 2, "a"), ("of another value", 2, "z"),
    )),
)  # fmt: skip


def curves() -> Iterator[NearMiss]:
    """Hard-swish, SiLU, GELU, Mish with one number, or one value, that makes them something else."""
    for template, right, curve, wrongs in SPELLED:
        for why, place, wrong in wrongs:
            numbers = [wrong if i == place else number for i, number in enumerate(right)]
            head = TWO if wrong == "z" else IMAGE
            yield NearMiss(
                f"{curve.split('(')[0]} spelled out", why, head + template.format(*numbers), f"{head}\ny = {curve}"
            )


def near_misses() -> Iterator[NearMiss]:
    yield from twins()
    yield from curves()
