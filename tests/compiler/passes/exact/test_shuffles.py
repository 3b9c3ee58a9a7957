"""Choices of channels are merged, cancelled or taken into weights; where that is impossible they stay, with the reason."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes.exact import FoldShuffle, MergePicks
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, randomised, whole
from tests.compiler.ir.graphs import models

HEAD = "input image: [N, 3, 9, 9]\nx = conv(image, out=12)\n"


def proven(model: Model) -> Model:
    telling = randomised(model) or model
    after = PassManager([MergePicks(), FoldShuffle()], TorchProbe()).run(telling).model
    assert whole(telling, after) < 1e-12
    return after


def operators(model: Model) -> list[str]:
    return [node.op.name for node in model.graph]


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("a = channel_shuffle(x, groups=3)\nb = channel_shuffle(a, groups=4)\ny = tanh(b)", ["conv", "tanh"]),
        ("a = gather(x, indices=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])\ny = tanh(a)", ["conv", "tanh"]),
        ("a = slice(x, start=2, end=11)\nb = slice(a, start=3, end=7)\ny = tanh(b)", ["conv", "slice", "tanh"]),
        ("a = slice(x, end=10)\nb = channel_shuffle(a, groups=5)\ny = lrn(b, size=3)", ["conv", "gather", "lrn"]),
        ("a = slice(x, step=2)\nb = gather(a, indices=[5, 0])\ny = linear(b)", ["conv", "gather", "linear"]),
    ],
)
def test_behind_each_other(lines: str, left: list[str]) -> None:
    assert operators(proven(graph(HEAD + lines))) == left


def test_a_shuffle_that_is_read_in_halves_goes() -> None:
    halves = "l = slice(s, end=6)\nr = slice(s, start=6)\nc = conv(r, groups=6)\ny = concat(l, c)"
    after = (
        PassManager([MergePicks()], TorchProbe()).run(graph(f"{HEAD}s = channel_shuffle(x, groups=2)\n{halves}")).model
    )
    assert operators(after) == ["conv", "gather", "gather", "conv", "concat"]
    assert after.graph.nodes["l"].op.arguments()["indices"] == (0, 6, 1, 7, 2, 8)


@pytest.mark.parametrize(
    "lines",
    [
        "s = channel_shuffle(x, groups=3)\ny = conv(s, out=5)",
        "b = batch_norm(x)\ns = channel_shuffle(b, groups=3)\nr = relu(s)\nd = conv(r, groups=12)\ny = conv(d, out=5, kernel=1)",
        "r = relu(x)\ns = channel_shuffle(r, groups=4)\noutput y = s",
        "r = relu(x)\nb = batch_norm(r)\nd = conv(b, groups=12)\ns = channel_shuffle(d, groups=4)\ng = conv(s, out=6, groups=2)",
        "s = gather(x, indices=[3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8])\n"
        "y = conv(s, out=5)\nz = conv(s, out=4)\nq = add(y, y)\noutput a = y\noutput b = z",
        "s = channel_shuffle(x, groups=3)\nt = channel_shuffle(s, groups=3)\ny = conv(t, out=5)",
    ],
)
def test_into_the_weights(lines: str) -> None:
    after = proven(graph(HEAD + lines))
    assert not {"channel_shuffle", "gather"} & set(operators(after))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            "g = conv(x, out=12, groups=3)\ns = channel_shuffle(g, groups=3)\ny = conv(s, out=6, groups=3)",
            "behind it conv 'y' wants its channels as they are; before it conv 'g' writes them so",
        ),
        (
            "g = conv(x, out=12, groups=3)\ns = channel_shuffle(g, groups=3)\noutput y = s",
            "'s' is an output of the network",
        ),
        (
            "a = conv(x, out=6)\nb = conv(x, out=6)\nc = concat(a, b)\n"
            "s = channel_shuffle(c, groups=2)\nl = slice(s, end=6)\ny = tanh(l)\noutput o = s",
            "the channels stand in 2 parts",
        ),
    ],
)
def test_it_refuses_with_a_reason(lines: str, reason: str) -> None:
    model = graph(HEAD + lines)
    result = FoldShuffle().run(model)
    assert result.model is model
    assert reason in dict(result.misses)["s"]


def test_a_choice_that_is_read_as_it_is_stays() -> None:
    model = graph(
        f"{HEAD}s = channel_shuffle(x, groups=3)\nl = slice(s, end=6)\ny = tanh(s)\noutput a = l\noutput b = y"
    )
    result = MergePicks().run(model)
    assert dict(result.misses)["l"] == "'s' is read as it is, by y: it would stay"


def test_an_output_never_becomes_the_input_itself() -> None:
    model = graph("input x: [N, 4, 3, 3]\na = channel_shuffle(x, groups=2)\nb = channel_shuffle(a, groups=2)")
    result = MergePicks().run(model)
    assert "a node must stand between" in dict(result.misses)["b"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_any_graph_keeps_its_function(model: Model) -> None:
    telling = randomised(model) or model
    assert whole(telling, PassManager([MergePicks(), FoldShuffle()], TorchProbe()).run(telling).model) < 1e-9
