"""A gate per channel is written out where ONNX Runtime multiplies in blocks, and nowhere else."""

from __future__ import annotations

import pytest

from convc.compiler.ir.text import graph
from convc.compiler.passes import TARGETS, WORTHS
from convc.compiler.passes.layout import WidenGates
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, whole

SE = """
c = conv(x, out={channels}, kernel=3)
r = relu(c)
p = global_avg_pool(r, keepdims=true)
f = conv(p, out={channels}, kernel=1)
g = sigmoid(f)
m = mul({order})
y = conv(m, out=4, kernel=1)
"""


def widened() -> WidenGates:
    return WidenGates().judged_by(WORTHS["ort-cpu"])


@pytest.mark.parametrize("order", ["r, g", "g, r"])
def test_the_gate_grows_to_the_size_of_what_it_multiplies(order: str) -> None:
    model = graph(f"input x: [N, 8, 20, 14]{SE.format(channels=32, order=order)}")
    after = PassManager([widened()], TorchProbe()).run(model).model
    assert whole(model, after) == 0
    resize = after.graph.nodes["m/gate"]
    assert str(resize.type) == str(after.graph.nodes["m"].type)
    assert set(after.graph.nodes["m"].inputs) == {"r", "m/gate"}


@pytest.mark.parametrize(
    ("image", "channels", "order", "reason"),
    [
        ("[N, 8, H, 14]", 32, "r, g", "is dynamic"),
        ("[N, 8, 20, 14]", 24, "r, g", "24 channels are no whole blocks of 16"),
        ("[N, 32, 20, 14]", 32, "x, g", "'x' is not in blocks"),
    ],
)
def test_it_refuses_with_a_reason(image: str, channels: int, order: str, reason: str) -> None:
    model = graph(f"input x: {image}{SE.format(channels=channels, order=order)}")
    result = widened().run(model)
    assert result.model is model
    assert [site for site, _ in result.misses] == ["m"]
    assert reason in result.misses[0][1]


def test_two_of_one_size_need_no_resize() -> None:
    model = graph("input x: [N, 16, 8, 8]\na = conv(x)\nb = sigmoid(a)\nm = mul(a, b)")
    assert widened().run(model).misses == ()


def test_it_is_for_one_target_alone() -> None:
    assert [target for target, passes in TARGETS.items() if any(p.name == "widen_gates" for p in passes)] == ["ort-cpu"]
