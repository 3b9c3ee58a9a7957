"""Equal nodes, constants, pads, dead channels and spelled-out activations: each where it holds, and its near misses."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.ops.batch_norm import BatchNorm
from convc.compiler.passes import O1
from convc.compiler.passes.exact import DropDeadChannels, FoldConstants, FoldPad, MergeEqual, NameActivations
from convc.compiler.passes.manager import PassManager
from convc.compiler.passes.rewrite import Rewrite
from convc.compiler.probe import TorchProbe, randomised, whole
from tests.compiler.ir.graphs import models

HEAD = "input x: [N, 6, 9, 9]\n"


def done(one: Rewrite[Any], lines: str) -> tuple[list[str], Model]:
    model = graph(HEAD + lines)
    after = PassManager([one], TorchProbe()).run(model).model
    assert whole(model, after) < 1e-12
    return [node.op.name for node in after.graph], after


def refused(one: Rewrite[Any], lines: str, site: str) -> str:
    model = graph(HEAD + lines)
    result = one.run(model)
    assert result.model is model
    return dict(result.misses).get(site, "")


# -- merge_equal


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("a = relu(x)\nb = relu(x)\ny = mul(a, b)", ["relu", "mul"]),
        ("a = conv(x)\nb = conv(x) with weight=a.weight, bias=a.bias\ny = add(a, b)", ["conv", "add"]),
        ("r = tanh(x)\na = add(r, x)\nb = add(x, r)\ny = mul(a, b)", ["tanh", "add", "mul"]),
        ("a = relu(x)\nb = relu(x)\nc = tanh(a)\nd = tanh(b)\ny = mul(c, d)", ["relu", "tanh", "mul"]),
        ("a = relu(x)\nb = relu(x)\nc = tanh(a)\noutput y = b\noutput z = c", ["relu", "tanh"]),
    ],
)
def test_what_is_computed_twice_is_computed_once(lines: str, left: list[str]) -> None:
    assert done(MergeEqual(), lines)[0] == left


@pytest.mark.parametrize(
    "lines",
    [
        "a = conv(x)\nb = conv(x)\ny = add(a, b)",
        "a = conv(x)\nb = conv(x) with weight=a.weight\ny = add(a, b)",
        "a = conv(x, stride=2)\nb = conv(x, stride=3) with weight=a.weight, bias=a.bias\ny = tanh(a)\nz = tanh(b)",
        "r = tanh(x)\na = sub(r, x)\nb = sub(x, r)\ny = mul(a, b)",
    ],
)
def test_what_only_looks_equal_stays(lines: str) -> None:
    assert refused(MergeEqual(), lines, "a") == ""


def test_two_outputs_stay_two() -> None:
    assert "are both outputs" in refused(MergeEqual(), "a = relu(x)\nb = relu(x)\noutput y = a\noutput z = b", "b")


# -- fold_constants


@pytest.mark.parametrize(
    "lines",
    [
        "p = parameter(shape=[6, 1, 1])\nc = constant(value=0.1)\nm = mul(p, c)\ny = add(x, m)",
        "p = parameter(shape=[6])\nr = reshape(p, shape=[6, 1, 1])\nn = neg(r)\ny = mul(x, n)",
        "p = parameter(shape=[1, 9])\nt = transpose(p, perm=[1, 0])\nj = concat(t, t, axis=1)\nf = flatten(j, start=0)\n"
        "k = pow(f, exponent=2)\ns = reshape(k, shape=[2, 9])\na = abs(s)\nq = sqrt(a)\ny = add(q, q)\n"
        "z = reduce_sum(y, axes=[0])\no = add(x, z)",
    ],
)
def test_what_hangs_on_no_input_is_computed_beforehand(lines: str) -> None:
    left, after = done(FoldConstants(), lines)
    assert not set(left) & {"constant", "neg", "concat", "flatten", "pow", "abs", "sqrt", "transpose", "reshape"}
    assert left.count("parameter") == 1
    assert after.param_count() > 0


def test_a_result_that_grows_stays() -> None:
    lines = "p = parameter(shape=[6, 1])\nq = parameter(shape=[1, 90])\nm = mul(p, q)\n"
    lines += "s = reduce_sum(m, axes=[0, 1])\ny = add(x, s)"
    assert "the result has 540 numbers, made of 96" in refused(FoldConstants(), lines, "m")


def test_an_output_is_computed_by_a_node() -> None:
    lines = "p = parameter(shape=[6, 1, 1])\nm = neg(p)\ny = add(x, m)\noutput a = y\noutput b = m"
    assert "is an output of the network" in refused(FoldConstants(), lines, "m")


# -- fold_pad


@pytest.mark.parametrize(
    "lines",
    [
        "p = pad(x, padding=2)\ny = conv(p, padding=0)",
        "p = pad(x, padding=[0, 1, 2, 1])\ny = conv(p, padding=1, stride=2)",
        "p = pad(x, padding=1, mode=reflect)\ny = conv(p, padding=0)",
        "p = pad(x, padding=1, axes=[3])\ny = conv(p, padding=0)",
        "p = pad(x, padding=1)\ny = avg_pool(p, kernel=3)",
        "r = relu(x)\np = pad(r, padding=1)\ny = max_pool(p, kernel=3, stride=2)",
        "p = pad(x, padding=1, value=-inf)\ny = max_pool(p, kernel=3, stride=2)",
    ],
)
def test_a_pad_goes_into_what_reads_it(lines: str) -> None:
    assert "pad" not in done(FoldPad(), lines)[0]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("p = pad(x, padding=1)\ny = max_pool(p, kernel=3)", "may win the maximum"),
        ("p = pad(x, padding=1, value=0.5)\ny = conv(p)", "it pads with zeros, 'p' with zeros 0.5"),
        ("p = pad(x, padding=1, mode=reflect)\ny = conv(p)", "it pads with zeros, 'p' with reflect 0"),
        ("p = pad(x, padding=1, axes=[1])\ny = conv(p)", "adds to other axes"),
        ("p = pad(x, padding=1)\ny = avg_pool(p, kernel=3, padding=1)", "it pads already"),
        (
            "p = pad(x, padding=2)\ny = avg_pool(p, kernel=3)",
            "it cannot pad so itself: padding 2 is more than half the kernel",
        ),
        ("p = pad(x, padding=1)\nz = tanh(p)\ny = conv(p)\noutput a = y\noutput b = z", "'p' also feeds z"),
    ],
)
def test_a_pad_that_stays(lines: str, reason: str) -> None:
    assert reason in refused(FoldPad(), lines, "y")


def test_a_padding_that_hangs_on_the_size_stays() -> None:
    model = graph("input x: [N, 6, H, 9]\np = pad(x, padding=1)\ny = conv(p, padding=same_upper, stride=2)")
    assert "hangs on the size" in dict(FoldPad().run(model).misses)["y"]


# -- drop_dead_channels


def test_a_convolution_does_not_write_what_nobody_reads() -> None:
    lines = "c = conv(x, out=12)\nr = relu(c)\nd = conv(r, groups=12)\na = slice(d, end=3)\n"
    lines += "b = gather(d, indices=[7, 7])\ny = concat(a, b)"
    left, after = done(DropDeadChannels(), lines)
    assert (after.graph.nodes["c"].type.channels, after.graph.nodes["d"].type.channels) == (4, 4)
    assert "concat" in left


@pytest.mark.parametrize(
    "lines",
    [
        "c = conv(x, out=12)\na = slice(c, end=3)\nz = conv(c, out=2)\nt = tanh(a)\noutput y = t\noutput w = z",
        "c = conv(x, out=12)\na = slice(c, end=6)\nb = slice(c, start=6)\ny = mul(a, b)",
        "c = conv(x, out=12)\na = slice(c, end=3)\nt = tanh(a)\noutput y = t\noutput w = c",
    ],
)
def test_channels_that_somebody_reads_stay(lines: str) -> None:
    assert refused(DropDeadChannels(), lines, "c") == ""


def test_dead_channels_that_groups_hold_say_so() -> None:
    lines = "c = conv(x, out=12, groups=2)\na = slice(c, end=3)\nt = tanh(a)"
    found = refused(DropDeadChannels(), lines, "c")
    assert found == "no node reads 9 of its channels, but they stay: conv 'c' writes them so"


# -- name_activations

SIXTH = 1 / 6
GELU = f"""
half = constant(value=0.5)
one = constant(value=1)
k = constant(value={sqrt(2 / pi)!r})
w = constant(value=0.044715)
p = pow(x, exponent=3)
wp = mul(p, w)
s = add(x, wp)
ks = mul(k, s)
t = tanh(ks)
g = add(one, t)
"""


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("s = sigmoid(x)\ny = mul(x, s)", "silu"),
        ("s = softplus(x)\nt = tanh(s)\ny = mul(t, x)", "mish"),
        (
            "three = constant(value=3)\nsix = constant(value=6)\na = add(x, three)\nc = relu6(a)\ny = div(c, six)",
            "hardsigmoid",
        ),
        (
            f"three = constant(value=3)\nf = constant(value={SIXTH!r})\na = add(three, x)\n"
            "c = clip(a, min=0, max=6)\ny = mul(c, f)",
            "hardsigmoid",
        ),
        (
            "six = constant(value=6)\nh = constant(value=0.5)\na = div(x, six)\nb = add(a, h)\ny = clip(b, min=0, max=1)",
            "hardsigmoid",
        ),
        ("h = hardsigmoid(x)\ny = mul(h, x)", "hardswish"),
        (
            "three = constant(value=3)\nsix = constant(value=6)\na = add(x, three)\nc = relu6(a)\nm = mul(x, c)\ny = div(m, six)",
            "hardswish",
        ),
        (
            "three = constant(value=3)\nsix = constant(value=6)\na = add(x, three)\nc = relu6(a)\nd = div(c, six)\ny = mul(x, d)",
            "hardswish",
        ),
        (f"{GELU}hx = mul(x, half)\ny = mul(hx, g)", "gelu"),
        (f"{GELU}xg = mul(g, x)\ny = mul(half, xg)", "gelu"),
    ],
)
def test_an_activation_gets_its_name(lines: str, name: str) -> None:
    left, after = done(NameActivations(), lines)
    assert left == [name]
    assert after.graph.nodes["y"].inputs == ("x",)


@pytest.mark.parametrize(
    "lines",
    [
        "r = relu(x)\ns = sigmoid(r)\ny = mul(x, s)",
        "three = constant(value=3)\nsix = constant(value=6.000001)\na = add(x, three)\nc = relu6(a)\ny = div(c, six)",
        "three = constant(value=3)\nsix = constant(value=6)\na = add(x, three)\nc = relu6(a)\ny = div(six, c)",
        "three = constant(value=2)\nsix = constant(value=6)\na = add(x, three)\nc = relu6(a)\ny = div(c, six)",
        "h = hardsigmoid(x, alpha=0.2)\ny = mul(h, x)",
        f"{GELU}q = relu(x)\nhx = mul(q, half)\ny = mul(hx, g)",
        f"{GELU}hx = mul(x, one)\ny = mul(hx, g)",
    ],
)
def test_what_is_another_function_stays(lines: str) -> None:
    assert refused(NameActivations(), lines, "y") == ""


def test_what_others_read_of_it_stays() -> None:
    left, _ = done(NameActivations(), "s = sigmoid(x)\ny = mul(x, s)\nz = tanh(s)\noutput a = y\noutput b = z")
    assert sorted(left) == ["sigmoid", "silu", "tanh"]


# -- all


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_any_graph_keeps_its_function(model: Model) -> None:
    # A generated graph may share any parameter: a mean is no variance, as it may be negative.
    norms = [node for node in model.graph if isinstance(node.op, BatchNorm)]
    assume(all(node.params["running_var"].endswith("running_var") for node in norms))
    telling = randomised(model) or model
    assert whole(telling, PassManager(O1, TorchProbe()).run(telling).model) < 1e-9
