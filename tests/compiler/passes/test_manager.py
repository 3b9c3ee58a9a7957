"""The manager checks what a pass promised, and records what it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from convc.compiler.errors import PassError
from convc.compiler.ir import Editor, Model, Node, Region, TensorType, constant
from convc.compiler.ir.text import graph
from convc.compiler.ops import OPS
from convc.compiler.ops.activation import Relu
from convc.compiler.ops.shape import Flatten
from convc.compiler.passes import O0, O1, O2, O3, PASSES, PIPELINES, TARGETS, Match, PassManager, Result, Rewrite
from convc.compiler.passes.exact import DropDead, DropIdentity, FoldBatchNorm

TEXT = """
    input x: [N, 4, 9, 9]
    a = conv(x)
    b = batch_norm(a)
    c = relu(b)
    d = dropout(c)
    head = sigmoid(c) train_only
    output y = d
    output z = c
    train_output aux = head
"""


@dataclass
class Says:
    """A probe that answers as told."""

    error: float = 0.0
    seen: list[Region] = field(default_factory=list)

    def max_error(self, region: Region) -> float:
        self.seen.append(region)
        return self.error


class Changes(Rewrite[Match], name="changes", root=Relu):
    """Does to the first relu what it is told, once."""

    exact_when = worth_when = "never"

    def __init__(self, how: Callable[[Editor, Node], None]) -> None:
        self.how = how

    def match(self, edit: Editor, node: Node) -> Match | None:
        return None if edit.regions else Match(node)

    def rewrite(self, edit: Editor, match: Match) -> None:
        self.how(edit, match.node)


class Meddles(Changes, name="meddles", root=Relu):
    """Changes the model behind the editor's back."""

    def __init__(self, how: Callable[[Model], Model]) -> None:
        self.meddle = how

    def run(self, model: Model) -> Result:
        return Result(self.meddle(model), (), ())


def test_records_are_plain_values() -> None:
    probe = Says(1e-12)
    done = PassManager(O2, probe).run(graph(TEXT))
    by_name = {record.name: record for record in done.records}
    dead, identity, fold = (by_name[name] for name in ("drop_dead", "drop_identity", "fold_batchnorm"))
    assert (dead.name, dead.rewrites, dead.sites, dead.nodes_before, dead.nodes_after) == (
        "drop_dead",
        1,
        ("head",),
        5,
        4,
    )
    assert (identity.name, identity.sites, identity.misses) == ("drop_identity", ("d",), ())
    assert (fold.sites, fold.params_before, fold.params_after, fold.max_error) == (("b",), 156, 148, 1e-12)
    assert all(record.seconds > 0 for record in done.records)
    assert done.regions == tuple(probe.seen)
    data = json.loads(json.dumps([record.data() for record in done.records]))
    assert next(row for row in data if row["name"] == "fold_batchnorm") == {
        "name": "fold_batchnorm", "rewrites": 1, "sites": ["b"], "misses": [], "nodes_before": 3, "nodes_after": 2,
        "params_before": 156, "params_after": 148, "max_error": 1e-12,
    }  # fmt: skip


def test_misses_are_part_of_the_data() -> None:
    done = PassManager([FoldBatchNorm()]).run(graph("input x: [N, 4]\nb = batch_norm(x)"))
    assert done.records[0].data()["misses"] == [
        {"site": "b", "reason": "follows the input 'x', not a conv, conv_transpose or linear"}
    ]
    assert done.records[0].max_error is None, "nothing was proven without a probe"


@pytest.mark.parametrize("error", [1e-3, 2e-9, float("inf"), float("nan")])
def test_changed_numbers_name_the_pass_the_node_and_what_ran_before(error: float) -> None:
    manager = PassManager([DropDead(), FoldBatchNorm()], Says(error))
    with pytest.raises(PassError) as caught:
        manager.run(graph(TEXT.replace("train_only", "").replace("train_output", "output")))
    assert str(caught.value) == (
        f"fold_batchnorm changed the numbers at 'b': relative error {error:.1e}, allowed 1e-09 (after: drop_dead)"
    )
    assert caught.value.exit_code == 1


def test_the_bound_itself_is_allowed_and_each_region_is_told() -> None:
    told: list[tuple[str, float]] = []
    PassManager(O2, Says(1e-9), lambda region, error: told.append((region.site, error))).run(graph(TEXT))
    assert told == [("head", 1e-9), ("d", 1e-9), ("b", 1e-9)]


def _nodes(model: Model, **changed: Any) -> Model:
    return replace(model, graph=replace(model.graph, nodes={**model.graph.nodes, **changed}))


