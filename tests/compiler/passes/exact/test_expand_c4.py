"""C4 convolutions and norms become ordinary ones, copies exact, and then fold."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from convc.compiler.ir.text import graph
from convc.compiler.ops.c4_conv import C4BatchNorm, C4Conv
from convc.compiler.passes import O2, Worth
from convc.compiler.passes.exact import ExpandC4
from convc.compiler.passes.manager import PassManager
from convc.compiler.probe import TorchProbe, randomised, whole


@pytest.mark.parametrize(
    "lines",
    [
        "c = c4_conv(x, out=3, kind=lifting)",
        "c = c4_conv(x, out=3, kernel=4, padding=0)",
        "c = c4_conv(x, out=2, stride=2, padding=same_upper, bias=false)",
        "c = c4_batch_norm(x, eps=0.3)",
        "c = c4_conv(x, out=2)\nd = c4_conv(x, out=2) with weight=c.weight, bias=c.bias\nadd(c, d)",
        "c = c4_conv(x, out=2)\nd = c4_conv(c, out=2) with weight=c.weight, bias=c.bias",
    ],
)
def test_what_runs_afterwards_is_ordinary(lines: str) -> None:
    shape = "[N, 8, H, W]"
    model = graph(f"input x: {shape}\n" + lines.replace("\nadd", "\ne = add"))
    telling = randomised(model) or model
    optimised = PassManager([ExpandC4()], TorchProbe()).run(telling)
    after = optimised.model
    assert {type(node.op) for node in after.graph} & {C4Conv, C4BatchNorm} == set()
    assert whole(telling, after) == 0.0
    assert after.trained == {name for name in after.params if "running" not in name}


def test_the_norm_folds_into_the_convolution() -> None:
    model = graph(
        "input x: [N, 3, 9, 9]\nc = c4_conv(x, out=5, kind=lifting, bias=false)\nb = c4_batch_norm(c)\nr = relu(b)"
    )
    telling = randomised(model) or model
    after = PassManager(O2, TorchProbe()).run(telling).model
    assert list(after.graph.nodes) == ["c", "r"]
    assert after.graph.nodes["c"].op.name == "conv"
    assert {name: param.shape for name, param in after.params.items()} == {"c.weight": (20, 3, 3, 3), "c.bias": (20,)}
    assert whole(telling, after) < 1e-12


def test_the_cost_model_is_asked() -> None:
    """Where neither bytes nor launches cost anything, gathering the copies anew is no slower."""
    free = Worth("free", 1e9, inf, 0.0)
    model = graph("input x: [N, 4, 9, 9]\nc = c4_conv(x, out=2)\nb = c4_batch_norm(c)")
    result = ExpandC4().judged_by(free).run(model)
    assert result.model is model
    assert [site for site, _ in result.misses] == ["c", "b"]
    assert all(why.startswith("its copies could be written out: no faster on free") for _, why in result.misses)
    assert ExpandC4().run(model).rewrites == 2


def test_a_filter_that_layers_share_is_written_out_once() -> None:
    lines = "c = c4_conv(x, out=2)\nr = relu(c)\nd = c4_conv(r, out=2) with weight=c.weight, bias=c.bias"
    after = ExpandC4().run(graph(f"input x: [N, 8, 9, 9]\n{lines}")).model
    assert after.graph.nodes["c"].params == after.graph.nodes["d"].params
    assert len(after.params) == 2


def test_copies_are_the_filter_turned() -> None:
    model = graph("input x: [N, 1, 9, 9]\nc = c4_conv(x, out=2, kind=lifting)")
    copies = ExpandC4().run(model).model.params["c.weight"].evaluate().reshape(2, 4, 1, 3, 3)
    filters = model.params["c.weight"].evaluate()
    for turn in range(4):
        assert np.array_equal(copies[:, turn], np.rot90(filters, turn, axes=(2, 3)))
