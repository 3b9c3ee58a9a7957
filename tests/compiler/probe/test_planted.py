"""Defects planted in a pass: the proof catches each, and names the pass and the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convc.compiler.errors import PassError
from convc.compiler.ir import Editor, Model, Node, Param
from convc.compiler.ir.text import graph
from convc.compiler.passes import PassManager
from convc.compiler.passes.exact import FoldBatchNorm
from convc.compiler.passes.exact.fold_batchnorm import Folding
from convc.compiler.probe import TorchProbe, randomised

NETWORK = """
    input x: [N, 3, 64, 64]
    stem.conv = conv(x, out=16, kernel=7, stride=2, bias=false)
    stem.bn = batch_norm(stem.conv)
    stem.act = relu(stem.bn)
    point.conv = conv(stem.act, out=32, kernel=1)
    point.bn = batch_norm(point.conv)
    deep.conv = conv(point.bn, groups=32, stride=2, bias=false)
    deep.bn = batch_norm(deep.conv)
    wide.conv = conv(deep.bn, out=64, kernel=3, dilation=2)
    wide.bn = batch_norm(wide.conv)
    cut.conv = conv(wide.bn, out=32, kernel=1, stride=2, bias=false)
    cut.bn = batch_norm(cut.conv)
    group.conv = conv(cut.bn, out=32, kernel=[1, 5], groups=4, padding=same_upper)
    group.bn = batch_norm(group.conv)
    up.conv = conv_transpose(group.bn, out=32, kernel=3, groups=2)
    up.bn = batch_norm(up.conv)
    square.conv = conv(up.bn)
    square.bn = batch_norm(square.conv)
    pool = global_avg_pool(square.bn)
    fc = linear(pool, out=32)
    fc.bn = batch_norm(fc)