def _inputs(model: Model, **inputs: TensorType) -> Model:
    return replace(model, graph=replace(model.graph, inputs={**model.graph.inputs, **inputs}))


def _train_outputs(model: Model, outputs: dict[str, str]) -> Model:
    return replace(model, graph=replace(model.graph, train_outputs=outputs))


def _outputs(model: Model, outputs: dict[str, str]) -> Model:
    return replace(model, graph=replace(model.graph, outputs=outputs))


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Changes(lambda e, n: e.drop_params("a", "bias")), r"changes left an invalid graph: node 'a' \(conv\) needs"),
        (Changes(lambda e, n: e.set_inputs(n.name, (n.name,))), "changes left an invalid graph: node 'c': its input 'c' comes"),
        (Changes(lambda e, n: e.set_op(n.name, Flatten(start=1))), r"changes changed the type of 'c' at 'c': from \[N, 4"),
        (Meddles(lambda m: _inputs(m, x=TensorType((1, 4, 9, 9)))), "meddles left an inv"),
        (Meddles(lambda m: _inputs(m, q=TensorType((1,)))), "meddles changed the inputs"),
        (Meddles(lambda m: _outputs(m, {"y": "d"})), "meddles changed the outputs from y, z to y"),
        (Meddles(lambda m: _outputs(m, {"z": "c", "y": "d"})), "meddles changed the outputs from y, z to z, y"),
        (Meddles(lambda m: _outputs(m, {"y": "d", "z": "b"})), "meddles changed what output 'z' reads"),
        (Meddles(lambda m: _train_outputs(m, {"other": "head"})), "meddles changed the train outputs"),
        (Meddles(lambda m: replace(m, params={**m.params, "a.bias": constant(1, (4,))})), "meddles changed 'a' without"),
        (Meddles(lambda m: _nodes(m, c=replace(m.graph.nodes["c"], inputs=("a",)))), "meddles changed 'c' without"),
        (Meddles(lambda m: _nodes(m, c=replace(m.graph.nodes["c"], op=OPS["sigmoid"]()))), "meddles changed 'c' without"),
        (Meddles(lambda m: _nodes(m, e=replace(m.graph.nodes["c"], name="e"))), "meddles added 'e' without"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_caught(one: Rewrite[Any], message: str) -> None:
    with pytest.raises(PassError, match=message) as caught:
        PassManager([one], Says()).run(graph(TEXT))
    assert caught.value.message.endswith("(after: no other pass)")


def test_an_output_keeps_its_type() -> None:
    def pool(model: Model) -> Model:
        return graph("input x: [N, 4, 9, 9]\nc = global_avg_pool(x)")

    text = "input x: [N, 4, 9, 9]\nc = relu(x)"
    with pytest.raises(PassError, match=r"meddles changed the output 'output' from \[N, 4, 9, 9\] to \[N, 4\]"):
        PassManager([Meddles(pool)], Says()).run(graph(text))


def test_a_replaced_value_is_followed_through_several_rewrites() -> None:
    lines = "\n".join(f"n{i} = identity({f'n{i - 1}' if i else 'r'})" for i in range(20))
    model = graph(f"input x: [N, 4]\nr = relu(x)\n{lines}\ns = add(n19, n7)\noutput y = s\noutput z = n12")
    after = PassManager([DropIdentity()], Says()).run(model).model
    assert after.graph.nodes["s"].inputs == ("r", "r")
    assert after.graph.outputs == {"y": "s", "z": "r"}


def test_an_invalid_model_is_refused_before_any_pass() -> None:
    model = graph(TEXT)
    with pytest.raises(PassError, match="reads 'q'"):
        PassManager(O0).run(_outputs(model, {"y": "q"}))


def test_pipelines_grow_and_every_pass_is_listed_in_their_order() -> None:
    assert (O0, O1, O2, O3) == PIPELINES
    names = [[one.name for one in pipeline] for pipeline in PIPELINES]
    assert names[0] == []
    for lower, higher in pairwise(names):
        assert [name for name in higher if name in lower] == lower
    targeted = [one.name for extra in TARGETS.values() for one in extra]
    assert list(PASSES) == [*names[-1], *dict.fromkeys(targeted)]
    assert all(PASSES[name].name == name for name in PASSES)


def test_without_passes_nothing_changes() -> None:
    model = graph(TEXT)
    done = PassManager(O0, Says()).run(model)
    assert (done.model, done.records, done.regions) == (model, (), ())
