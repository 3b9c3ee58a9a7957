"""A plain value is copied into blocks where convolutions read it and end in sums with it, and nowhere else."""

from __future__ import annotations

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import TARGETS, WORTHS
from convc.compiler.passes.layout import EnterBlocks
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, whole

CHAIN = """
n = layer_norm(s, axis=channel)
a = conv(n)
x1 = add(n, a)
r1 = relu(x1)
b = conv(r1)
x2 = add(b, r1)
"""


def chain(channels: int = 32, text: str = CHAIN) -> Model:
    return graph(f"input x: [N, 3, 20, 14]\ns = conv(x, out={channels}){text}")


def entered() -> EnterBlocks:
    return EnterBlocks().judged_by(WORTHS["ort-cpu"])


@pytest.mark.parametrize("order", ["n, a", "a, n"])
def test_the_convolution_and_the_sum_read_one_copy_and_later_sums_need_none(order: str) -> None:
    model = chain(text=CHAIN.replace("add(n, a)", f"add({order})"))
    after = PassManager([entered()], TorchProbe()).run(model).model
    assert whole(model, after) == 0
    nodes = after.graph.nodes
    assert [node.name for node in after.graph if node.op.name == "max_pool"] == ["n/blocks"]
    assert nodes["n/blocks"].type == nodes["n"].type
    assert nodes["a"].inputs == ("n/blocks",)
    assert nodes["x1"].inputs == tuple("n/blocks" if value == "n" else value for value in order.split(", "))
    assert nodes["x2"] == model.graph.nodes["x2"]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (chain(24), "24 channels are no whole blocks of 16"),
        (chain(text="\nn = layer_norm(s, axis=channel)\na = conv(x, out=32)\nx1 = add(n, a)"), "for this sum alone"),
    ],
)
def test_it_refuses_with_a_reason(model: Model, reason: str) -> None:
    result = entered().run(model)
    assert result.model is model
    assert result.misses[0][0] == "x1"
    assert reason in result.misses[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "\na = conv(s)\nx1 = add(s, a)\nb = conv(x1)\nx2 = add(x1, b)",
        "\np = max_pool(s, kernel=2)\na = conv(p)\nx1 = add(p, a)",
        "\nn = layer_norm(s, axis=channel)\na = conv(n)\nr = relu(a)\nx1 = add(n, r)",
        "\nn = layer_norm(s, axis=channel)\na = conv(n)\nx1 = add(n, a)\ny = relu(a)",
    ],
    ids=["residual", "behind a pool", "not fused", "read twice"],
)
def test_where_nothing_is_to_be_won_nothing_is_said(text: str) -> None:
    assert entered().run(chain(text=text)).misses == ()


def test_it_is_for_one_target_alone() -> None:
    assert [target for target, passes in TARGETS.items() if any(p.name == "enter_blocks" for p in passes)] == [
        "ort-cpu"
    ]
