"""A weight that several layers hold: what folds alike stays one, and what would make copies is folded where that pays."""

from __future__ import annotations

from typing import Any

import onnx
import pytest

from convc.compiler.compile import compile_model
from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.lower.to_onnx import to_onnx
from convc.compiler.lower.writer import serialize
from convc.compiler.passes import Worth
from convc.compiler.passes.exact import FoldAffineBack, FoldAffineForward, FoldBatchNorm
from convc.compiler.passes.manager import Optimised, PassManager
from convc.compiler.passes.rewrite import Rewrite
from convc.compiler.probe import TorchProbe, randomised, whole

OFF = Worth("generic", 1, 1, 1, enabled=False)
SAME = " with weight=b.weight, bias=b.bias, running_mean=b.running_mean, running_var=b.running_var"


def recurrent(channels: int, size: int, same: bool, steps: int = 3) -> Model:
    """One convolution `steps` times, each with a batch norm of the same numbers, or of its own."""
    lines = [f"input x: [1, {channels}, {size}, {size}]", "a = conv(x, bias=false)", "b = batch_norm(a)", "c = relu(b)"]
    for i in range(1, steps):
        lines.append(f"a{i} = conv({'c' if i == 1 else f'c{i - 1}'}, bias=false) with weight=a.weight")
        lines.append(f"b{i} = batch_norm(a{i}){SAME if same else ''}")
        lines.append(f"c{i} = relu(b{i})")
    model = graph("\n".join(lines))
    return randomised(model) or model


def optimised(model: Model, *passes: Rewrite[Any], free: bool = False) -> Optimised:
    chosen = [one.judged_by(OFF) if free else one for one in passes]
    done = PassManager(chosen, TorchProbe()).run(model)
    assert whole(model, done.model) < 1e-11
    return done


def weights(model: Model) -> set[str]:
    return {node.params["weight"] for node in model.graph if node.op.name in ("conv", "linear")}


@pytest.mark.parametrize("one", [FoldBatchNorm(), FoldAffineBack()])
def test_what_folds_alike_stays_one_parameter(one: Rewrite[Any]) -> None:
    done = optimised(recurrent(8, 7, same=True), one)
    assert [node.op.name for node in done.model.graph] == ["conv", "relu"] * 3
    assert len(done.model.params) == 2
    assert len(weights(done.model)) == 1


def test_the_file_holds_it_once() -> None:
    compiled = compile_model(recurrent(8, 7, same=True))
    proto = onnx.load_from_string(serialize(to_onnx(compiled.model)))
    assert sorted(tuple(tensor.dims) for tensor in proto.graph.initializer) == [(8,), (8, 8, 3, 3)]
    assert sum(node.op_type == "Conv" for node in proto.graph.node) == 3


def test_branches_that_recur_merge_into_one_parameter() -> None:
    lines = ["input x: [1, 8, 7, 7]", "a = conv(x)", "b = conv(x, kernel=1)", "y = add(a, b)", "r = relu(y)"]
    lines += [
        "c = conv(r) with weight=a.weight, bias=a.bias",
        "d = conv(r, kernel=1) with weight=b.weight, bias=b.bias",
    ]
    compiled = compile_model(graph("\n".join([*lines, "z = add(c, d)"])))
    assert [node.op.name for node in compiled.model.graph] == ["conv", "relu", "conv"]
    assert len(compiled.model.params) == 2


def test_copies_are_made_where_the_norms_cost_more() -> None:
    """8 channels of 56 x 56: a norm moves 200 kB, a copy of the weight 2 kB."""
    done = optimised(recurrent(8, 56, same=False), FoldBatchNorm())
    assert [node.op.name for node in done.model.graph] == ["conv", "relu"] * 3
    assert len(weights(done.model)) == 3


@pytest.mark.parametrize("one", [FoldBatchNorm(), FoldAffineBack()])
def test_a_large_weight_on_small_maps_stays_shared(one: Rewrite[Any]) -> None:
    """256 channels of 4 x 4: a copy of the weight has 2.4 MB, what a norm moves 33 kB."""
    model = recurrent(256, 4, same=False)
    done = optimised(model, one)
    assert done.model is model
    reason = dict(done.records[0].misses)["b"]
    assert reason.startswith("'a' shares its weight with 'a1', 'a2', and would get a copy: no faster on generic")
    assert len(weights(optimised(model, one, free=True).model)) == 3
    same = optimised(recurrent(256, 4, same=True), one).model
    assert len(weights(same)) == 1
    assert len(same.graph) == 6


def test_who_folds_nothing_keeps_the_weight_as_it_was() -> None:
    text = "input x: [1, 256, 4, 4]\na = conv(x, bias=false)\nb = batch_norm(a)\nr = relu(b)\n"
    text += "d = conv(r) with weight=a.weight\nz = relu(d)"
    assert optimised(graph(text), FoldBatchNorm()).records[0].rewrites == 0
    small = text.replace("256, 4, 4", "4, 64, 64")
    assert optimised(graph(small), FoldBatchNorm()).records[0].rewrites == 1


def test_a_map_before_layers_that_share_a_weight() -> None:
    head = "input x: [1, 256, 4, 4]\nb = scale(x)\n"
    other = "c = conv(b, padding=0)\nd = conv(b, padding=0) with weight=c.weight\nz = mul(c, d)"
    alike = graph(head + other)
    done = optimised(randomised(alike) or alike, FoldAffineForward())
    assert len(weights(done.model)) == 1
    assert "b" not in done.model.graph.nodes
    apart = graph(head + "c = conv(b, padding=0)\ns = relu(c)\nd = conv(s) with weight=c.weight\nz = relu(d)")
    done = optimised(randomised(apart) or apart, FoldAffineForward())
    assert "'c' shares its weight with 'd'" in dict(done.records[0].misses)["b"]
