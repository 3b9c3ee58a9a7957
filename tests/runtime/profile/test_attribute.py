"""Every executed node finds its layers, on a recording: fused, renamed, reordered and inlined."""

from __future__ import annotations

import pytest

from convc.runtime.profile.attribute import Attribution, Executed, attribute
from convc.runtime.profile.graph import GraphNode, ModelGraph

from .recorded import executed, written


@pytest.fixture(scope="module")
def found() -> Attribution:
    return attribute(written(), executed())


def _names(found: Attribution, name: str) -> list[str]:
    return [written().nodes[k].name for k in found.owned[name]]


FUSED = {
    "stem.act_nchwc": ["stem.conv", "stem.act"],  # named after the activation
    "mix_nchwc": ["mix"],
    "gate/QuickGeluFusion/": ["gate/sigmoid", "gate"],  # a pattern of two
    "att.act_nchwc": ["att.fc1", "att.act"],
    "att.act_2_nchwc": ["att.fc2", "att.act_2"],
    "#15": ["hard"],  # an inlined function: no name
    "pool": ["pool"],
}


@pytest.mark.parametrize("name", FUSED)
def test_an_executed_node_owns_what_was_fused_into_it(name: str, found: Attribution) -> None:
    assert _names(found, name) == FUSED[name]


SERVES = {
    "ReorderOutput": "stem.act_nchwc",
    "ReorderOutput_token_9": "gate/QuickGeluFusion/",
    "ReorderOutput_token_10": "att.act_nchwc",
    "#14": "#15",
}


@pytest.mark.parametrize("name", SERVES)
def test_a_helper_serves_the_layer_that_it_works_for(name: str, found: Attribution) -> None:
    assert found.owned[name] == ()
    assert found.home(name) == SERVES[name]


def test_every_layer_has_a_home_and_every_node_is_claimed(found: Attribution) -> None:
    owned = sorted(k for nodes in found.owned.values() for k in nodes)
    assert owned == list(range(len(written().nodes)))
    assert all(found.home(node.name) for node in executed())
    assert found.gone == ()


def _chain(*nodes: tuple[str, str], params: tuple[str, ...] = ()) -> ModelGraph:
    """name and op of nodes that read one another in turn."""
    made = [GraphNode(n, op, (f"v{k}", *params), (f"v{k + 1}",), (n,)) for k, (n, op) in enumerate(nodes)]
    return ModelGraph(tuple(made), ("v0",), (f"v{len(nodes)}",), frozenset(params))


def test_padding_goes_with_the_convolution_behind_it() -> None:
    graph = _chain(("a", "Conv"), ("p", "Pad"), ("b", "Conv"))
    run = (
        Executed("a", "Conv", ("v0",), ("t0",)),
        Executed("b", "Conv", ("t0",), ("t1",)),
        Executed("ReorderOutput", "ReorderOutput", ("t1",), ("v3",)),
    )
    assert dict(attribute(graph, run).owned) == {"a": (0,), "b": (1, 2), "ReorderOutput": ()}


def test_a_fused_addition_goes_with_the_later_of_its_terms() -> None:
    nodes = (
        GraphNode("short", "Conv", ("x",), ("s",), ("short",)),
        GraphNode("long", "Conv", ("x",), ("l",), ("long",)),
        GraphNode("add", "Add", ("s", "l"), ("a",), ("add",)),
        GraphNode("act", "Relu", ("a",), ("y",), ("act",)),
    )
    graph = ModelGraph(nodes, ("x",), ("y",), frozenset())
    for first, second in (("short", "long"), ("long", "short")):
        run = (
            Executed(f"{first}_nchwc", "Conv", ("x",), ("t0",)),
            Executed(f"{second}_nchwc", "Conv", ("x", "t0"), ("t1",)),
        )
        owned = attribute(graph, (*run, Executed("ReorderOutput", "ReorderOutput", ("t1",), ("y",)))).owned
        assert [nodes[k].name for k in owned[f"{second}_nchwc"]] == [second, "add", "act"]


def test_constants_belong_to_the_loading_and_not_to_a_layer() -> None:
    nodes = (
        GraphNode("shape", "Reshape", ("w", "dims"), ("w2",), ("shape",)),
        GraphNode("mul", "Mul", ("x", "w2"), ("y",), ("mul",)),
    )
    found = attribute(
        ModelGraph(nodes, ("x",), ("y",), frozenset({"w", "dims"})), (Executed("mul", "Mul", ("x", "k"), ("y",)),)
    )
    assert (found.constant, dict(found.owned)) == ((0,), {"mul": (1,)})


def test_a_node_without_any_tie_stays_unclaimed() -> None:
    run = (Executed("a", "Conv", ("v0",), ("v1",)), Executed("stray", "Cast", ("z",), ("zz",)))
    found = attribute(_chain(("a", "Conv")), run)
    assert (found.home("a"), found.home("stray")) == ("a", "")


def test_a_node_may_run_under_the_name_of_the_value_it_makes() -> None:
    # As torch exports: values are called otherwise than nodes, and a value like another node.
    nodes = (
        GraphNode("n0", "Conv", ("x", "w"), ("getitem",), ("n0",)),
        GraphNode("n1", "Relu", ("getitem",), ("n2",), ("n1",)),
        GraphNode("n2", "Conv", ("n2", "w"), ("y",), ("n2",)),
    )
    run = (
        Executed("n2_nchwc", "Conv", ("x", "w"), ("t0",)),
        Executed("y_nchwc", "Conv", ("t0", "w"), ("t1",)),
        Executed("ReorderOutput", "ReorderOutput", ("t1",), ("y",)),
    )
    found = attribute(ModelGraph(nodes, ("x",), ("y",), frozenset("w")), run)
    assert dict(found.owned) == {"n2_nchwc": (0, 1), "y_nchwc": (2,), "ReorderOutput": ()}
