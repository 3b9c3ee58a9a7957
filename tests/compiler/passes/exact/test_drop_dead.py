"""What no output needs is removed."""

from __future__ import annotations

from convc.compiler.ir.text import graph, to_text
from convc.compiler.passes.exact import DropDead
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe


def test_auxiliary_heads_go_with_their_outputs_and_parameters() -> None:
    before = graph("""
        input x: [N, 4, 9, 9]
        a = relu(x)
        aux.conv = conv(a, out=2) train_only
        aux.norm = batch_norm(aux.conv) train_only
        b = conv(a)
        output y = b
        train_output aux = aux.norm
    """)
    after = graph("""
        input x: [N, 4, 9, 9]
        a = relu(x)
        b = conv(a)
        output y = b
    """)
    done = PassManager([DropDead()], TorchProbe()).run(before)
    assert str(done.model) == str(after)
    assert set(done.model.params) == {"b.weight", "b.bias"}
    assert set(done.records[0].sites) == {"aux.conv", "aux.norm"}


def test_a_train_output_that_the_network_needs_as_well_stays_as_a_node() -> None:
    before = graph("input x: [N, 4]\na = relu(x)\nb = sigmoid(a)\noutput y = b\ntrain_output aux = a")
    after = DropDead().run(before).model
    assert list(after.graph.nodes) == ["a", "b"]
    assert after.graph.train_outputs == {}


def test_a_whole_unread_branch_goes_and_a_parameter_shared_with_it_stays() -> None:
    before = graph("""
        input x: [N, 4, 9, 9]
        a = conv(x)
        b = conv(x) with weight=a.weight
        c = relu(b)
        d = add(c, b)
        output y = a
    """)
    after = DropDead().run(before).model
    assert to_text(after.graph) == to_text(graph("input x: [N, 4, 9, 9]\na = conv(x)\noutput y = a").graph)
    assert after.params["a.weight"] is before.params["a.weight"]


def test_what_is_read_stays() -> None:
    before = graph("input x: [N, 4]\na = relu(x)\nb = relu(a)\nc = relu(a)\noutput y = b\noutput z = c")
    assert DropDead().run(before).model is before
