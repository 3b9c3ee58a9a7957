"""Nodes that hand their input on are taken out, and only those."""

from __future__ import annotations

import pytest

from convc.compiler.ir.text import graph, to_text
from convc.compiler.passes.exact import DropIdentity
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe

HEAD = "input x: [N, 4, H, 6]\na = relu(x)\n"


@pytest.mark.parametrize(
    "call",
    [
        "dropout(a)",
        "dropout(a, p=0.9)",
        "drop_path(a, p=0.1)",
        "identity(a)",
        "concat(a)",
        "slice(a)",
        "slice(a, axis=3, start=0, end=6)",
        "slice(a, start=-4)",
        "flatten(a, start=3)",
        "reshape(a, shape=[0, 4, -1, 6])",
        "transpose(a, perm=[0, 1, 2, 3])",
        "max_pool(a, kernel=1)",
        "avg_pool(a, kernel=1, stride=1)",
    ],
)
def test_it_goes(call: str) -> None:
    done = PassManager([DropIdentity()], TorchProbe()).run(graph(f"{HEAD}b = {call}\nc = sigmoid(b)"))
    assert to_text(done.model.graph) == to_text(graph(f"{HEAD}c = sigmoid(a)").graph)
    assert done.records[0].max_error == 0


@pytest.mark.parametrize(
    "call",
    [
        "relu(a)",
        "concat(a, a)",
        "slice(a, axis=3, start=1)",
        "slice(a, step=2)",
        "reshape(a, shape=[0, 2, 2, -1])",
        "flatten(a)",
        "transpose(a, perm=[0, 1, 3, 2])",
        "max_pool(a, kernel=1, stride=2)",
        "max_pool(a, kernel=3, stride=1, padding=1)",
        "add(a, a)",
        "global_avg_pool(a)",
    ],
)
def test_it_stays(call: str) -> None:
    model = graph(f"{HEAD}b = {call}\nc = sigmoid(b)")
    assert DropIdentity().run(model).model is model


def test_a_transpose_of_equal_axes_is_no_identity() -> None:
    model = graph("input x: [N, 4, 6, 6]\na = relu(x)\nb = transpose(a, perm=[0, 1, 3, 2])\nc = relu(b)")
    assert DropIdentity().run(model).model is model


def test_a_reversing_slice_is_no_identity() -> None:
    model = graph("input x: [N, 1, 1]\na = relu(x)\nb = slice(a, step=2)\nc = relu(b)")
    assert DropIdentity().run(model).model is model, "one element fits every step; only a step of 1 is known to hand on"


def test_an_output_keeps_its_name() -> None:
    after = DropIdentity().run(graph("input x: [N, 4]\na = relu(x)\nb = dropout(a)\noutput probabilities = b")).model
    assert after.graph.outputs == {"probabilities": "a"}


def test_an_output_never_becomes_the_input_itself() -> None:
    model = graph("input x: [N, 4]\nb = dropout(x)\nc = dropout(b)")
    result = DropIdentity().run(model)
    assert list(result.model.graph.nodes) == ["c"]
    assert result.misses == (("c", "an output would be the network's input 'x' itself: a node must stand between"),)


def test_fixed_sizes_that_a_reshape_insists_on_are_proven_as_they_are() -> None:
    model = graph(
        "input x: [1, 4, 6, 6]\na = relu(x)\nb = reshape(a, shape=[1, 4, 6, 6])\nc = slice(b, axis=2, end=6)\nd = relu(c)"
    )
    done = PassManager([DropIdentity()], TorchProbe()).run(model)
    assert list(done.model.graph.nodes) == ["a", "d"]
