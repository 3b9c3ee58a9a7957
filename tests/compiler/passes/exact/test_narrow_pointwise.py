"""A 1x1 convolution runs where there are fewest places, and nothing is moved past what would make it inexact."""

from __future__ import annotations

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph, to_text
from convc.compiler.passes import WORTHS
from convc.compiler.passes.exact import NarrowPointwise
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, whole


def proven(model: Model) -> Model:
    after = PassManager([NarrowPointwise()], TorchProbe()).run(model).model
    assert whole(model, after) < 1e-12
    return after


def operators(model: Model) -> list[str]:
    return [node.op.name for node in model.graph]


@pytest.mark.parametrize(
    "pool",
    [
        "avg_pool(c, kernel=2)",
        "avg_pool(c, kernel=3, stride=2, padding=1, count_include_pad=false)",
        "avg_pool(c, kernel=3, stride=2, ceil=true)",
        "global_avg_pool(c, keepdims=true)",
        "adaptive_avg_pool(c, size=4)",
        "resize(c, scale=0.5)",
        "resize(c, size=[7, 9], mode=bilinear)",
    ],
)
@pytest.mark.parametrize("conv", ["out=6", "out=24, groups=4", "out=8, bias=false"])
def test_behind_a_mean_or_a_shrinking(pool: str, conv: str) -> None:
    before = graph(f"input x: [N, 8, 30, 24]\nr = relu(x)\nc = conv(r, kernel=1, {conv})\np = {pool}\ny = relu(p)")
    after = proven(before)
    assert operators(after) == ["relu", before.graph.nodes["p"].op.name, "conv", "relu"]
    assert after.graph.nodes["y"].inputs == ("c",)
    assert set(after.params) == set(before.params)


def test_a_global_mean_without_axes_gets_them_and_loses_them_again() -> None:
    after = proven(graph("input x: [N, 64, 30, 24]\nc = conv(x, out=64, kernel=1)\np = global_avg_pool(c)"))
    assert operators(after) == ["global_avg_pool", "conv", "flatten"]


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_before_an_enlargement(mode: str) -> None:
    before = graph(
        f"input x: [N, 8, H, 24]\nu = resize(x, scale=2, mode={mode})\nc = conv(u, out=6, kernel=1)\noutput y = c"
    )
    after = proven(before)
    assert operators(after) == ["conv", "resize"]
    assert after.graph.outputs == {"y": "c/resized"}
    assert set(after.params) == {"c.weight", "c.bias"}


def test_as_large_as_a_second_value() -> None:
    after = proven(
        graph("input x: [1, 8, 6, 6]\ninput z: [1, 3, 20, 20]\nu = resize(x, z)\nc = conv(u, out=6, kernel=1)")
    )
    assert operators(after) == ["conv", "resize"]
    assert after.graph.nodes["c/resized"].inputs == ("c/small", "z")


@pytest.mark.parametrize(
    ("lines", "site", "reason"),
    [
        (
            "c = conv(x, out=6, kernel=1)\ny = avg_pool(c, kernel=3, stride=2, padding=1)",
            "y",
            "the padding of 'y' counts",
        ),
        ("c = conv(x, out=6, kernel=1)\np = avg_pool(c, kernel=2)\ny = conv(c, out=6)", "p", "'c' also feeds y"),
        ("c = conv(x, out=6, kernel=1)\np = avg_pool(c, kernel=2)\noutput a = c\noutput b = p", "p", "is an output"),
        ("c = conv(x, out=6, kernel=1)\ny = resize(c, scale=2)", "y", "stand as they should"),
        ("c = conv(x, out=6, kernel=1)\ny = resize(c, c)", "y", "'c' also says how large it becomes"),
        ("u = resize(x, scale=0.5)\ny = conv(u, out=6, kernel=1)", "y", "stand as they should"),
        ("c = conv(x, out=32, kernel=1)\ny = avg_pool(c, kernel=2, stride=1, padding=0)", "y", "no faster"),
    ],
)
def test_it_refuses_with_a_reason(lines: str, site: str, reason: str) -> None:
    model = graph(f"input x: [N, 128, 12, 12]\n{lines}")
    result = NarrowPointwise().run(model)
    assert result.model is model
    assert [name for name, _ in result.misses] == [site]
    assert reason in result.misses[0][1]


@pytest.mark.parametrize(
    "lines",
    [
        "c = conv(x, out=6, kernel=3)\ny = avg_pool(c, kernel=2)",
        "c = conv(x, out=6, kernel=1, stride=2)\ny = avg_pool(c, kernel=2)",
        "c = conv(x, out=6, kernel=1, padding=1)\ny = avg_pool(c, kernel=2)",
        "c = conv(x, out=6, kernel=1)\nr = relu(c)\ny = avg_pool(r, kernel=2)",
        "c = conv(x, out=6, kernel=1)\ny = max_pool(c, kernel=2)",
    ],
)
def test_what_does_not_commute_stays(lines: str) -> None:
    model = graph(f"input x: [N, 8, 12, 12]\n{lines}")
    assert NarrowPointwise().run(model).model is model


def test_without_the_cost_model_fewer_places_are_enough() -> None:
    model = graph("input x: [N, 128, 12, 12]\nc = conv(x, out=32, kernel=1)\ny = avg_pool(c, kernel=2, stride=1)")
    off = NarrowPointwise().judged_by(WORTHS["generic"].__class__("generic", 1, 1, 1, enabled=False))
    assert [node.op.name for node in off.run(model).model.graph] == ["avg_pool", "conv"]


def test_a_densenet_transition() -> None:
    head = "input x: [N, 64, 16, 16]\nb = batch_norm(x)\nr = relu(b)\n"
    after = proven(graph(f"{head}c = conv(r, out=32, kernel=1, bias=false)\np = avg_pool(c, kernel=2)\noutput p = p"))
    swapped = '"c/pooled" = avg_pool(r, kernel=2)\nc = conv("c/pooled", out=32, kernel=1, bias=false)\noutput p = c'
    assert to_text(after.graph) == to_text(graph(head + swapped).graph)
