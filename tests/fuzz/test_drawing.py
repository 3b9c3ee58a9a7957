"""What random networks are worth: they are the same everywhere, varied, and their numbers tell."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from types import MappingProxyType

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import from_text, to_text
from convc.compiler.ops import OPS
from tests.fuzz.drawing import drawn
from tests.fuzz.judging import Array, error, evaluated, sizes, values
from tests.fuzz.layers import CURVES

WANTED = {
    "conv", "conv_transpose", "c4_conv", "linear", "batch_norm", "c4_batch_norm", "layer_norm", "group_norm",
    "instance_norm", "scale", "add", "sub", "mul", "div", "neg", "max", "constant", "parameter", "concat", "slice",
    "gather", "channel_shuffle", "pixel_shuffle", "reshape", "flatten", "transpose", "pad", "resize", "max_pool",
    "avg_pool", "global_avg_pool", "global_max_pool", "softmax", "clip", "pow", "identity", "dropout", "drop_path", *CURVES,
}  # fmt: skip


@pytest.fixture(scope="module")
def networks() -> list[Model]:
    return [drawn(seed) for seed in range(300)]


def test_a_seed_always_gives_the_same_network_and_numbers(networks: list[Model]) -> None:
    again = drawn(17)
    assert to_text(again) == to_text(networks[17]) != to_text(networks[18])
    for name, param in again.params.items():
        assert (param.evaluate() == networks[17].params[name].evaluate()).all()


def test_their_text_comes_back(networks: list[Model]) -> None:
    for model in networks[:60]:
        assert to_text(from_text(to_text(model.graph))) == to_text(model.graph)


def test_they_hold_every_operator_that_a_pass_looks_for(networks: list[Model]) -> None:
    assert set(OPS) >= WANTED
    assert not WANTED - {node.op.name for model in networks for node in model.graph}


def test_they_are_varied(networks: list[Model]) -> None:
    sizes = [len(model.graph) for model in networks]
    assert 4 <= min(sizes)
    assert max(sizes) <= 50
    assert 12 < sum(sizes) / len(sizes) < 25
    graphs = [model.graph for model in networks]
    assert sum(len(graph.outputs) > 1 for graph in graphs) > 100
    assert sum(len(graph.inputs) > 1 for graph in graphs) > 30
    assert sum(bool(graph.train_outputs) for graph in graphs) > 10
    assert sum(bool(graph.symbols) for graph in graphs) > 100
    held = [[name for node in graph for name in node.params.values()] for graph in graphs]
    assert sum(len(set(names)) < len(names) for names in held) > 50, "shared weights"


def test_a_thousandth_more_of_almost_any_weight_shows_in_an_output(networks: list[Model]) -> None:
    told: list[bool] = []
    for seed, model in enumerate(networks[:40]):
        inputs = values(model, sizes(model))
        before = evaluated(model, inputs)
        live = _live(model)
        told += [_shows(model, name, inputs, before) for name in Random(seed).sample(live, min(4, len(live)))]
    # A relu may be closed, a channel unread or exactly 0: a weight here and there.
    assert sum(told) > 0.9 * len(told), f"{sum(told)} of {len(told)}"


def _shows(model: Model, name: str, inputs: dict[str, Array], before: dict[str, Array]) -> bool:
    more = MappingProxyType({**model.params, name: model.params[name] * 1.001})
    return error(model, inputs, before, evaluated(replace(model, params=more), inputs)) > 1e-8


def _live(model: Model) -> list[str]:
    """Parameters that some output needs, and that are not 0 throughout."""
    needed, names = set(model.graph.outputs.values()), []
    for node in reversed(list(model.graph)):
        if node.name in needed:
            needed.update(node.inputs)
            names += [name for name in node.params.values() if model.params[name].evaluate().any()]
    return list(dict.fromkeys(names))
