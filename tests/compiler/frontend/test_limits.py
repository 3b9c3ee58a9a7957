"""Limits of an elaboration: nothing a person writes hangs, recurses without end, or takes time out of proportion."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from convc.compiler.frontend.context import MAX_CALLS
from tests.compiler.frontend.nets import Nets, names


def calls_of(work: Callable[[], Any]) -> int:
    """How many Python functions a piece of work calls: as good as its time, and the same on every machine."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


GENERATED: dict[str, Callable[[int], str]] = {
    "a flat list": lambda n: "".join(
        f"  - conv: {{out: 4, kernel: 1}}\n    id: c{i}\n  - batch_norm\n" for i in range(n // 2)
    ),
    "references": lambda n: "".join(
        f"  - relu:\n    id: r{i}\n  - add: [r{i}, r{max(0, i - 9)}]\n" for i in range(n // 2)
    ),
    "a repeat": lambda n: f"  - conv_bn:\n    id: s\n    repeat: {n // 2}\n",
    "a repeat without an id": lambda n: f"  - seq: [{{relu: , id: a}}, {{tanh: }}]\n    repeat: {n // 2}\n",
    "a loop that reads its rows": lambda n: (
        f"  - for: k\n    in: range({n // 2})\n    id: s\n    do:\n"
        + "      - relu:\n        id: a\n      - add: [x, 's[row - 1] if row > 0 else x', 's.0.a if row > 0 else x']\n"
    ),
    "blocks": lambda n: "".join(f"  - residual: [{{conv_bn_act: 4}}]\n    id: b{i}\n" for i in range(n // 4)),
    "branches": lambda n: "  - branches: {a: [relu], b: [tanh]}\n    merge: add\n" * (n // 3),
    "skipped steps": lambda n: (
        "".join(f"  - relu:\n    id: k{i}\n    when: false\n" for i in range(n)) + "  - add: [k0, k7]\n"
    ),
}


@pytest.mark.parametrize("kind", GENERATED)
def test_work_grows_about_linearly(nets: Nets, kind: str) -> None:
    nets.net("network: [conv_bn_act]")
    small, large = (f"network:\n{GENERATED[kind](n)}" for n in (300, 3000))
    few, many = calls_of(lambda: nets.net(small)), calls_of(lambda: nets.net(large))
    assert many < 12 * few


# What profiling cannot see is done inside C: comparing names, copying dictionaries. The values below are looked at instead.


def test_a_loop_shows_its_rows_without_copying_them() -> None:
    from convc.compiler.frontend.values import POISON, Rounds, Value, rounds

    done: list[Value] = [POISON] * 3
    view = rounds(done)
    done.append(POISON)
    assert isinstance(view.parts, Rounds)
    assert (len(view), list(view.parts)) == (3, ["0", "1", "2"])
    assert [key in view.parts for key in ("2", "3", "02", "-1", "x", "٣")] == [True, False, False, False, False, False]
    with pytest.raises(IndexError):
        view.part(3)
    assert view.part(-3) is POISON


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            "- for: a\n  in: range(9000)\n  do:\n    - for: b\n      in: range(9000)\n      do: []",
            "more than 120,000 steps run",
        ),
        ("- for: a\n  in: range(9000)\n  do:\n    - seq: []\n      repeat: 9000", "more than 120,000 steps run"),
        ("- for: a\n  in: range(9000)\n  do:\n    - relu:\n      repeat: 9", "more than 50,000 nodes"),
        ("- twice: 30", "more than 120,000 steps run"),
        ("- deep: 70", f"nested deeper than {MAX_CALLS} calls"),
        ("- conv: 2000000\n- conv: 2000000", "the parameters pass 2,147,483,647 values"),
        ("- linear: 2000000000", "more than 17,179,869,184 values"),
        ("- resize: 1000000", "more than 17,179,869,184 values"),
        ("- parameter: [100000, 100000]", "the parameters pass"),
    ],
)
def test_what_is_out_of_proportion_is_refused(nets: Nets, steps: str, message: str) -> None:
    blocks = """\
blocks:
  twice:
    params: {n: int}
    body:
      - {twice: n - 1, when: n > 0}
      - {twice: n - 1, when: n > 0}
  deep:
    params: {n: int}
    body: [{deep: n - 1, when: n > 0}]
"""
    found = nets.problems(f"{blocks}network:\n{steps}")
    assert message in found[-1].message


def test_a_mistake_in_every_round_of_a_long_loop_ends_soon(nets: Nets) -> None:
    text = "network:\n" + "".join(f"  - relu:\n    id: name{i}\n" for i in range(3000))
    text += "  - for: k\n    in: range(9000)\n    do:\n      - add: [image, nme17]\n        id: a\n"
    count = calls_of(lambda: nets.problem(text))
    assert count < 2_000_000


def nested(wiring: str, depth: int) -> str:
    """Steps inside steps, a YAML level or two each."""
    head, tail = wiring.split("@")
    return head * depth + "relu" + tail * depth


@pytest.mark.parametrize(
    "wiring",
    [
        "{seq: [@]}",
        "{residual: [@]}",
        "{branches: {a: [@]}, merge: add}",
        "{split: {a: [@]}, merge: add}",
        "{share: [@], from: [x]}",
    ],
)
def test_steps_nest_as_deep_as_yaml_lets_them(nets: Nets, wiring: str) -> None:
    depth = 18
    assert names(nets.net(f"network: [{nested(wiring, depth)}]"))


def test_nested_steps_in_nested_blocks_end_in_a_message_or_a_network(nets: Nets) -> None:
    wiring = nested("{seq: [@], id: s}", 20).replace("relu", "{b: n - 1, when: n > 0}")
    text = f"blocks:\n  b:\n    params: {{n: int}}\n    body: [{wiring}, relu]\nnetwork: [b: {{}}]"
    assert len(names(nets.net(text.replace("b: {}", "b: 11")))) == 12
    assert "steps are nested deeper than 256" in nets.problem(text.replace("b: {}", "b: 60")).message


def test_the_deepest_network_that_is_allowed_is_elaborated(nets: Nets) -> None:
    text = (
        "blocks:\n  b:\n    params: {n: int}\n"
        "    body: [{residual: [{residual: [relu, {b: n - 1, when: n > 0}]}]}]\nnetwork: [b: 62]"
    )
    assert len(names(nets.net(text))) == 3 * 63


def test_an_expression_in_a_deep_block_is_computed(nets: Nets) -> None:
    deep = "(" * 40 + "n" + ")" * 40
    text = (
        f"blocks:\n  b:\n    params: {{n: int}}\n    body: [relu, {{b: '{deep} - 1', when: n > 0}}]\nnetwork: [b: 60]"
    )
    assert len(names(nets.net(text))) == 61


def test_the_recursion_limit_is_put_back(nets: Nets) -> None:
    before = sys.getrecursionlimit()
    nets.net("network: [relu]")
    nets.problems("network: [{conv: 0}]")
    assert sys.getrecursionlimit() == before
