"""The structural check: each thing that can be wrong is found, and the node is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from convc.compiler.errors import PassError
from convc.compiler.ir import Model, TensorType, constant
from convc.compiler.ir.text import graph
from convc.compiler.ops.conv import Conv

TEXT = """
    input x: [N, 4, 9, 9]
    a = conv(x, out=6)
    b = batch_norm(a)
    c = relu(b)
    head = sigmoid(b) train_only
    output y = c
    train_output aux = head
"""


LINE = TensorType((1, 4, 9))


def with_nodes(model: Model, **changed: Any) -> Model:
    nodes = {name: replace(node, **changed.get(name, {})) for name, node in model.graph.nodes.items()}
    return replace(model, graph=replace(model.graph, nodes=nodes))


def with_params(model: Model, **changed: Any) -> Model:
    return replace(model, params={**model.params, **changed})


def test_a_sound_model_passes() -> None:
    graph(TEXT).check()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: with_nodes(m, c={"inputs": ("z",)}), "node 'c': its input 'z' is produced by no node"),
        (lambda m: with_nodes(m, a={"inputs": ("c",)}), "node 'a': its input 'c' comes later"),
        (lambda m: with_nodes(m, b={"train_only": True}), "node 'c': its input 'b' is computed by the train form only"),
        (lambda m: with_nodes(m, c={"name": "d"}), "node 'd' is filed under 'c'"),
        (lambda m: with_nodes(m, c={"type": LINE}), r"node 'c' \(relu\): recorded as \[1, 4, 9\], but yields"),
        (lambda m: with_nodes(m, a={"op": Conv(out=6).bind(LINE)}), r"node 'a' \(conv\): kernel"),
        (lambda m: with_nodes(m, a={"params": {"weight": "a.weight"}}), "needs parameters .*bias.*, but has ..weight..$"),
        (lambda m: with_nodes(m, a={"params": {"weight": "a.weight", "bias": "q"}}), "parameter 'q' does not exist"),
        (lambda m: with_params(m, **{"a.bias": constant(0, (5,))}), r"bias has shape \(5,\), expected \(6,\)"),
        (lambda m: with_params(m, q=constant(0, (5,))), "parameter 'q' belongs to no node"),
        (lambda m: replace(m, trained=m.trained | {"q"}), "parameter 'q' is trained, but does not exist"),
        (lambda m: replace(m, graph=replace(m.graph, outputs={"y": "q"})), "output 'y' reads 'q', which no node produces"),
        (lambda m: replace(m, graph=replace(m.graph, outputs={})), "the graph has no output"),
        (lambda m: replace(m, graph=replace(m.graph, outputs={"y": "head"})), "which only the train form computes"),
        (lambda m: replace(m, graph=replace(m.graph, train_outputs={"aux": "q"})), "output 'aux' reads 'q'"),
        (lambda m: replace(m, graph=replace(m.graph, inputs={**m.graph.inputs, "c": LINE})), "node 'c' has the name of an input"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(damage: Callable[[Model], Model], message: str) -> None:
    with pytest.raises(PassError, match=message):
        damage(graph(TEXT)).check()


def test_learnable_values_are_counted_once_and_statistics_never() -> None:
    shared = graph("input x: [N, 4, 9, 9]\na = conv(x)\nb = conv(a) with weight=a.weight\nc = batch_norm(b)")
    assert shared.param_count() == 4 * 4 * 9 + 4 + 4 + 2 * 4
