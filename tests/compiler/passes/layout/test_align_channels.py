"""Channels grow to whole blocks together with all that reads and writes them, or stay, with the reason."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import WORTHS, Worth
from convc.compiler.passes.channels import Segment, resolved, tie
from convc.compiler.passes.layout import AlignChannels
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, randomised, whole
from tests.compiler.ir.graphs import models

ALL = Worth("ort-cpu", 1, 1, 1, enabled=False)

GHOST = """
input image: [N, 3, 64, 64]
stem = conv(image, out=20, stride=2)
a = relu(stem)
primary = conv(a, out=10, kernel=1)
n = batch_norm(primary)
p = relu(n)
cheap = conv(p, out=10, groups=10)
c = relu(cheap)
j = concat(p, c)
s = add(j, a)
pool = max_pool(s, kernel=3, stride=2, padding=1)
gate0 = global_avg_pool(pool, keepdims=true)
gate1 = conv(gate0, out=20, kernel=1)
gate = sigmoid(gate1)
m = mul(pool, gate)
last = conv(m, out=7, kernel=1)
"""


def aligned(model: Model, worth: Worth = ALL) -> Model:
    telling = randomised(model) or model
    after = PassManager([AlignChannels().judged_by(worth)], TorchProbe()).run(telling).model
    assert whole(telling, after) < 1e-12
    return after


def channels(model: Model, *names: str) -> list[int]:
    return [model.graph.nodes[name].type.channels for name in names]


def test_a_ghost_module_beside_a_shortcut() -> None:
    after = aligned(graph(GHOST))
    assert channels(after, "p", "c", "j", "a", "s", "pool", "m", "last") == [16, 16, 32, 32, 32, 32, 32, 7]
    assert after.params["last.weight"].shape == (7, 32, 1, 1)


def test_a_shuffled_pair_of_halves() -> None:
    after = aligned(
        graph("""
        input image: [N, 3, 32, 32]
        stem = conv(image, out=20)
        sh = channel_shuffle(stem, groups=2)
        left = slice(sh, axis=1, end=10)
        right = slice(sh, axis=1, start=10)
        d = conv(right, groups=10)
        e = relu(d)
        p = max_pool(e, kernel=2)
        y = conv(p, out=5)
        z = conv(left, out=5)
        """)
    )
    assert channels(after, "right", "d", "e", "p", "left") == [16, 16, 16, 16, 16]
    assert after.graph.nodes["right"].op.name == "gather"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("a = conv(x, out=10)\nb = conv(x, out=6)\ny = concat(a, b)", "is an output of the network"),
        (
            "a = conv(x, out=10)\nb = softmax(a, axis=1)\nc = concat(a, b)\ny = conv(c)",
            "wants its channels as they are",
        ),
        ("a = relu(x)\nb = conv(x, out=6)\nc = concat(a, b)\ny = conv(c)", "is an input of the network"),
    ],
)
def test_it_refuses_with_a_reason(lines: str, reason: str) -> None:
    model = graph(f"input x: [N, 3, 12, 12]\n{lines}")
    result = AlignChannels().judged_by(ALL).run(model)
    assert result.model is model
    assert reason in dict(result.misses)["y" if lines.startswith("a = conv(x, out=10)\nb = conv") else "c"]


def test_the_cost_model_refuses_what_computes_more_than_it_saves() -> None:
    model = graph(
        "input x: [N, 64, 16, 16]\na = conv(x, out=1)\nb = conv(x, out=1)\nc = concat(a, b)\ny = conv(c, out=64)"
    )
    result = AlignChannels().judged_by(WORTHS["ort-cpu"]).run(model)
    assert "no faster on ort-cpu" in dict(result.misses)["c"]
    assert AlignChannels().judged_by(ALL).run(model).rewrites == 1


def test_a_plain_chain_of_convolutions_needs_nothing() -> None:
    model = graph(
        "input x: [N, 3, 12, 12]\na = conv(x, out=20)\nb = relu(a)\nc = conv(b, out=24, groups=1)\nd = conv(c, groups=24)"
    )
    assert AlignChannels().judged_by(ALL).run(model).model is model


def test_segments_that_meet_are_cut_where_either_is() -> None:
    left, right = [Segment(3), Segment(5)], [Segment(5), Segment(3)]
    tie(left, right)
    assert resolved(left) == resolved(right)
    assert [s.size for s in resolved(left)] == [3, 2, 3]


def test_segments_that_meet_themselves_turned_round() -> None:
    a, b = Segment(3), Segment(5)
    tie([a, b], [b, a])
    assert resolved([a, b]) == resolved([b, a])
    assert {s.size for s in resolved([a, b])} == {1}


def test_what_is_fixed_stays_so_when_cut_and_joined() -> None:
    a, b = Segment(6), Segment(6)
    a.fix("here")
    tie([a], [b])
    tie([b], [Segment(2), Segment(4)])
    assert [s.fixed for s in resolved([b])] == ["here", "here"]


def test_what_pads_a_choice_of_channels_is_chosen_anyhow() -> None:
    after = aligned(
        graph("input x: [N, 3, 9, 9]\na = conv(x, out=20)\ng = gather(a, indices=[7, 5])\ny = conv(g, out=4)")
    )
    assert set(after.graph.nodes["g"].op.arguments()["indices"]) == {7, 5}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_any_graph_keeps_its_function(model: Model) -> None:
    telling = randomised(model) or model
    after = PassManager([AlignChannels().judged_by(ALL)], TorchProbe()).run(telling).model
    assert whole(telling, after) < 1e-9
