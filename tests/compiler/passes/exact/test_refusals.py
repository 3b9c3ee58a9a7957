"""A site that looks like one for a pass, and is none, says why: in the words that `--explain` prints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convc.compiler.ir.text import graph
from convc.compiler.passes import PASSES, WORTHS
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, randomised, whole

FREE = replace(WORTHS["generic"], enabled=False)
TAIL = "\nz = tanh(y)"


@pytest.mark.parametrize(
    ("name", "text", "site", "reason"),
    [
        ("fuse_pointwise", "a = conv(x)\ny = conv(a)", "y", "the second pads what the first computes from more than one place"),
        ("fuse_pointwise", "a = conv(x, kernel=[1, 3])\ny = conv(a, kernel=[3, 1])", "y",
         "the second pads with zeros where the first would give its bias"),
        ("drop_dead_channels", "a = conv(x, out=6, groups=2)\ny = slice(a, start=2)", "a",
         "no node reads 2 of its channels, but they stay"),
        ("fold_affine_back", "a = conv(x)\np = parameter(shape=[4, 9, 1])\ny = mul(a, p)", "y",
         "the numbers of 'p', [4, 9, 1], are not one for each place of one axis"),
        ("fold_affine_back", "a = conv(x, out=1)\np = parameter(shape=[4, 1, 1])\ny = add(a, p)", "y", "it repeats 'a'"),
        ("fold_affine_back", "a = conv(x)\nc = constant(value=2.0)\ny = div(c, a)", "y", "it divides by 'a'"),
        ("join_summands", "r = relu(x)\na = conv(x, groups=2)\nb = conv(r, groups=2)\ny = add(a, b)", "y", "it has groups"),
        ("merge_branches", "a = conv(x)\nb = conv(x)\nc = relu(a)\np = add(a, b)\ny = mul(p, c)", "p", "'a' also feeds c"),
        ("merge_repeats", "c = concat(x, x)\ny = conv(c, groups=4)", "y", "groups keep them apart"),
    ],
)  # fmt: skip
def test_a_candidate_says_why_it_stays(name: str, text: str, site: str, reason: str) -> None:
    model = graph(f"input x: [N, 4, 9, 8]\n{text}{'' if 'output' in text else TAIL}")
    model = randomised(model) or model
    done = PassManager([PASSES[name].judged_by(FREE)], TorchProbe()).run(model)
    assert done.model is model
    said = dict(done.records[0].misses)
    assert reason in said[site]


@pytest.mark.parametrize(
    "pair",
    [
        "a = conv(x, kernel=[1, 3], bias=false)\ny = conv(a, kernel=[3, 1])",
        "a = conv(x, kernel=[3, 1], bias=false, stride=2)\ny = conv(a, kernel=[1, 3], stride=[1, 2])",
        "a = conv(x, kernel=3, padding=0)\ny = conv(a, padding=0)",
        "a = conv(x)\ny = conv(a, kernel=[5, 3], padding=0, dilation=[1, 2])",
    ],
)
def test_two_larger_kernels_are_one_where_no_border_comes_between(pair: str) -> None:
    model = graph(f"input x: [N, 4, 11, 12]\n{pair}{TAIL}")
    model = randomised(model) or model
    after = PassManager([PASSES["fuse_pointwise"].judged_by(FREE)], TorchProbe()).run(model).model
    assert [node.op.name for node in after.graph] == ["conv", "tanh"]
    assert whole(model, after) < 1e-11
