"""Branches merge through sums of sums, past strangers and across differences; what is left adds up to the same."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from convc.compiler.ir.text import graph
from convc.compiler.passes import WORTHS
from convc.compiler.passes.exact import MergeBranches
from convc.compiler.passes.manager import Optimised, PassManager
from convc.compiler.passes.rewrite import Rewrite
from convc.compiler.probe import TorchProbe, randomised, whole

FREE = replace(WORTHS["generic"], enabled=False)
TERMS = "a = conv(x)\nb = conv(x, kernel=1)\ns = relu(x)\nt = tanh(x)\n"


def optimised(text: str, channels: int = 4, size: int = 9, free: bool = True) -> tuple[str, Optimised]:
    """The operators that are left, each rewrite and the whole proven."""
    before = graph(f"input x: [N, {channels}, {size}, 8]\n{text}")
    before = randomised(before) or before
    one: Rewrite[Any] = MergeBranches().judged_by(FREE) if free else MergeBranches()
    done = PassManager([one], TorchProbe()).run(before)
    assert whole(before, done.model) < 1e-11
    return " ".join(sorted(node.op.name for node in done.model.graph)), done


def rewrites(done: Optimised) -> int:
    return sum(record.rewrites for record in done.records)


def reasons(done: Optimised) -> str:
    return " ".join(reason for record in done.records for _, reason in record.misses)


@pytest.mark.parametrize(
    ("sums", "left"),
    [
        ("p = add(a, s)\ny = add(p, b)", "add conv relu tanh"),
        ("p = add(s, a)\ny = add(b, p)", "add conv relu tanh"),
        ("p = add(a, s)\nq = add(p, t)\ny = add(q, b)", "add add conv relu tanh"),
        ("p = add(a, s)\nq = add(t, b)\ny = add(p, q)", "add add conv relu tanh"),
        ("p = add(a, s, t)\ny = add(p, b, x)", "add conv relu tanh"),
        # differences: what is left of a subtrahend may count negatively alone
        ("p = sub(a, s)\nq = sub(b, t)\ny = sub(p, q)", "add conv relu sub tanh"),
        ("p = sub(s, a)\ny = sub(p, b)", "conv relu sub tanh"),
        ("p = sub(s, a)\nq = sub(b, t)\ny = add(p, q)", "conv relu sub sub tanh"),
        ("p = add(b, t)\nq = sub(a, s)\ny = sub(q, p)", "conv relu sub sub tanh"),
        ("p = sub(b, s)\nq = sub(x, t)\nr = add(p, q)\ny = sub(a, r)", "add add conv relu tanh"),
        ("p = sub(b, s)\nq = sub(p, t)\ny = add(a, q)", "add conv relu sub tanh"),
        # x twice, by itself and under two sums
        ("p = add(x, a)\nq = add(p, x)\ny = sub(q, b)", "conv relu tanh"),
        ("p = add(x, x)\nq = sub(p, a)\ny = add(b, q)", "conv relu tanh"),
        # the value of a sum of two is the other operand of the next
        ("p = sub(a, b)\ny = add(s, p)", "add conv relu tanh"),
    ],
)  # fmt: skip
def test_a_tree_of_sums_merges_in_one_go(sums: str, left: str) -> None:
    found, done = optimised(f"{TERMS}{sums}\nz = relu(y)\noutput z = z\noutput t = t\noutput s = s")
    assert found == " ".join(sorted([*left.split(), "relu"]))
    assert rewrites(done) == 1


def test_branches_of_two_values_merge_at_once() -> None:
    found, done = optimised(
        f"{TERMS}c = conv(s)\nd = conv(s, kernel=1)\np = add(a, c)\nq = add(b, d)\ny = sub(p, q)\nz = tanh(y)"
    )
    assert found == "add conv conv relu tanh tanh"
    assert rewrites(done) == 1


def test_a_sum_that_somebody_else_reads_is_a_term() -> None:
    for other in ("output p = p", "w = sigmoid(p)\noutput w = w"):
        found, _ = optimised(f"{TERMS}p = add(a, s)\ny = add(p, b)\n{other}\noutput y = y\noutput t = t")
        assert found.count("conv") == 2


def test_a_sum_that_is_repeated_along_an_axis_is_a_term() -> None:
    text = "a = conv(x, out=1)\nb = conv(x, kernel=1)\nc = conv(x, out=1)\np = add(a, c)\ny = add(p, b)\nz = relu(y)"
    assert optimised(text)[0] == "add conv conv relu"


def test_the_part_of_a_group_that_pays_merges() -> None:
    """The grouped one would cost 64 times its MACs in the dense kernel of the others, which fit each other."""
    text = "a = conv(x, groups=64)\nb = conv(x, kernel=1)\nc = conv(x, kernel=1)\np = add(a, b)\ny = add(p, c)\nz = relu(y)"
    found, done = optimised(text, channels=64, size=99, free=False)
    assert found == "add conv conv relu"
    assert sorted(
        dict(node.op.arguments()).get("groups", 1) for node in done.model.graph if node.op.name == "conv"
    ) == [1, 64]
    assert "could merge: no faster" in reasons(done)
    assert optimised(text, channels=64)[0] == "conv relu"


def test_strides_that_differ_leave_the_others_to_merge() -> None:
    text = "a = conv(x, kernel=[5, 4], padding=0)\nb = conv(x, stride=2, padding=[1, 2, 1, 1])\n"
    found, _ = optimised(f"{text}c = conv(x, kernel=[5, 4], padding=0)\np = add(a, b)\ny = add(p, c)\nz = relu(y)")
    assert found == "add conv conv relu"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = conv(x)\nb = conv(x, kernel=1)\ny = add(a, b)\noutput early = a\noutput y = y", "'a' is an output of the network"),
        ("a = conv(x)\nb = conv(x)\ny = add(a, b)\nw = relu(b)\noutput w = w\noutput y = y", "'b' also feeds w"),
        ("a = conv(x)\nb = conv(x, padding_mode=reflect)\ny = add(a, b)\nz = relu(y)", "'b': it pads with reflect values"),
        ("a = conv(x)\ny = add(a, x, a)\nz = relu(y)", "'a' stands in the sum more than once"),
        ("a = conv(x)\nb = conv(x, kernel=1)\nc = avg_pool(b, kernel=3, stride=1, padding=1)\ny = add(a, c)\nz = relu(y)",
         "'c' behind 'b': the second pads with zeros where the first would give its bias"),
    ],
)  # fmt: skip
def test_a_branch_that_is_none_says_why(text: str, reason: str) -> None:
    _, done = optimised(text)
    assert rewrites(done) == 0
    assert "cannot merge: " in reasons(done)
    assert reason in reasons(done)


def tree(random: Random, lines: list[str], leaves: list[str]) -> str:
    """A random tree of sums over leaves; the lines that compute it."""
    if len(leaves) == 1:
        return leaves[0]
    cut = random.randrange(1, len(leaves))
    parts = [tree(random, lines, leaves[:cut]), tree(random, lines, leaves[cut:])]
    name = f"n{len(lines)}"
    lines.append(f"{name} = {random.choice(['add', 'sub'])}({', '.join(parts)})")
    return name


@pytest.mark.parametrize("seed", range(60))
def test_random_trees_keep_their_value(seed: int) -> None:
    random = Random(seed)
    pool = [
        "conv(x)",
        "conv(x, kernel=1)",
        "conv(s)",
        "conv(s, kernel=[1, 3])",
        "batch_norm(x)",
        "tanh(x)",
        "global_avg_pool(x, keepdims=true)",
    ]
    lines = ["s = relu(x)"]
    leaves = []
    for i in range(random.randrange(3, 9)):
        if random.random() < 0.2:
            leaves.append(random.choice(["x", "s"]))
            continue
        lines.append(f"l{i} = {random.choice(pool)}")
        leaves.append(f"l{i}")
    lines.append(f"z = tanh({tree(random, lines, leaves)})")
    found, _ = optimised("\n".join(lines))
    convs = [line for line in lines if "= conv(x)" in line or "= conv(x, kernel" in line]
    others = [line for line in lines if "= conv(s" in line]
    assert found.count("conv") == min(len(convs), 1) + min(len(others), 1)
