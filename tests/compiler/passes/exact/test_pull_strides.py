"""Strides move up to what computes the places they pass over, and no further than that is exact."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import Worth
from convc.compiler.passes.exact import PullStrides
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, randomised, whole
from tests.compiler.ir.graphs import models

OFF = Worth("generic", 1, 1, 1, enabled=False)
HEAD = "input x: [N, 8, 33, 30]\n"


def strides(model: Model) -> dict[str, tuple[int, ...]]:
    return {node.name: window.stride for node in model.graph if (window := node.op.window()) is not None}


def proven(lines: str, one: PullStrides | None = None) -> Model:
    model = graph(HEAD + lines)
    after = PassManager([one or PullStrides()], TorchProbe()).run(model).model
    assert whole(model, after) < 1e-12
    return after


@pytest.mark.parametrize(
    "conv",
    [
        "conv(x, out=16)",
        "conv(x, out=16, kernel=3, stride=2, padding=0)",
        "conv(x, out=8, groups=8, kernel=5)",
        "conv(x, out=16, kernel=3, dilation=2, padding=1)",
        "max_pool(x, kernel=3, stride=1, padding=1)",
        "avg_pool(x, kernel=2, stride=1)",
    ],
)
def test_through_what_treats_each_place_by_itself(conv: str) -> None:
    own = strides(graph(f"{HEAD}c = {conv}"))["c"]
    after = proven(f"c = {conv}\nb = batch_norm(c)\nr = relu(b)\ny = conv(r, out=4, kernel=1, stride=2)")
    assert strides(after) == {"c": tuple(2 * s for s in own), "y": (1, 1)}


def test_all_readers_stride_and_a_pool_of_one_element_goes() -> None:
    lines = "c = conv(x, out=16)\nr = relu(c)\na = conv(r, out=4, kernel=1, stride=[2, 3])\n"
    lines += "b = max_pool(r, kernel=1, stride=[2, 3])"
    after = proven(f"{lines}\nt = tanh(b)\noutput y = a\noutput z = t")
    assert strides(after) == {"c": (2, 3), "a": (1, 1)}


def test_two_operands_of_one_sum_are_thinned() -> None:
    lines = "c = conv(x)\nd = conv(x)\ne = conv(x)\ns = add(c, d, e)\ny = conv(s, out=4, kernel=1, stride=2)"
    after = proven(f"{lines}\noutput y = y\noutput d = d\noutput e = e", PullStrides().judged_by(OFF))
    assert strides(after) == {
        "c": (2, 2), "d": (1, 1), "e": (1, 1), "d/thinned": (2, 2), "e/thinned": (2, 2), "y": (1, 1),
    }  # fmt: skip


def test_the_end_of_a_resnet_stage() -> None:
    after = proven("""
s = conv(x, out=32)
q = relu(s)
c1 = conv(q, out=8, kernel=1)
c2 = conv(c1, out=8)
c3 = conv(c2, out=32, kernel=1)
a = add(c3, q)
r = relu(a)
left = conv(r, out=16, kernel=1, stride=2)
right = conv(r, out=16, kernel=1, stride=2)
y = add(left, right)
""")
    found = strides(after)
    assert {found[name] for name in ("left", "right", "s", "c1", "c3")} == {(1, 1)}
    assert found["c2"] == found["q/thinned"] == (2, 2)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            "c = conv(x, out=16)\ny = conv(c, kernel=1, stride=2)\nz = conv(c)\noutput a = y\noutput b = z",
            "others read places of 'c'",
        ),
        (
            "c = conv(x, out=16)\ny = conv(c, kernel=1, stride=2)\noutput a = y\noutput b = c",
            "others read places of 'c'",
        ),
        (
            "c = conv(x, out=16)\ny = conv(c, kernel=1, stride=2)\nz = conv(c, kernel=1, stride=3)\noutput a = y\noutput b = z",
            "others read places of 'c'",
        ),
        (
            "c = conv(x)\ns = softmax(c, axis=2)\ny = conv(s, kernel=1, stride=2)",
            "softmax 's' does not treat each place by itself",
        ),
        (
            "c = conv(x)\nr = relu(c)\nt = tanh(r)\ny = conv(t, kernel=1, stride=2)\noutput a = y\noutput b = r",
            "'r' is read at all",
        ),
        ("c = max_pool(x, kernel=3, stride=2, ceil=true)\ny = conv(c, kernel=1, stride=2)", "hang on the size"),
        ("c = relu(x)\ny = conv(c, kernel=1, stride=2)", "'x' is not computed here"),
    ],
)
def test_it_refuses_with_a_reason(lines: str, reason: str) -> None:
    result = PullStrides().judged_by(OFF).run(graph(HEAD + lines))
    assert result.regions == ()
    assert reason in dict(result.misses)["y"]


@pytest.mark.parametrize(
    "reader", ["conv(c, kernel=3, stride=2)", "conv(c, kernel=1, stride=2, padding=1)", "conv(c, kernel=1)"]
)
def test_a_reader_that_passes_over_nothing_is_none(reader: str) -> None:
    model = graph(f"{HEAD}c = conv(x, out=16)\ny = {reader}")
    assert PullStrides().judged_by(OFF).run(model).model is model


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_any_graph_keeps_its_function(model: Model) -> None:
    telling = randomised(model) or model
    after = PassManager([PullStrides().judged_by(OFF)], TorchProbe()).run(telling).model
    assert whole(telling, after) < 1e-9
