"""Of siblings in a concat those merge that pay, though not all do; and those that do not say why."""

from __future__ import annotations

from typing import Any

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import Worth
from convc.compiler.passes.exact import MergeSiblings
from convc.compiler.passes.manager import Optimised, PassManager
from convc.compiler.passes.rewrite import Rewrite
from convc.compiler.probe import TorchProbe, randomised, whole

OFF = Worth("generic", 1, 1, 1, enabled=False)


def optimised(text: str, free: bool = False, channels: int = 64, size: int = 56) -> tuple[Model, Optimised]:
    before = graph(f"input x: [N, {channels}, {size}, {size}]\n{text}")
    before = randomised(before) or before
    one: Rewrite[Any] = MergeSiblings().judged_by(OFF) if free else MergeSiblings()
    done = PassManager([one], TorchProbe()).run(before)
    assert whole(before, done.model) < 1e-11
    return done.model, done


def convs(model: Model) -> list[tuple[str, int]]:
    return [(node.name, node.type.channels) for node in model.graph if node.op.name == "conv"]


def reasons(done: Optimised) -> str:
    return " ".join(reason for record in done.records for _, reason in record.misses)


@pytest.mark.parametrize(
    ("kernels", "left"),
    [
        ((1, 1, 5), [("a", 16), ("c", 8)]),
        ((5, 1, 1), [("a", 8), ("b", 16)]),
        ((1, 1, 5, 1), [("a", 16), ("c", 8), ("d", 8)]),
        ((5, 1, 1, 1, 5), [("a", 8), ("b", 24), ("e", 8)]),
        ((1, 1, 5, 5), [("a", 16), ("c", 16)]),
        ((1, 1, 1), [("a", 24)]),
    ],
)
def test_neighbours_of_one_kernel_merge_beside_others(kernels: tuple[int, ...], left: list[tuple[str, int]]) -> None:
    names = "abcdefg"[: len(kernels)]
    lines = [f"{name} = conv(x, out=8, kernel={kernel})" for name, kernel in zip(names, kernels, strict=True)]
    after, _ = optimised("\n".join([*lines, f"y = concat({', '.join(names)})", "z = relu(y)"]))
    assert convs(after) == left


def test_strides_that_cannot_stand_together_leave_a_part() -> None:
    text = (
        "a = conv(x, out=8, kernel=[5, 5], padding=0)\nb = conv(x, out=8, kernel=[5, 5], padding=0)\n"
        "c = conv(x, out=8, stride=2)\ny = concat(a, b, c)\nz = relu(y)"
    )
    after, _ = optimised(text, free=True, size=8)
    assert convs(after) == [("a", 16), ("c", 8)]


def test_a_stranger_parts_two_rows_and_both_merge() -> None:
    text = (
        "a = conv(x, out=8)\nb = conv(x, out=8)\nr = relu(x)\nc = conv(r, out=8)\nd = conv(r, out=8)\n"
        "y = concat(a, b, x, c, d)\nz = relu(y)"
    )
    after, _ = optimised(text)
    assert convs(after) == [("a", 16), ("c", 16)]


def test_siblings_that_are_cut_apart_are_all_or_none() -> None:
    lines = ["a = conv(x, out=2, kernel=1)", "b = conv(x, out=2, kernel=1)", "c = conv(x, out=1024, kernel=1)"]
    ends = [f"{name}r = relu({name})\noutput {name} = {name}r" for name in "abc"]
    after, done = optimised("\n".join(lines + ends), channels=512)
    assert convs(after) == [("a", 2), ("b", 2), ("c", 1024)]
    assert "'a', 'b', 'c' could merge: no faster" in reasons(done)


def test_an_output_stays_and_the_others_merge() -> None:
    text = "a = conv(x, out=2)\nb = conv(x, out=2)\nc = conv(x, out=2)\nr = relu(b)\ns = tanh(c)\n"
    after, _ = optimised(f"{text}output a = a\noutput r = r\noutput s = s", free=True, size=9)
    assert convs(after) == [("a", 2), ("b.siblings", 4)]
    after, done = optimised(f"{text}output a = a\noutput b = b\noutput r = r\noutput s = s", free=True, size=9)
    assert len(convs(after)) == 3
    assert "its sibling 'a' is an output of the network" in reasons(done)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = conv(x, groups=2)\nb = conv(x)\ny = concat(a, b)\nz = relu(y)", "'a' has groups"),
        (
            "a = conv(x)\nb = conv(x)\ny = concat(a, b)\nw = tanh(b)\nz = relu(y)\noutput w = w\noutput z = z",
            "'b' also feeds w",
        ),
        (
            "a = conv(x)\nb = conv(x)\ny = concat(a, b)\nz = relu(y)\noutput b = b\noutput z = z",
            "'b' is an output of the network",
        ),
        ("a = conv(x)\nb = conv(x)\ny = concat(a, b, a)\nz = relu(y)", "'a' stands in the concat twice"),
        (
            "a = conv(x, padding_mode=reflect)\nb = conv(x)\ny = concat(a, b)\nz = relu(y)",
            "it pads with reflect values",
        ),
    ],
)
def test_neighbours_that_cannot_merge_say_why(text: str, reason: str) -> None:
    # Where nobody asks the price, what somebody else reads as well is cut out again.
    after, done = optimised(text, free="also feeds" not in reason, channels=4, size=9)
    assert len(convs(after)) == 2
    assert reason in reasons(done)
