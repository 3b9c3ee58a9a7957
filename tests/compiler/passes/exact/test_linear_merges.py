"""Linear branches, pairs and siblings become one convolution where that is the same function, and say why where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convc.compiler.ir.text import graph
from convc.compiler.passes import WORTHS
from convc.compiler.passes.exact import FoldBatchNorm, FusePointwise, MergeBranches, MergeSiblings
from convc.compiler.passes.manager import Optimised, PassManager
from convc.compiler.passes.rewrite import Rewrite
from convc.compiler.probe import TorchProbe, randomised, whole

FREE = replace(WORTHS["generic"], enabled=False)


def optimised(text: str, *passes: Rewrite[Any], channels: int = 8, free: bool = False) -> tuple[list[str], Optimised]:
    """Operators behind the passes, each rewrite proven, and the whole too."""
    before = graph(f"input x: [N, {channels}, 17, 14]\n{text}")
    before = randomised(before) or before
    done = PassManager([one.judged_by(FREE) if free else one for one in passes], TorchProbe()).run(before)
    assert whole(before, done.model) < 1e-11
    return [node.op.name for node in done.model.graph], done


def reasons(done: Optimised) -> str:
    return " ".join(reason for record in done.records for _, reason in record.misses)


@pytest.mark.parametrize(
    ("branches", "left"),
    [
        # RepVGG
        ("a = conv(x, bias=false)\nb = batch_norm(a)\nc = conv(x, kernel=1, bias=false)\nd = batch_norm(c)\ne = batch_norm(x)\n"
         "y = add(b, d, e)", ["conv"]),
        ("a = conv(x)\nb = conv(x, kernel=1)\ny = add(a, b)", ["conv"]),
        # ACNet
        ("a = conv(x)\nb = conv(x, kernel=[1, 3])\nc = conv(x, kernel=[3, 1])\ny = add(a, b, c)", ["conv"]),
        # Diverse Branch Block: a mean of what a 1x1 gives, normed
        ("a = conv(x)\nb = conv(x, kernel=1, bias=false)\nc = avg_pool(b, kernel=3, stride=1, padding=1)\nd = batch_norm(c)\n"
         "y = add(a, d)", ["conv"]),
        # MobileOne
        ("a = conv(x, groups=8)\nb = conv(x, groups=8)\nc = conv(x, kernel=1, groups=8)\nd = batch_norm(x)\n"
         "y = add(a, b, c, d)", ["conv"]),
        ("a = conv(x)\ny = add(x, a)", ["conv"]),
        ("a = conv(x)\nb = scale(x)\ny = add(b, a)", ["conv"]),
        # differences
        ("a = conv(x)\nb = conv(x, kernel=5)\ny = sub(a, b)", ["conv"]),
        ("a = conv(x)\ny = sub(x, a)", ["conv"]),
        # strides and asymmetric kernels
        ("a = conv(x, stride=2)\nb = conv(x, kernel=1, stride=2)\ny = add(a, b)", ["conv"]),
        ("a = conv(x, kernel=2, padding=[1, 0, 0, 1])\nb = conv(x, kernel=[3, 1])\ny = add(a, b)", ["conv"]),
        # a sum with a stranger keeps him
        ("r = relu(x)\na = conv(x)\nb = conv(x, kernel=5)\ny = add(a, r, b)", ["relu", "conv", "add"]),
        # the survivor had other channels than the sum
        ("r = relu(x)\na = conv(x, out=3, kernel=1)\nb = conv(a, out=8, kernel=1)\nc = conv(x)\ny = add(b, r, c)",
         ["relu", "conv", "add"]),
        # sums of sums
        ("a = conv(x)\nb = conv(x, kernel=1)\nc = add(a, b)\nd = conv(x, kernel=[1, 3])\ny = add(c, d)", ["conv"]),
    ],
)  # fmt: skip
def test_branches_of_one_value_become_one_convolution(branches: str, left: list[str]) -> None:
    found, done = optimised(f"{branches}\nz = relu(y)", FoldBatchNorm(), MergeBranches())
    assert found == [*left, "relu"]
    # What was merged stands for all it came from.
    assert done.model.graph.nodes["z"].inputs[0] in {"a", "b", "c", "y"}


def test_groups_and_dilations_that_differ_merge_where_that_pays_or_nobody_asks() -> None:
    wide = "a = conv(x, groups=64)\nb = conv(x, kernel=1)\ny = add(a, b)\nz = relu(y)"
    found, done = optimised(wide, MergeBranches(), channels=64)
    assert found == ["conv", "conv", "add", "relu"]
    assert "could merge: no faster on generic by the cost model" in reasons(done)
    assert optimised(wide, MergeBranches(), channels=64, free=True)[0] == ["conv", "relu"]
    holes = "a = conv(x, dilation=2)\nb = conv(x, kernel=3)\ny = add(a, b)\nz = relu(y)"
    assert optimised(holes, MergeBranches(), free=True)[0] == ["conv", "relu"]


@pytest.mark.parametrize(
    "branches",
    [
        "a = conv(x)\nr = relu(a)\nb = conv(x, kernel=1)\ny = add(r, b)",
        "a = conv(x)\nb = conv(x, kernel=1)\ny = add(a, b)\noutput early = a",
        "a = conv(x)\nb = conv(x, kernel=1)\ny = add(a, b)\nw = sigmoid(b)\noutput other = w",
        "r = relu(x)\na = conv(x)\nb = conv(r, kernel=1)\ny = add(a, b)",
        "a = conv(x)\nb = conv(x, padding_mode=reflect)\ny = add(a, b)",
        "a = conv(x, kernel=2, stride=2, padding=0)\nb = conv(x, kernel=1, padding=0)\nc = max_pool(b, kernel=2)\ny = add(a, c)",
        "a = conv(x)\nb = avg_pool(x, kernel=3, stride=1, padding=1, count_include_pad=false)\ny = add(a, b)",
        "a = conv(x)\nb = conv(x, kernel=1)\nc = avg_pool(b, kernel=3, stride=1, padding=1)\ny = add(a, c)",
        "a = conv(x)\nb = conv(x, kernel=1)\ny = mul(a, b)",
        "a = conv(x)\nb = conv(x, out=1)\ny = add(a, b)",
    ],
)  # fmt: skip
def test_what_is_not_linear_or_is_read_elsewhere_stays(branches: str) -> None:
    text = f"{branches}\nz = relu(y)\noutput out = z" if "output" in branches else f"{branches}\nz = relu(y)"
    before = sorted(optimised(text)[0])
    assert sorted(optimised(text, MergeBranches(), free=True)[0]) == before


@pytest.mark.parametrize(
    "pair",
    [
        "a = conv(x, kernel=1)\nb = conv(a, padding=0)",
        "a = conv(x, kernel=1, bias=false)\nb = conv(a)",
        "a = conv(x, out=32)\nb = conv(a, kernel=1, out=8)",
        "a = conv(x, out=32, kernel=1)\nb = conv(a, kernel=1, out=8)",
        "a = conv(x, kernel=1, stride=2)\nb = conv(a, kernel=1)",
        "a = conv(x, kernel=3, dilation=2)\nb = conv(a, kernel=1, stride=2)",
        "a = conv(x, kernel=1, stride=2, bias=false)\nb = conv(a, dilation=2)",
        "a = conv(x, groups=8)\nb = conv(a, kernel=1)",
        "a = conv(x, kernel=1, groups=2)\nb = conv(a, padding=0, groups=4)",
    ],
)
def test_a_1x1_fuses_with_its_neighbour(pair: str) -> None:
    assert optimised(f"{pair}\nz = relu(b)", FusePointwise(), free=True)[0] == ["conv", "relu"]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ("a = conv(x, kernel=1)\nb = conv(a)", "the second pads with zeros where the first would give its bias"),
        ("a = conv(x, kernel=1)\nc = sigmoid(a)\nb = conv(a, kernel=1)\noutput q = c\noutput r = b", "also feeds c"),
        ("a = conv(x, kernel=1)\nb = conv(a, kernel=1)\noutput q = a\noutput r = b", "is an output of the network"),
        ("a = conv(x, kernel=1, padding=1, padding_mode=reflect)\nb = conv(a, kernel=1)", "pads with reflect values"),
    ],
)
def test_a_pair_that_is_no_one_convolution_says_why(pair: str, reason: str) -> None:
    text = pair if "output" in pair else f"{pair}\nz = relu(b)"
    found, done = optimised(text, FusePointwise(), free=True)
    assert found.count("conv") == 2
    assert reason in reasons(done)


def test_a_depthwise_convolution_stays_before_its_1x1_where_fusing_costs() -> None:
    found, done = optimised("a = conv(x, groups=64)\nb = conv(a, kernel=1)\nz = relu(b)", FusePointwise(), channels=64)
    assert found == ["conv", "conv", "relu"]
    assert "'a' could fuse: no faster on generic" in reasons(done)


def test_siblings_for_a_concat_become_one() -> None:
    pair = "a = conv(x, kernel=1)\nb = conv(x, kernel=1, out=5)\nc = concat(a, b)\nz = relu(c)"
    assert optimised(pair, MergeSiblings())[0] == ["conv", "relu"]
    three = "r = relu(x)\na = conv(x)\nb = conv(x, kernel=1, bias=false)\nc = concat(r, a, b, r)\nz = relu(c)"
    assert optimised(three, MergeSiblings(), free=True)[0] == ["relu", "conv", "concat", "relu"]


def test_siblings_with_readers_of_their_own_are_cut_apart_where_nobody_asks_the_price() -> None:
    pair = (
        "a = conv(x, kernel=1)\nb = conv(x, kernel=1, out=5)\nc = relu(a)\nd = sigmoid(b)\noutput p = c\noutput q = d"
    )
    found, done = optimised(pair, MergeSiblings())
    assert found == ["conv", "conv", "relu", "sigmoid"]
    assert "'a', 'b' could merge: no faster" in reasons(done)
    assert sorted(optimised(pair, MergeSiblings(), free=True)[0]) == ["conv", "relu", "sigmoid", "slice", "slice"]


@pytest.mark.parametrize(
    "text",
    [
        "a = conv(x, groups=2)\nb = conv(x, groups=2)\nc = concat(a, b)\nz = relu(c)",
        "r = relu(x)\na = conv(x)\nb = conv(r)\nc = concat(a, b)\nz = relu(c)",
        "a = conv(x, stride=2)\nb = conv(x, out=4)\nd = max_pool(b, kernel=2, ceil=true)\nc = concat(a, d)\nz = relu(c)",
        "a = conv(x)\nb = conv(x, kernel=1)\nd = relu(b)\nc = concat(a, d)\nz = relu(c)",
        "a = conv(x)\nb = conv(x, kernel=1)\nc = concat(a, b, axis=2)\nz = relu(c)",
    ],
)
def test_what_are_no_siblings_stay(text: str) -> None:
    assert sorted(optimised(text, MergeSiblings(), free=True)[0]) == sorted(optimised(text)[0])


def test_a_shared_weight_is_left_to_its_other_holder() -> None:
    text = "a = conv(x)\nb = conv(x, kernel=1)\ny = add(a, b)\nz = relu(y)\nc = conv(z) with weight=a.weight, bias=a.bias\n"
    found, done = optimised(text + "output out = c", MergeBranches())
    assert found == ["conv", "relu", "conv"]
    assert done.model.graph.nodes["c"].params["weight"] != done.model.graph.nodes["a"].params["weight"]
