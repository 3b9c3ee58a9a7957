"""Linear layers between a turn to channels-last and back become 1x1 convolutions; anything else between them stays."""

from __future__ import annotations

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import WORTHS, Worth
from convc.compiler.passes.layout import ChannelsFirst
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, whole

OFF = Worth("ort-cpu", 1, 1, 1, enabled=False)


def proven(model: Model, worth: Worth = WORTHS["ort-cpu"]) -> Model:
    after = PassManager([ChannelsFirst().judged_by(worth)], TorchProbe()).run(model).model
    assert whole(model, after) < 1e-12
    return after


def operators(model: Model) -> list[str]:
    return [node.op.name for node in model.graph]


@pytest.mark.parametrize(
    ("shape", "turn", "back"),
    [
        ("[N, 6, H, W]", "[0, 2, 3, 1]", "[0, 3, 1, 2]"),
        ("[N, 6, 5]", "[0, 2, 1]", "[0, 2, 1]"),
        ("[2, 6, 3, 4, 5]", "[0, 2, 3, 4, 1]", "[0, 4, 1, 2, 3]"),
    ],
)
def test_a_convnext_block(shape: str, turn: str, back: str) -> None:
    after = proven(
        graph(f"""
        input x: {shape}
        a = relu(x)
        t = transpose(a, perm={turn})
        n = layer_norm(t, axis=last)
        f1 = linear(n, out=24)
        g = gelu(f1)
        f2 = linear(g, out=6, bias=false)
        b = transpose(f2, perm={back})
        y = add(a, b)
        """)
    )
    assert operators(after) == ["relu", "layer_norm", "conv", "gelu", "conv", "add"]
    assert set(after.params) == {"n.weight", "n.bias", "f1.weight", "f1.bias", "f2.weight"}


def test_who_else_reads_the_turned_value_keeps_it() -> None:
    after = proven(
        graph("""
        input x: [N, 6, 4, 5]
        t = transpose(x, perm=[0, 2, 3, 1])
        f = linear(t, out=8)
        b = transpose(f, perm=[0, 3, 1, 2])
        m = reduce_mean(t, axes=[1])
        output y = b
        output z = m
        """)
    )
    assert operators(after) == ["transpose", "conv", "reduce_mean"] or operators(after) == [
        "conv",
        "transpose",
        "reduce_mean",
    ]


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        ("f = linear(t, out=8)\ns = softmax(f)", "softmax 's' stands between the turns"),
        ("f = linear(t, out=8)\ns = layer_norm(f, axis=channel)", "layer_norm 's' stands between the turns"),
        ("f = linear(t, out=8)\ns = prelu(f)", "prelu 's' stands between the turns"),
        ("s = relu(t)", "no linear layer stands between the turns"),
    ],
)
def test_it_refuses_with_a_reason(between: str, reason: str) -> None:
    model = graph(
        f"input x: [N, 6, 4, 5]\nt = transpose(x, perm=[0, 2, 3, 1])\n{between}\nb = transpose(s, perm=[0, 3, 1, 2])"
    )
    result = ChannelsFirst().judged_by(WORTHS["ort-cpu"]).run(model)
    assert result.model is model
    assert reason in dict(result.misses)["b"]


def test_a_value_that_is_read_between_the_turns_refuses() -> None:
    model = graph("""
        input x: [N, 6, 4, 5]
        t = transpose(x, perm=[0, 2, 3, 1])
        f = linear(t, out=8)
        b = transpose(f, perm=[0, 3, 1, 2])
        output y = b
        output z = f
    """)
    assert ChannelsFirst().run(model).misses == (("b", "'f' is an output of the network as well"),)


def test_another_turn_is_none() -> None:
    model = graph(
        "input x: [N, 6, 6, 6]\nt = transpose(x, perm=[0, 3, 1, 2])\nf = linear(t)\nb = transpose(f, perm=[0, 3, 1, 2])"
    )
    assert dict(ChannelsFirst().run(model).misses)["b"].startswith("transpose 't' stands between")


def test_without_the_cost_model_an_activation_alone_is_enough() -> None:
    model = graph(
        "input x: [N, 6, 4, 5]\nt = transpose(x, perm=[0, 2, 3, 1])\ns = relu(t)\nb = transpose(s, perm=[0, 3, 1, 2])"
    )
    assert operators(proven(model, OFF)) == ["relu"]
