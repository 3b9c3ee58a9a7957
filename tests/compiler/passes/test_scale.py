"""Passes over a network of five thousand nodes do about four times what they do over a quarter of it.

Function calls are counted, not seconds: the count is the same on every machine. A sweep that asked every reader again, or
looked through the whole graph at each match, would show as sixteen times as many.
"""

from __future__ import annotations

from cProfile import Profile
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import PASSES, PassManager, Rewrite

SMALL, LARGE = 32, 128
# Of a square it would be 16; a sorted list, or a dictionary that grows, adds a little.
MOST = 4.4

# Forty nodes that keep the type of what they read: every pass finds something in them, and something it must refuse.
BLOCK = """
{0}a = conv({1}, bias=false)
{0}b = batch_norm({0}a)
{0}c = conv({1}, kernel=1, bias=false)
{0}d = batch_norm({0}c)
{0}e = batch_norm({1})
{0}f = add({0}b, {0}d, {0}e)
{0}g = relu({0}f)
{0}h = conv({0}g, kernel=1)
{0}i = conv({0}h, groups=8)
{0}j = channel_shuffle({0}i, groups=2)
{0}k = channel_shuffle({0}j, groups=4)
{0}l = slice({0}k, end=4)
{0}m = slice({0}k, start=4)
{0}n = conv({0}m, kernel=1)
{0}o = concat({0}l, {0}n)
{0}p = batch_norm({0}o)
{0}three = constant(value=3.0)
{0}six = constant(value=6.0)
{0}q = add({0}p, {0}three)
{0}r = clip({0}q, min=0.0, max=6.0)
{0}s = mul({0}p, {0}r)
{0}t = div({0}s, {0}six)
{0}u = global_avg_pool({0}t, keepdims=true)
{0}v = conv({0}u, kernel=1)
{0}w = sigmoid({0}v)
{0}x = mul({0}t, {0}w)
{0}y = pad({0}x, padding=1)
{0}z = conv({0}y, padding=0)
{0}aa = dropout({0}z)
{0}ab = batch_norm({0}aa)
{0}ac = conv({0}ab)
{0}ad = conv({0}ab) with weight={0}ac.weight, bias={0}ac.bias
{0}ae = sub({0}ac, {0}ad)
{0}af = conv({0}ab, out=6)
{0}ag = slice({0}af, end=4)
{0}ah = concat({0}ag, {0}l)
{0}ai = add({0}ah, {0}ae)
{0}aj = scale({0}ai)
{0}out = add({0}aj, {1})
"""


@cache
def network(blocks: int) -> Model:
    lines, last = ["input x: [N, 8, 16, 16]"], "x"
    for i in range(blocks):
        lines.append(BLOCK.format(f"b{i}", last))
        last = f"b{i}out"
    return graph("\n".join(lines))


def exact(one: Rewrite[Any]) -> Rewrite[Any]:
    return one.judged_by(replace(one.worth, enabled=False))


def calls(model: Model) -> dict[str, int]:
    """How many functions each pass calls, the check behind it included, where the passes before it have run."""
    counts: dict[str, int] = {}
    for name, one in PASSES.items():
        profile = Profile()
        model = profile.runcall(PassManager([exact(one)]).run, model).model
        counts[name] = sum(entry.callcount for entry in profile.getstats())
    return counts


def test_a_network_of_five_thousand_nodes_takes_calls_in_proportion() -> None:
    assert len(network(LARGE).graph) == pytest.approx(5000, rel=0.01)
    few, many = calls(network(SMALL)), calls(network(LARGE))
    ratios = {name: round(many[name] / few[name], 2) for name in few}
    assert max(ratios.values()) < MOST, ratios
    assert sum(many.values()) < 250 * len(many) * len(network(LARGE).graph), "calls a pass and node"


def fan(readers: int) -> Model:
    """One value that many layers read."""
    lines = [f"c{i} = conv(r, kernel=1)\ns{i} = relu(c{i})\noutput y{i} = s{i}" for i in range(readers)]
    return graph("input x: [N, 4, 8, 8]\nr = relu(x)\n" + "\n".join(lines))


def test_a_value_that_thousands_read_takes_calls_in_proportion() -> None:
    few, many = calls(fan(100)), calls(fan(400))
    ratios = {name: round(many[name] / few[name], 2) for name in few}
    assert max(ratios.values()) < MOST, ratios


def long_sum(terms: int) -> Model:
    """One sum after the other: of branches of one value, and of strangers."""
    lines, last = ["input x: [N, 4, 8, 8]", "c = conv(x)"], "c"
    for i in range(terms):
        branch = ("conv(x)", "tanh(x)", "conv(x, kernel=1)")[i % 3]
        lines.append(f"r{i} = {branch}\ns{i} = {'sub' if i % 4 == 3 else 'add'}({last}, r{i})")
        last = f"s{i}"
    return graph("\n".join([*lines, f"z = relu({last})"]))


def test_a_sum_of_hundreds_takes_calls_in_proportion() -> None:
    few, many = calls(long_sum(60)), calls(long_sum(240))
    ratios = {name: round(many[name] / few[name], 2) for name in few}
    assert max(ratios.values()) < MOST, ratios