"""
SITES = ("stem.bn", "point.bn", "deep.bn", "wide.bn", "cut.bn", "group.bn", "up.bn", "square.bn", "fc.bn")

Harm = Callable[[Editor, Node], None]


class Planted(FoldBatchNorm):
    """FoldBatchNorm, and then some harm at one site."""

    def __init__(self, site: str, harm: Harm) -> None:
        self.site = site
        self.harm = harm

    def rewrite(self, edit: Editor, match: Folding) -> None:
        super().rewrite(edit, match)
        if match.node.name == self.site:
            folded = edit.node(match.conv.name)
            assert folded is not None
            self.harm(edit, folded)


@pytest.fixture(scope="module")
def model() -> Model:
    found = randomised(graph(NETWORK))
    assert found is not None
    return found


def caught(model: Model, site: str, harm: Harm) -> None:
    """Caught in the numbers, or where the harm changes a shape, in the types; either names pass and node."""
    with pytest.raises(PassError, match=rf"^fold_batchnorm changed the (numbers|type of .*) at '{site}': "):
        PassManager([Planted(site, harm)], TorchProbe()).run(model)


def scaled_weight(place: int) -> Harm:
    """One element of the folded weight, times 1.001."""

    def one(weight: Any) -> Any:
        changed = np.array(weight)
        changed.reshape(-1)[place % changed.size] *= 1.001
        return changed

    def harm(edit: Editor, conv: Node) -> None:
        weight = edit.params_of(conv)["weight"]
        edit.set_params(conv.name, weight=weight.apply(weight.shape, one, "harm"))

    return harm


def of_params(change: Callable[[Param], Param], role: str) -> Harm:
    return lambda edit, conv: edit.set_params(conv.name, **{role: change(edit.params_of(conv)[role])})


def of_op(**changes: Any) -> Harm:
    return lambda edit, conv: edit.set_op(conv.name, replace(conv.op, **changes))


def test_unharmed_it_passes(model: Model) -> None:
    done = PassManager([Planted("none", of_op())], TorchProbe()).run(model)
    assert done.records[0].sites == SITES
    assert done.records[0].max_error is not None
    assert 0 < done.records[0].max_error < 1e-12


@pytest.mark.parametrize("seed", range(100))
def test_one_weight_scaled_by_a_thousandth(model: Model, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    caught(model, SITES[int(drawn.integers(len(SITES)))], scaled_weight(int(drawn.integers(1 << 40))))


class TenTimesEps(FoldBatchNorm):
    """Folds with ten times the epsilon."""

    def rewrite(self, edit: Editor, match: Folding) -> None:
        op: Any = match.node.op
        super().rewrite(edit, replace(match, node=replace(match.node, op=replace(op, eps=10 * op.eps))))


def test_an_epsilon_ten_times_too_large(model: Model) -> None:
    for site in SITES:
        with pytest.raises(PassError, match=rf"^fold_batchnorm changed the numbers at '{site}'"):
            PassManager([_only(TenTimesEps, site)], TorchProbe()).run(model)


def _only(harmful: type[FoldBatchNorm], site: str) -> FoldBatchNorm:
    class Only(harmful):  # type: ignore[valid-type,misc]
        def match(self, edit: Editor, node: Node) -> Any:
            return super().match(edit, node) if node.name == site else None

    return Only()


@pytest.mark.parametrize("site", SITES)
def test_a_dropped_bias(model: Model, site: str) -> None:
    caught(model, site, of_params(lambda bias: bias * 0.0, "bias"))

    def drop(edit: Editor, conv: Node) -> None:
        edit.set_op(conv.name, replace(conv.op, bias=False))  # type: ignore[call-arg]
        edit.drop_params(conv.name, "bias")

    caught(model, site, drop)


@pytest.mark.parametrize("site", SITES)
def test_a_shifted_or_doubled_bias(model: Model, site: str) -> None:
    caught(model, site, of_params(lambda bias: bias + 1e-6, "bias"))
    caught(model, site, of_params(lambda bias: bias.apply(bias.shape, lambda b: b[::-1], "turned"), "bias"))


@pytest.mark.parametrize(
    ("site", "pads"),
    [
        ("stem.bn", (3, 3, 3, 3)),
        ("point.bn", (0, 0, 0, 0)),
        ("deep.bn", (1, 1, 1, 1)),
        ("wide.bn", (2, 2, 2, 2)),
        ("cut.bn", (0, 0, 0, 0)),
        ("group.bn", (0, 2, 0, 2)),
        ("up.bn", (0, 0, 0, 0)),
        ("square.bn", (1, 1, 1, 1)),
    ],
)
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("by", [1, -1])
def test_a_pad_off_by_one(model: Model, site: str, pads: tuple[int, ...], place: int, by: int) -> None:
    wrong = tuple(pad + by * (i == place) for i, pad in enumerate(pads))
    if min(wrong) < 0:
        wrong = tuple(pad + 1 for pad in pads)  # on both ends of every axis instead
    caught(model, site, of_op(padding=wrong))


@pytest.mark.parametrize("site", ["stem.bn", "wide.bn", "square.bn", "up.bn", "deep.bn"])
def test_height_and_width_swapped(model: Model, site: str) -> None:
    def turned(weight: Param) -> Param:
        return weight.apply(weight.shape, lambda w: w.swapaxes(2, 3), "turned")

    caught(model, site, of_params(turned, "weight"))


@pytest.mark.parametrize("site", ["square.bn", "fc.bn"])
def test_input_and_output_channels_swapped(model: Model, site: str) -> None:
    caught(
        model,
        site,
        of_params(lambda weight: weight.apply(weight.shape, lambda w: w.swapaxes(0, 1), "turned"), "weight"),
    )


@pytest.mark.parametrize("site", ["group.bn", "up.bn"])
def test_groups_in_another_order(model: Model, site: str) -> None:
    def rolled(weight: Param) -> Param:
        return weight.apply(weight.shape, lambda w: np.roll(w, w.shape[0] // 4, axis=0), "rolled")

    caught(model, site, of_params(rolled, "weight"))


@pytest.mark.parametrize("site", ["stem.bn", "deep.bn", "cut.bn"])
def test_a_stride_or_dilation_off_by_one(model: Model, site: str) -> None:
    caught(model, site, of_op(stride=(2, 1)))
    caught(model, site, of_op(stride=(2, 3)))


def test_a_neutral_batch_norm_hides_a_forgotten_factor_and_its_copy_does_not() -> None:
    class Forgets(FoldBatchNorm):
        """Folds as if the batch norm had no factor."""

        def rewrite(self, edit: Editor, match: Folding) -> None:
            gamma = edit.params_of(match.node)["weight"]
            super().rewrite(edit, match)
            weight = edit.params_of(match.conv)["weight"]
            edit.set_params(match.conv.name, weight=weight / gamma.reshape(weight.shape[0], 1, 1, 1))

    fresh = graph("input x: [N, 4, 9, 9]\nc = conv(x, bias=false)\nb = batch_norm(c)")
    PassManager([Forgets()], TorchProbe()).run(fresh)
    telling = randomised(fresh)
    assert telling is not None
    with pytest.raises(PassError, match="fold_batchnorm changed the numbers at 'b'"):
        PassManager([Forgets()], TorchProbe()).run(telling)
