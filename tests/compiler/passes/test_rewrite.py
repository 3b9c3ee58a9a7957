"""Sweeping a rewrite over a model: when it stops, what it asks again, what it reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convc.compiler.errors import PassError
from convc.compiler.ir import Editor, Model, Node, Op
from convc.compiler.ir.text import graph
from convc.compiler.ops import OPS
from convc.compiler.ops.activation import Relu
from convc.compiler.passes import O2, Match, Miss, PassManager, Rewrite
from convc.compiler.passes.exact import DropDead, DropIdentity
from tests.calls import calls


class SoleRelu(Rewrite[Match], name="sole_relu", root=Relu):
    """Relu of a relu is one relu, where nobody else reads the first."""

    exact_when = "one follows the other"
    worth_when = "nobody else reads the first"

    def match(self, edit: Editor, node: Node) -> Match | Miss | None:
        first = edit.node(node.inputs[0])
        if first is None or not isinstance(first.op, Relu):
            return None
        return Match(node) if edit.users(first.name) == (node.name,) else Miss(f"{first.name!r} is read by others")

    def rewrite(self, edit: Editor, match: Match) -> None:
        edit.include(match.node.inputs[0])
        edit.bypass(match.node.name)


def test_sites_and_misses_are_reported_in_graph_order() -> None:
    model = graph("""
        input x: [N, 4]
        a = relu(x)
        b = relu(a)
        c = relu(b)
        d = sigmoid(b)
        e = add(c, d)
    """)
    result = SoleRelu().run(model)
    assert result.rewrites == 1
    assert [region.site for region in result.regions] == ["b"]
    assert result.misses == (("c", "'a' is read by others"),)
    assert list(result.model.graph.nodes) == ["a", "c", "d", "e"]


class DropSigmoid(SoleRelu, name="drop_sigmoid", root=(Relu, OPS["sigmoid"])):
    """Beside it, sigmoids that nobody reads go: a refused site becomes a match later."""

    def match(self, edit: Editor, node: Node) -> Match | Miss | None:
        if isinstance(node.op, Relu):
            return super().match(edit, node)
        return None if edit.users(node.name) or edit.is_output(node.name) else Match(node)

    def rewrite(self, edit: Editor, match: Match) -> None:
        if isinstance(match.node.op, Relu):
            super().rewrite(edit, match)
        else:
            edit.drop(match.node.name)


def test_a_refused_site_is_asked_again_when_its_surroundings_change() -> None:
    model = graph("""
        input x: [N, 4]
        a = relu(x)
        b = relu(a)
        dead = sigmoid(a)
        output y = b
    """)
    result = DropSigmoid().run(model)
    assert [region.site for region in result.regions] == ["dead", "b"]
    assert result.misses == ()


class Replace(DropSigmoid, name="replace", root=(Relu, OPS["sigmoid"])):
    """As before, but the second relu stays as a node."""

    def rewrite(self, edit: Editor, match: Match) -> None:
        if isinstance(match.node.op, Relu):
            edit.set_op(match.node.name, OPS["identity"]())
        else:
            super().rewrite(edit, match)


def test_a_refusal_is_forgotten_once_the_site_is_rewritten() -> None:
    model = graph("""
        input x: [N, 4]
        a = relu(x)
        b = relu(a)
        dead = sigmoid(a)
        output y = b
    """)
    result = Replace().run(model)
    assert result.model.graph.nodes["b"].op.name == "identity"
    assert result.misses == ()


def test_nothing_to_do_gives_the_model_back() -> None:
    model = graph("input x: [N, 4]\na = sigmoid(x)")
    assert SoleRelu().run(model).model is model


class Endless(Rewrite[Match], name="endless", root=Relu):
    """Never satisfied."""

    exact_when = worth_when = "always"

    def match(self, edit: Editor, node: Node) -> Match:
        return Match(node)

    def rewrite(self, edit: Editor, match: Match) -> None:
        edit.set_op(match.node.name, replace(match.node.op))


class Idle(Endless, name="idle", root=Relu):
    """Matches, and does nothing."""

    def rewrite(self, edit: Editor, match: Match) -> None:
        return


class Clumsy(Endless, name="clumsy", root=Relu):
    """Fails in the middle."""

    def rewrite(self, edit: Editor, match: Match) -> None:
        edit.set_params("nobody")


class Blind(Endless, name="blind", root=Relu):
    """Fails when it looks."""

    def match(self, edit: Editor, node: Node) -> Match:
        raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Endless(), "endless does not come to an end: it rewrites 'a' again and again"),
        (Idle(), "idle matched at 'a', but changed nothing"),
        (Clumsy(), "clumsy failed at 'a': no 'nobody'"),
        (Blind(), "blind failed at 'a': no such thing"),
    ],
)
def test_a_defect_of_a_pass_names_the_pass_and_the_node(one: Rewrite[Any], message: str) -> None:
    with pytest.raises(PassError, match=message):
        one.run(graph("input x: [N, 4]\na = relu(x)"))


def test_a_pass_says_when_it_is_exact_and_when_it_pays() -> None:
    with pytest.raises(TypeError, match="the pass 'silent' must say exact_when"):

        class Silent(Rewrite[Match], name="silent"):
            def match(self, edit: Editor, node: Node) -> None:
                return None

            def rewrite(self, edit: Editor, match: Match) -> None:
                return


def chain(count: int, *ops: str) -> Model:
    """`count` nodes, the given operators in turn."""
    lines, last = ["input x: [N, 4, 8, 8]"], "x"
    for i in range(count):
        name = f"n{i}"
        lines.append(f"{name} = {ops[i % len(ops)]}({last}{', kernel=1' if ops[i % len(ops)] == 'conv' else ''})")
        last = name
    return graph("\n".join(lines))


@pytest.mark.parametrize("ops", [("conv", "batch_norm", "relu"), ("dropout",), ("relu", "identity")])
def test_work_grows_about_linearly(ops: tuple[str, ...]) -> None:
    small, large = (calls(PassManager(O2).run, chain(count, *ops)) for count in (500, 5000))
    assert large < 12 * small


def test_ten_thousand_dead_nodes_go_without_recursion() -> None:
    model = chain(10_000, "relu")
    model = replace(model, graph=replace(model.graph, outputs={"y": "n0"}))
    assert list(DropDead().run(model).model.graph.nodes) == ["n0"]


def _read_by(count: int) -> Model:
    lines = [f"i{k} = identity(x0)\nr{k} = relu(i{k})\noutput y{k} = r{k}" for k in range(count)]
    return graph("input x: [N, 4]\nx0 = relu(x)\n" + "\n".join(lines))


def test_a_value_with_thousands_of_readers_costs_no_square() -> None:
    result = DropIdentity().run(_read_by(5000))
    assert result.rewrites == 5000
    assert all(isinstance(node.op, Op) and node.op.name == "relu" for node in result.model.graph)
    few, many = (calls(DropIdentity().run, _read_by(count)) for count in (500, 5000))
    assert many < 12 * few
