"""The editor: reads show the state so far, every write is recorded, and no write reaches a stranger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from convc.compiler.errors import Origin, PassError
from convc.compiler.ir import Editor, Model, Node, Region, Stored, constant
from convc.compiler.ir.text import graph
from convc.compiler.ops import OPS

CHAIN = """
    input x: [N, 4, 9, 9]
    a = conv(x)
    b = batch_norm(a)
    c = relu(b)
"""
SHARED = """
    input x: [N, 4, 9, 9]
    a = conv(x)
    b = conv(a) with weight=a.weight, bias=a.bias
"""


def edited(model: Model, *steps: Callable[[Editor], None]) -> tuple[Model, list[Region]]:
    """The model after the steps, each in a region of its own."""
    edit = model.edit()
    for number, step in enumerate(steps):
        with edit.region("test", str(number)):
            step(edit)
    after = edit.commit()
    after.check()
    return after, edit.regions


def test_reads_show_the_state_after_each_step() -> None:
    edit = graph(CHAIN).edit()
    assert (edit.users("a"), edit.users("c"), edit.is_output("c")) == (("b",), (), True)
    with edit.region("test", "b"):
        edit.bypass("b")
        assert (edit.users("a"), edit.node("b")) == (("c",), None)
        edit.bypass("c")
        assert edit.is_output("a")
    assert [node.name for node in edit] == ["a"]


@pytest.mark.parametrize(
    "write",
    [
        lambda edit: edit.bypass("b"),
        lambda edit: edit.set_op("c", OPS["sigmoid"]()),
        lambda edit: edit.set_inputs("c", ("a",)),
        lambda edit: edit.set_params("a", bias=constant(1.0, (4,))),
        lambda edit: edit.drop_params("a", "bias"),
        lambda edit: edit.add_origins("a", (Origin("b"),)),
        lambda edit: edit.drop_train_outputs(),
        lambda edit: edit.insert(Node("d", OPS["relu"](), ("a",), edit.type_of("a")), {}, "b"),
    ],
)
def test_a_write_outside_a_region_is_refused_and_changes_nothing(write: Callable[[Editor], None]) -> None:
    model = graph(CHAIN)
    edit = model.edit()
    with pytest.raises(ValueError, match=r"inside `with edit\.region"):
        write(edit)
    assert edit.commit() is model


def test_a_bypass_leads_readers_and_outputs_to_its_input() -> None:
    model = graph("""
        input x: [N, 4]
        a = relu(x)
        b = dropout(a)
        c = add(b, b)
        output y = b
        output z = c
    """)
    after, regions = edited(model, lambda edit: edit.bypass("b"))
    assert after.graph.nodes["c"].inputs == ("a", "a")
    assert after.graph.outputs == {"y": "a", "z": "c"}
    assert (regions[0].outputs, list(regions[0].inputs), regions[0].after) == ((("b", "a"),), ["a"], ())


def test_a_region_holds_both_sides_and_the_parameters_of_either() -> None:
    model = graph(CHAIN)
    ones = constant(1.0, (4, 4, 3, 3))

    def fold(edit: Editor) -> None:
        edit.set_params("a", weight=ones)
        edit.bypass("b")

    _, (region,) = edited(model, fold)
    assert [n.name for n in region.before] == ["a", "b"]
    assert [n.name for n in region.after] == ["a"]
    assert list(region.inputs) == ["x"]
    assert region.outputs == (("b", "a"),)
    assert region.params_before["a.weight"] is model.params["a.weight"], "the old weight, not the new one"
    assert region.params_after["a.weight"] is ones
    assert "b.running_mean" in region.params_before
    assert "b.running_mean" not in region.params_after


def test_a_reader_changed_after_a_bypass_is_compared_with_what_it_read_before() -> None:
    def both(edit: Editor) -> None:
        edit.bypass("b")
        edit.set_op("c", OPS["sigmoid"]())

    _, (region,) = edited(graph(CHAIN), both)
    assert {n.name: n.inputs for n in region.before} == {"b": ("a",), "c": ("b",)}
    assert {n.name: n.inputs for n in region.after} == {"c": ("a",)}
    assert region.outputs == (("c", "c"),)


def test_a_shared_parameter_is_copied_when_one_holder_sets_it() -> None:
    model = graph(SHARED)
    ones = constant(1.0, (4, 4, 3, 3))
    after, _ = edited(model, lambda edit: edit.set_params("b", weight=ones))
    assert after.graph.nodes["b"].params == {"weight": "b.weight", "bias": "a.bias"}
    assert after.params["a.weight"] is model.params["a.weight"]
    assert after.params["b.weight"] is ones


def test_the_owner_of_a_shared_name_leaves_it_to_the_others() -> None:
    model = graph(SHARED)
    ones = constant(1.0, (4, 4, 3, 3))
    after, _ = edited(model, lambda edit: edit.set_params("a", weight=ones))
    assert after.graph.nodes["b"].params["weight"] == "a.weight"
    assert after.params["a.weight"] is model.params["a.weight"]
    assert after.params[after.graph.nodes["a"].params["weight"]] is ones


def test_two_roles_that_share_a_name_are_set_apart() -> None:
    model = graph("input x: [N, 4]\nb = batch_norm(x) with bias=b.weight")
    after, _ = edited(model, lambda edit: edit.set_params("b", bias=constant(0.0, (4,))))
    held = after.graph.nodes["b"].params
    assert held["bias"] != held["weight"]
    assert after.params["b.weight"] is model.params["b.weight"]


def test_a_parameter_set_by_its_only_holder_keeps_its_name_and_its_kind() -> None:
    model = graph(CHAIN)
    after, _ = edited(
        model, lambda edit: edit.set_params("b", running_mean=constant(0.0, (4,)), weight=constant(1.0, (4,)))
    )
    assert after.graph.nodes["b"].params == model.graph.nodes["b"].params
    assert "b.weight" in after.trained
    assert "b.running_mean" not in after.trained, "a statistic is not learned"


def test_parameters_that_nobody_holds_are_gone() -> None:
    after, _ = edited(graph(CHAIN), lambda edit: edit.bypass("b"))
    assert set(after.params) == after.trained == {"a.weight", "a.bias"}


def test_an_inserted_node_stands_in_order_and_enters_the_region() -> None:
    model = graph(CHAIN)

    def insert(edit: Editor) -> None:
        node = replace(
            model.graph.nodes["b"], name="extra", params={r: f"extra.{r}" for r in model.graph.nodes["b"].params}
        )
        edit.insert(node, {role: constant(1.0, (4,)) for role in node.params}, before="b")
        edit.set_inputs("b", ("extra",))

    after, (region,) = edited(model, insert)
    assert list(after.graph.nodes) == ["a", "extra", "b", "c"]
    assert [n.name for n in region.before] == ["b"]
    assert [n.name for n in region.after] == ["extra", "b"]
    assert "extra.running_var" not in after.trained
    assert "extra.weight" in after.trained


def test_an_inserted_node_takes_no_name_of_another() -> None:
    model = graph(CHAIN)
    edit = model.edit()
    conv = model.graph.nodes["a"]
    with edit.region("test", "a"):
        with pytest.raises(ValueError, match="already a value called 'c'"):
            edit.insert(replace(conv, name="c"), {}, "b")
        with pytest.raises(ValueError, match="already a value called 'x'"):
            edit.insert(replace(conv, name="x"), {}, "b")
        with pytest.raises(ValueError, match=r"'a\.weight' belongs to another node"):
            edit.insert(replace(conv, name="d"), {"weight": constant(1.0, (4, 4, 3, 3))}, "b")


def test_a_node_that_is_read_cannot_be_dropped() -> None:
    edit = graph(CHAIN).edit()
    with edit.region("test", "a"):
        with pytest.raises(ValueError, match="'a' is still read by b"):
            edit.drop("a")
        with pytest.raises(ValueError, match="'c' is still read by an output"):
            edit.drop("c")
        with pytest.raises(ValueError, match="cannot stand for itself"):
            edit.bypass("a", "a")


def test_a_node_may_come_to_read_what_stands_behind_it() -> None:
    model = graph("""
        input x: [N, 4]
        a = relu(x)
        b = sigmoid(x)
        output y = a
        output z = b
    """)
    after, _ = edited(model, lambda edit: edit.set_inputs("a", ("b",)))
    assert list(after.graph.nodes) == ["b", "a"]


def test_a_circle_is_named_by_the_check() -> None:
    edit = graph(CHAIN).edit()
    with edit.region("test", "a"):
        edit.set_inputs("a", ("c",))
    with pytest.raises(PassError, match="comes later"):
        edit.commit().check()


def test_an_included_node_is_on_both_sides() -> None:
    def twin(edit: Editor) -> None:
        edit.include("a")
        edit.bypass("b", to="a")

    model = graph("input x: [N, 4]\na = relu(x)\nb = relu(x)\nc = add(a, b)")
    _, (region,) = edited(model, twin)
    assert [n.name for n in region.before] == ["a", "b"]
    assert list(region.inputs) == ["x"]
    assert region.outputs == (("a", "a"), ("b", "a"))


def test_a_rewrite_that_fails_is_not_recorded() -> None:
    edit = graph(CHAIN).edit()
    with pytest.raises(RuntimeError), edit.region("test", "a"):
        raise RuntimeError
    with edit.region("test", "b"):
        pass
    assert edit.regions == []
    with edit.region("test", "c"), pytest.raises(ValueError, match="a region is open already"), edit.region("x", "y"):
        pass


def test_what_was_not_touched_stays_the_same_object() -> None:
    model = graph(CHAIN)
    assert model.edit().commit() is model
    after, _ = edited(model, lambda edit: edit.bypass("c"))
    assert after.graph.nodes["a"] is model.graph.nodes["a"]
    assert after.params["a.weight"] is model.params["a.weight"]


def test_origins_are_joined_once() -> None:
    after, _ = edited(graph(CHAIN), lambda edit: edit.add_origins("a", (Origin("a"), Origin("b"), Origin("a"))))
    assert [origin.path for origin in after.graph.nodes["a"].origins] == ["a", "b"]


def test_deep_graphs_are_put_in_order_without_recursion() -> None:
    lines = "\n".join(f"n{i} = relu({f'n{i - 1}' if i else 'x'})" for i in range(5000))
    model = graph(f"input x: [N, 4]\n{lines}")
    edit = model.edit()
    # Turned round: the last becomes the first, so that every position is wrong.
    with edit.region("test", "all"):
        for i in range(5000):
            edit.set_inputs(f"n{i}", (f"n{i + 1}" if i < 4999 else "x",))
    after = edit.commit()
    assert next(iter(after.graph.nodes)) == "n4999"
    assert list(after.graph.nodes)[-1] == "n0"


def test_stored_arrays_are_shared_not_copied() -> None:
    model = graph(SHARED)
    stored = model.params["a.weight"]
    after, _ = edited(model, lambda edit: edit.set_params("b", bias=Stored(constant(0.0, (4,)).evaluate())))
    assert after.params["a.weight"] is stored
