"""Concats move behind what shrinks and behind sums, where that copies less; else they stay, with the reason."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import Worth
from convc.compiler.passes.exact import LateConcat
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, randomised, whole
from tests.compiler.ir.graphs import models

OFF = Worth("generic", 1, 1, 1, enabled=False)
TWO = "input x: [N, 8, 64, 64]\na = conv(x, out=12)\nb = conv(x, out=20)\nc = concat(a, b)\n"


def proven(model: Model) -> Model:
    after = PassManager([LateConcat()], TorchProbe()).run(model).model
    assert whole(model, after) < 1e-12
    return after


def operators(model: Model) -> list[str]:
    return [node.op.name for node in model.graph]


@pytest.mark.parametrize(
    "call",
    [
        "conv(c, kernel=3, stride=2, groups=32)",
        "conv(c, kernel=5, stride=2, groups=32, bias=false)",
        "avg_pool(c, kernel=2)",
        "max_pool(c, kernel=3, stride=2, padding=1)",
    ],
)
def test_behind_what_strides(call: str) -> None:
    after = proven(graph(f"{TWO}d = {call}\ny = tanh(d)"))
    name = call.split("(")[0]
    assert operators(after) == ["conv", "conv", name, name, "concat", "tanh"]
    assert [after.graph.nodes[f"d/part{i}"].type.channels for i in (0, 1)] == [12, 20]


def test_sums_go_to_the_convolutions() -> None:
    more = "d = conv(x, out=12)\ne = conv(x, out=20)\nf = concat(d, e)\ns = add(c, f)\ny = tanh(s)"
    after = proven(graph(TWO + more))
    assert sorted(operators(after)) == ["add", "add", "concat", "conv", "conv", "conv", "conv", "tanh"]
    assert after.graph.nodes["s/part1"].inputs == ("b", "e")


def test_a_sum_of_concats_of_which_one_is_read_elsewhere() -> None:
    model = graph(
        f"{TWO}d = conv(x, out=12)\ne = conv(x, out=20)\nf = concat(d, e)\ns = add(c, f)\noutput s = s\noutput c = c"
    )
    after = PassManager([LateConcat().judged_by(OFF)], TorchProbe()).run(model).model
    assert sorted(operators(after)) == ["add", "add", "concat", "concat", "conv", "conv", "conv", "conv"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            "d = conv(c, stride=2, groups=32)\ny = tanh(c)\noutput p = d\noutput q = y",
            "'c' also feeds y: the concat would stay",
        ),
        ("d = conv(c, groups=32)", "no faster"),
        (
            "e = conv(x, out=20)\nf = conv(x, out=12)\ng = concat(e, f)\nd = add(c, g)",
            "'c' is cut into 12 + 20 channels, 'g' into 20 + 12",
        ),
        ("d = add(c, c)\ny = tanh(c)\noutput p = d\noutput q = y", "are both read elsewhere"),
    ],
)
def test_it_refuses_with_a_reason(lines: str, reason: str) -> None:
    model = graph(TWO + lines)
    result = LateConcat().run(model)
    assert result.model is model
    assert reason in dict(result.misses)["d"]


def test_a_concat_of_rows_is_no_concat_of_channels() -> None:
    model = graph("input x: [N, 8, 64, 64]\nc = concat(x, x, axis=2)\nd = avg_pool(c, kernel=2)")
    assert LateConcat().run(model).misses == ()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_any_graph_keeps_its_function(model: Model) -> None:
    telling = randomised(model) or model
    done = PassManager([LateConcat().judged_by(OFF)], TorchProbe()).run(telling)
    assert whole(telling, done.model) < 1e-9
