"""A sum of convolutions of several values becomes one convolution of their concat where that moves less, else it says why not."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from convc.compiler.ir.text import graph
from convc.compiler.passes import WORTHS
from convc.compiler.passes.exact import JoinSummands
from convc.compiler.passes.manager import Optimised, PassManager
from convc.compiler.passes.rewrite import Rewrite
from convc.compiler.probe import TorchProbe, randomised, whole

FREE = replace(WORTHS["generic"], enabled=False)


def optimised(text: str, free: bool = True, size: int = 9) -> tuple[str, Optimised]:
    """The operators that are left, each rewrite and the whole proven."""
    before = graph(f"input x: [N, 4, {size}, {size}]\ninput w: [N, 3, {size}, {size}]\n{text}\nz = tanh(y)")
    before = randomised(before) or before
    one: Rewrite[Any] = JoinSummands().judged_by(FREE) if free else JoinSummands()
    done = PassManager([one], TorchProbe()).run(before)
    assert whole(before, done.model) < 1e-11
    return " ".join(sorted(node.op.name for node in done.model.graph)), done


def reasons(done: Optimised) -> str:
    return " ".join(reason for record in done.records for _, reason in record.misses)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a = conv(x, out=5)\nb = conv(w, out=5)\ny = add(a, b)", "concat conv tanh"),
        ("a = conv(x, out=5)\nb = conv(w, out=5, bias=false)\ny = sub(a, b)", "concat conv tanh"),
        ("a = conv(x, out=5, kernel=5)\nb = conv(w, out=5, kernel=[1, 3])\ny = sub(b, a)", "concat conv tanh"),
        ("a = conv(x, out=5, stride=2)\nb = conv(w, out=5, kernel=1, stride=2)\ny = add(b, a)", "concat conv tanh"),
        # a stranger, and sums of sums
        ("s = conv(x, out=5, groups=1)\nt = relu(s)\na = conv(x, out=5)\nb = conv(w, out=5)\np = sub(a, t)\ny = sub(p, b)",
         "concat conv conv relu sub tanh"),
        ("r = relu(x)\na = conv(x)\nb = conv(w, out=4)\nc = conv(r)\np = sub(a, b)\ny = sub(p, c)", "concat conv relu tanh"),
        # concats in parts
        ("c = concat(x, w)\nr = relu(x)\na = conv(c, out=4)\nb = conv(r)\ny = add(a, b)", "concat conv relu tanh"),
        ("c = concat(x, w)\nd = concat(w, x)\na = conv(c, out=4)\nb = conv(d, out=4)\ny = add(a, b)", "concat conv tanh"),
    ],
)  # fmt: skip
def test_convolutions_of_several_values_become_one(text: str, left: str) -> None:
    found, done = optimised(text)
    assert found == left
    assert done.records[0].rewrites == 1


def test_a_concat_that_others_read_stays() -> None:
    found, done = optimised(
        "c = concat(x, w)\na = conv(c, out=4)\nb = conv(x)\np = add(a, b)\nq = conv(c, out=4)\ny = mul(p, q)"
    )
    assert found == "concat concat conv conv mul tanh"
    assert done.model.graph.nodes["a/inputs"].inputs == ("c", "x")


def test_what_is_subtracted_is_joined_where_the_inputs_are_narrow() -> None:
    text = "a = conv(x, out=64)\nb = conv(w, out=64)\ny = sub(a, b)"
    assert optimised(text, free=False, size=56)[0] == "concat conv tanh"
    wide = "u = conv(x, out=256)\nv = relu(u)\na = conv(u, out=16)\nb = conv(v, out=16)\ny = sub(a, b)"
    found, done = optimised(wide, free=False, size=56)
    assert found == "conv conv conv relu sub tanh"
    assert "'a', 'b' could join: no faster on generic" in reasons(done)


def test_a_sum_that_a_convolution_does_stays() -> None:
    text = "a = conv(x, out=64)\nb = conv(w, out=64)\ny = add(a, b)"
    found, done = optimised(text, free=False, size=56)
    assert found == "add conv conv tanh"
    assert "could join: no faster" in reasons(done)


def test_the_narrow_ones_of_several_are_joined() -> None:
    text = (
        "u = conv(x, out=512)\nr = relu(u)\na = conv(x, out=64)\nb = conv(w, out=64)\nc = conv(r, out=64)\n"
        "p = sub(a, b)\ny = sub(p, c)"
    )
    found, done = optimised(text, free=False, size=56)
    assert found == "concat conv conv conv relu sub tanh"
    assert done.model.graph.nodes["a/inputs"].inputs == ("x", "w")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = conv(x)\nb = conv(w, out=4)\nc = relu(b)\np = add(a, b)\ny = mul(p, c)", "'b' also feeds c"),
        ("a = conv(x)\nb = conv(w, out=4, padding_mode=reflect)\ny = add(a, b)", "it pads with reflect values"),
        ("a = conv(x, groups=2)\nb = conv(w, out=4)\ny = add(b, a)", "it has groups"),
        ("a = conv(x)\nb = conv(w, out=1)\ny = add(a, b)", "repeated along an axis"),
        ("a = conv(x)\nb = conv(x, dilation=2)\ny = add(a, b)", "another convolution of the sum reads the same value"),
        ("u = max_pool(x, kernel=2)\na = conv(u)\nb = conv(w, out=4, stride=2, padding=[0, 0, 0, 0])\ny = add(a, b)",
         "'a' reads [N, 4, 4, 4]"),
        ("a = conv(x, kernel=5, padding=0)\nb = conv(w, out=4, stride=2)\ny = add(a, b)", "its stride is (2, 2)"),
    ],
)  # fmt: skip
def test_what_cannot_join_says_why(text: str, reason: str) -> None:
    found, done = optimised(text)
    assert "concat" not in found
    assert reason in reasons(done)


@pytest.mark.parametrize("seed", range(12))
def test_random_sums_keep_their_value(seed: int) -> None:
    random = Random(seed)
    lines = ["r = relu(x)", "s = tanh(w)"]
    last = ""
    for i in range(random.randrange(2, 7)):
        value, kernel = random.choice("xwrs"), random.choice(["1", "3", "[1, 3]", "[5, 3]"])
        term = f"conv({value}, out=4, kernel={kernel}, bias={random.choice(['true', 'false'])})"
        lines.append(f"l{i} = {random.choice([term, term, term, 'relu(x)'])}")
        if last:
            lines.append(f"p{i} = {random.choice(['add', 'sub'])}({', '.join(random.sample([last, f'l{i}'], 2))})")
        last = f"p{i}" if last else f"l{i}"
    optimised("\n".join([*lines, f"y = neg({last})"]))
