"""A convolution over a concat that repeats a value, or over channels of zeros, reads each value once."""

from __future__ import annotations

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import Worth
from convc.compiler.passes.exact import MergeRepeats
from convc.compiler.passes.manager import Optimised, PassManager
from convc.compiler.probe import TorchProbe, randomised, whole

OFF = Worth("generic", 1, 1, 1, enabled=False)
IMAGE = "input x: [N, 4, 9, 8]\n"


def optimised(text: str, free: bool = False) -> tuple[Model, Optimised]:
    before = graph(f"{IMAGE}{text}")
    before = randomised(before) or before
    done = PassManager([MergeRepeats().judged_by(OFF) if free else MergeRepeats()], TorchProbe()).run(before)
    assert whole(before, done.model) < 1e-12
    return done.model, done


def operators(model: Model) -> str:
    return " ".join(node.op.name for node in model.graph)


@pytest.mark.parametrize(
    ("text", "left", "channels"),
    [
        ("c = concat(x, x)\ny = conv(c, out=5)", "conv", 4),
        ("r = relu(x)\nc = concat(x, r, x)\ny = conv(c, out=5, bias=false)", "relu concat conv", 8),
        ("r = relu(x)\nc = concat(r, x, r, r, x)\ny = conv(c, padding_mode=reflect)", "relu concat conv", 8),
        ("c = concat(x, x)\ny = conv(c, stride=2, padding=same_upper)", "conv", 4),
        ("p = pad(x, axes=[1], padding=[2, 3])\ny = conv(p, out=6)", "conv", 4),
    ],
)
def test_each_value_is_read_once(text: str, left: str, channels: int) -> None:
    after, _ = optimised(text)
    assert operators(after) == left
    assert after.graph.nodes["y"].op.name == "conv"
    assert after.params["y.weight"].shape[1] == channels


def test_a_concat_that_others_read_stays_for_them() -> None:
    text = "r = relu(x)\nc = concat(x, r, x)\ny = conv(c)\ns = tanh(c)\noutput y = y\noutput s = s"
    after, done = optimised(text, free=True)
    assert sorted(operators(after).split()) == ["concat", "concat", "conv", "relu", "tanh"]
    after, done = optimised(text)
    assert sorted(operators(after).split()) == ["concat", "conv", "relu", "tanh"]
    assert "each channel of 'c' could be read once: no faster" in done.records[0].misses[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "r = relu(x)\nc = concat(x, r)\ny = conv(c)",
        "c = concat(x, x, axis=2)\ny = conv(c)",
        "c = concat(x, x)\ny = conv(c, groups=2)",
        "p = pad(x, axes=[1], padding=[2, 3], value=1.0)\ny = conv(p)",
        "p = pad(x, axes=[1, 2], padding=[1, 1, 1, 1])\ny = conv(p)",
        "p = pad(x, padding=1)\ny = conv(p)",
        "c = concat(x, x)\nr = relu(c)\ny = conv(r)",
    ],
)
def test_what_repeats_nothing_stays(text: str) -> None:
    assert operators(optimised(text, free=True)[0]) == operators(graph(f"{IMAGE}{text}"))
