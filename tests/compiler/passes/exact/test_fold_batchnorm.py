"""Batch norms are folded where that is exact, and refused with a reason where it is not."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings

from convc.compiler.errors import Origin
from convc.compiler.ir import Model
from convc.compiler.ir.text import graph, to_text
from convc.compiler.ops.batch_norm import BatchNorm
from convc.compiler.passes import O2
from convc.compiler.passes.exact import FoldBatchNorm
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, randomised, whole
from tests.compiler.ir.graphs import models


def proven(model: Model, *passes: object) -> Model:
    """Folded on telling numbers, each region proven, and the whole compared."""
    telling = randomised(model) or model
    after = PassManager([FoldBatchNorm()], TorchProbe()).run(telling).model
    assert whole(telling, after) < 1e-12
    return after


@pytest.mark.parametrize(
    ("shape", "call"),
    [
        ("[N, 6, 9, 9]", "conv(x, out=8)"),
        ("[N, 6, H, W]", "conv(x, out=8, bias=false, stride=2)"),
        ("[N, 6, 9, 9]", "conv(x, out=9, groups=3, kernel=[1, 3], dilation=2)"),
        ("[N, 6, 9, 9]", "conv(x, out=12, groups=6)"),
        ("[N, 6, H, 9]", "conv(x, out=4, kernel=4, stride=3, padding=same_upper)"),
        ("[N, 6, 9, 9]", "conv(x, kernel=3, padding_mode=circular)"),
        ("[N, 6, 30]", "conv(x, out=8, padding=causal)"),
        ("[N, 2, 5, 6, 7]", "conv(x, out=3)"),
        ("[N, 6, 9, 9]", "conv_transpose(x, out=8)"),
        ("[N, 6, 9, 9]", "conv_transpose(x, out=9, groups=3, kernel=3, bias=false)"),
        ("[N, 6, H]", "conv_transpose(x, out=12, groups=6, kernel=3)"),
        ("[N, 4, 4, 5, 6]", "conv_transpose(x, out=2, groups=2, kernel=2)"),
        ("[N, 6]", "linear(x, out=5)"),
        ("[3, 6]", "linear(x, out=5, bias=false)"),
    ],
)
@pytest.mark.parametrize("norm", ["", ", scale=false", ", shift=false", ", scale=false, shift=false", ", eps=0.3"])
def test_it_folds(shape: str, call: str, norm: str) -> None:
    after = proven(graph(f"input x: {shape}\nc = {call}\nb = batch_norm(c{norm})\nr = relu(b)"))
    assert list(after.graph.nodes) == ["c", "r"]
    assert set(after.params) == {"c.weight", "c.bias"} == after.trained


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("r = relu(x)\nb = batch_norm(r)", "follows relu 'r', not a conv, conv_transpose or linear"),
        ("b = batch_norm(x)", "follows the input 'x', not a conv, conv_transpose or linear"),
        ("c = conv(x)\nb = batch_norm(c)\ny = add(b, c)", "'c' also feeds y"),
        (
            "c = conv(x)\nb = batch_norm(c)\ny1 = relu(c)\ny2 = relu(c)\ny3 = relu(c)\ny4 = relu(c)\ny5 = relu(c)",
            "'c' also feeds y1, y2, y3 and 2 more",
        ),
        ("c = conv(x)\nb = batch_norm(c)\noutput y = b\noutput z = c", "'c' is an output of the network as well"),
        ("c = linear(x, out=9)\nb = batch_norm(c)", "normalises axis 1 of [N, 4, 9, 9], but linear 'c' writes axis 3"),
    ],
)
def test_it_refuses_with_a_reason(lines: str, reason: str) -> None:
    model = graph(f"input x: [N, 4, 9, 9]\n{lines}")
    result = FoldBatchNorm().run(model)
    assert result.misses == (("b", reason),)
    assert result.model is model


def test_the_folded_graph() -> None:
    before = graph("""
        input x: [N, 4, 9, 9]
        stem.conv = conv(x, out=8, bias=false)
        stem.bn = batch_norm(stem.conv)
        output y = stem.bn
    """)
    after = graph("input x: [N, 4, 9, 9]\nstem.conv = conv(x, out=8)\noutput y = stem.conv")
    assert to_text(FoldBatchNorm().run(before).model.graph) == to_text(after.graph)


def test_two_that_share_a_weight_each_get_their_own() -> None:
    before = graph("""
        input x: [N, 4, 9, 9]
        a = conv(x)
        b = batch_norm(a)
        c = conv(b) with weight=a.weight, bias=a.bias
        d = batch_norm(c)
        e = conv(d) with weight=a.weight
    """)
    after = proven(before)
    assert list(after.graph.nodes) == ["a", "c", "e"]
    assert len({after.graph.nodes[name].params["weight"] for name in "ace"}) == 3


def test_two_that_share_a_batch_norm_fold_it_each() -> None:
    shared = "weight=b.weight, bias=b.bias, running_mean=b.running_mean, running_var=b.running_var"
    after = proven(
        graph(f"input x: [N, 4, 9, 9]\na = conv(x)\nb = batch_norm(a)\nc = conv(b)\nd = batch_norm(c) with {shared}")
    )
    assert list(after.graph.nodes) == ["a", "c"]


def test_a_chain_of_batch_norms_folds_into_one_conv() -> None:
    after = proven(graph("input x: [N, 4, 9, 9]\na = conv(x)\nb = batch_norm(a)\nc = batch_norm(b)\nd = batch_norm(c)"))
    assert list(after.graph.nodes) == ["a"]


def test_a_very_long_chain_needs_no_recursion() -> None:
    norms = "\n".join(f"b{i} = batch_norm({f'b{i - 1}' if i else 'a'})" for i in range(1000))
    model = graph(f"input x: [N, 4, 9, 9]\na = conv(x)\n{norms}")
    after = PassManager([FoldBatchNorm()]).run(model).model
    assert len(after.graph) == 1
    assert after.params["a.weight"].evaluate().shape == (4, 4, 3, 3)


def test_a_dropout_or_a_head_no_longer_stands_in_the_way() -> None:
    model = graph("""
        input x: [N, 4, 9, 9]
        a = conv(x)
        aux = relu(a) train_only
        d = dropout(a)
        b = batch_norm(d)
        output y = b
        train_output aux
    """)
    assert not FoldBatchNorm().run(model).regions
    assert list(PassManager(O2, TorchProbe()).run(model).model.graph.nodes) == ["a"]


def test_the_node_stands_for_both_origins() -> None:
    model = graph("input x: [N, 4, 9, 9]\na = conv(x)\nb = batch_norm(a)")
    edit = model.edit()
    for name in "ab":
        with edit.region("test", name):
            edit.add_origins(name, (Origin(name),))
    after = FoldBatchNorm().run(edit.commit()).model
    assert [origin.path for origin in after.graph.nodes["a"].origins] == ["a", "b"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_any_graph_keeps_its_function_through_every_pass(model: Model) -> None:
    # A generated graph may share any parameter: a mean is no variance, as it may be negative.
    norms = [node for node in model.graph if isinstance(node.op, BatchNorm)]
    assume(all(node.params["running_var"].endswith("running_var") for node in norms))
    telling = randomised(model) or model
    done = PassManager(O2, TorchProbe()).run(telling)
    assert whole(telling, done.model) < 1e-9
    record = next(record for record in done.records if record.name == "fold_affine_forward")
    left = {node.name for node in done.model.graph if isinstance(node.op, BatchNorm)}
    assert left <= {site for site, _ in record.misses}, "each one that is left has its reason; others a later pass took"
