"""A map behind a concat goes into the operands that take it, where a smaller one is left for the others and that pays."""

from __future__ import annotations

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import Worth
from convc.compiler.passes.exact import FoldAffineBack
from convc.compiler.passes.manager import Optimised, PassManager
from convc.compiler.probe import TorchProbe, randomised, whole

OFF = Worth("generic", 1, 1, 1, enabled=False)


def optimised(text: str, free: bool = False, size: int = 56) -> tuple[Model, Optimised]:
    before = graph(f"input x: [N, 6, {size}, {size}]\n{text}")
    before = randomised(before) or before
    done = PassManager([FoldAffineBack().judged_by(OFF) if free else FoldAffineBack()], TorchProbe()).run(before)
    assert whole(before, done.model) < 1e-11
    return done.model, done


def operators(model: Model) -> str:
    return " ".join(sorted(node.op.name for node in model.graph))


@pytest.mark.parametrize(
    ("text", "left", "kept"),
    [
        ("a = conv(x, out=20)\nr = relu(x)\nc = concat(a, r)\ny = batch_norm(c)\nz = tanh(y)",
         "batch_norm concat conv relu tanh", "r"),
        ("a = conv(x, out=20)\nr = relu(x)\nc = concat(r, a)\ny = scale(c)\nz = tanh(y)", "concat conv relu scale tanh", "r"),
        ("a = conv(x, out=20)\np = max_pool(x, kernel=3, stride=1, padding=1)\nb = conv(x, out=4)\nc = concat(a, p, b)\n"
         "y = batch_norm(c)\nz = tanh(y)", "batch_norm concat conv conv max_pool tanh", "p"),
        # one number for all of them
        ("a = conv(x, out=20)\nr = relu(x)\nc = concat(a, r)\nk = constant(value=3.0)\ny = add(c, k)\nz = tanh(y)",
         "batch_norm concat conv relu tanh", "r"),
    ],
)  # fmt: skip
def test_what_takes_its_part_takes_it(text: str, left: str, kept: str) -> None:
    after, done = optimised(text)
    assert operators(after) == left
    part = after.graph.nodes[f"y/of_{kept}"]
    assert part.inputs == (kept,)
    assert part.type.channels == 6
    assert done.records[0].rewrites == 1


@pytest.mark.parametrize("right", ["conv(x, out=4)", "tanh(x)"])
def test_one_sign_and_a_number_a_channel(right: str) -> None:
    """t - x: the factor is -1 for all, the shift one a channel."""
    count = 24 if "conv" in right else 26
    text = f"a = conv(x, out=20)\nr = {right}\nc = concat(a, r)\nk = parameter(shape=[{count}, 1, 1])\ny = sub(k, c)\nz = tanh(y)"
    after, done = optimised(text)
    assert done.records[0].rewrites == 1
    assert ("y/of_r" in after.graph.nodes) == ("tanh" in right)


def test_a_map_that_all_take_leaves_nothing() -> None:
    after, _ = optimised("a = conv(x)\nb = conv(x)\nc = concat(a, b)\ny = batch_norm(c)\nz = relu(y)")
    assert operators(after) == "concat conv conv relu"


def test_a_norm_with_the_relu_behind_it_stays_one() -> None:
    """DenseNet's: a runtime computes both at once, but no norm before a concat with a relu behind that."""
    text = "a = conv(x, out=20)\nr = tanh(x)\nc = concat(a, r)\ny = batch_norm(c)\nz = relu(y)"
    after, done = optimised(text)
    assert operators(after) == "batch_norm concat conv relu tanh"
    assert after.graph.nodes["y"].type.channels == 26
    assert "others of the concat could take their part: no faster" in dict(done.records[0].misses)["y"]
    assert optimised(text, free=True)[0].graph.nodes["y/of_r"].type.channels == 6


def test_several_small_maps_cost_more_than_one() -> None:
    text = "a = conv(x, out=2)\nr = relu(x)\ns = tanh(x)\nt = sigmoid(x)\nc = concat(r, a, s, t)\ny = batch_norm(c)\nz = relu(y)"
    after, done = optimised(text, size=9)
    assert operators(after) == "batch_norm concat conv relu relu sigmoid tanh"
    assert "others of the concat could take their part: no faster" in dict(done.records[0].misses)["y"]
    assert operators(optimised(text, free=True, size=9)[0]).count("batch_norm") == 3


@pytest.mark.parametrize(
    "text",
    [
        # somebody else reads the concat, or the convolution
        "a = conv(x, out=20)\nr = relu(x)\nc = concat(a, r)\ny = batch_norm(c)\ns = tanh(c)\noutput y = y\noutput s = s",
        "a = conv(x, out=20)\nr = relu(a)\nc = concat(a, r)\ny = batch_norm(c)\nz = relu(y)",
        "a = conv(x, out=6)\nr = relu(x)\nc = concat(a, r, a)\ny = batch_norm(c)\nz = relu(y)",
        "a = conv(x, out=6)\nr = relu(x)\nc = concat(a, r, axis=2)\ny = batch_norm(c)\nz = relu(y)",
        # what reads the map takes it as a whole
        "a = conv(x, out=20)\nr = relu(x)\nc = concat(a, r)\ny = batch_norm(c)\nz = conv(y, kernel=1)",
    ],
)  # fmt: skip
def test_it_stays_whole(text: str) -> None:
    _, done = optimised(text, free=True)
    assert done.records[0].rewrites == 0
    assert dict(done.records[0].misses)["y"]
