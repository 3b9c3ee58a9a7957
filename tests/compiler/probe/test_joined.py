"""Rewrites that meet are proven as one place; where that fails, one by one, and the pass and node are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from convc.compiler import compile as compiling
from convc.compiler.compile import Compiled, aliases, compile_model, prove
from convc.compiler.errors import PassError
from convc.compiler.ir import Editor, Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import O2, PassManager
from convc.compiler.passes.exact import FoldBatchNorm, MergeBranches
from convc.compiler.passes.exact.fold_batchnorm import Folding
from convc.compiler.passes.rewrite import Rewrite
from convc.compiler.probe import TorchProbe, joined, randomised, whole
from convc.compiler.probe.structure import Plans

BLOCK = """
    {name}.wide = conv({x}, bias=false)
    {name}.wide.bn = batch_norm({name}.wide)
    {name}.narrow = conv({x}, kernel=1, bias=false)
    {name}.narrow.bn = batch_norm({name}.narrow)
    {name}.same.bn = batch_norm({x})
    {name}.sum = add({name}.wide.bn, {name}.narrow.bn, {name}.same.bn)
    {name}.act = relu({name}.sum)
"""
HEAD = "input x: [N, 8, 32, 32]\n"


def blocks(count: int) -> Model:
    """RepVGG blocks in a row, statistics neutral."""
    names = ["x", *(f"b{i}.act" for i in range(count))]
    return graph(HEAD + "".join(BLOCK.format(name=f"b{i}", x=names[i]) for i in range(count)))


def telling(model: Model) -> Model:
    other = randomised(model)
    assert other is not None
    return other


def compiled_by(model: Model, passes: Sequence[Rewrite[Any]]) -> Compiled:
    done = PassManager(passes).run(model)
    return Compiled(model, done, tuple(passes), aliases(done.model, done.regions))


def test_the_branches_of_a_block_are_one_place_from_source_to_outcome() -> None:
    done = compile_model(telling(blocks(3)))
    places = joined(done.source, done.model, done.optimised.regions, done.aliases)
    assert len(done.optimised.regions) >= 9
    assert [len(place.whole.before) for place in places] == [6, 6, 6]
    assert [[node.op.name for node in place.whole.after] for place in places] == [["conv"]] * 3
    # What the second block's convolution reads goes by the source's name.
    assert [list(place.whole.inputs) for place in places] == [["x"], ["b0.act"], ["b1.act"]]
    assert max(TorchProbe().max_error(place.whole) for place in places) < 1e-12


def test_regions_that_nobody_meets_are_places_of_their_own() -> None:
    chain = telling(graph(f"{HEAD}a = conv(x)\nb = batch_norm(a)\nr = relu(b)\nc = conv(r)\nd = batch_norm(c)"))
    done = compile_model(chain)
    places = joined(done.source, done.model, done.optimised.regions, done.aliases)
    assert [place.whole for place in places] == list(done.optimised.regions)


def test_a_place_of_very_many_rewrites_is_left_apart() -> None:
    text = HEAD + "".join(f"c{i} = conv(x, bias=false)\nb{i} = batch_norm(c{i})\n" for i in range(40))
    text += f"y = add({', '.join(f'b{i}' for i in range(40))})"
    done = compile_model(telling(graph(text)))
    places = joined(done.source, done.model, done.optimised.regions, done.aliases)
    assert len(places) == len(done.optimised.regions) > 32
    assert prove(done).whole_error is not None


def test_what_is_proven_of_a_place_is_told_of_each_of_its_passes() -> None:
    records = {record.name: record for record in prove(compile_model(telling(blocks(2)))).records}
    for name in ("fold_batchnorm", "merge_branches"):
        assert 0 < (records[name].max_error or 0) < 1e-12
    assert records["fold_pad"].max_error == 0


class Spoils(FoldBatchNorm):
    """FoldBatchNorm that doubles one bias, at one site."""

    def rewrite(self, edit: Editor, match: Folding) -> None:
        super().rewrite(edit, match)
        if match.node.name == "b1.narrow.bn":
            edit.set_params(match.conv.name, bias=edit.params_of(match.conv)["bias"] * 2.0)


def test_a_rewrite_that_is_wrong_within_a_place_is_named() -> None:
    with pytest.raises(PassError, match=r"fold_batchnorm changed the numbers at 'b1\.narrow\.bn'"):
        prove(compiled_by(telling(blocks(3)), (Spoils(), MergeBranches())))


class Forgets(FoldBatchNorm):
    """Folds as if batch norm had no factor: true of fresh statistics alone."""

    def rewrite(self, edit: Editor, match: Folding) -> None:
        gamma = edit.params_of(match.node)["weight"]
        super().rewrite(edit, match)
        weight = edit.params_of(match.conv)["weight"]
        edit.set_params(match.conv.name, weight=weight / gamma.reshape(weight.shape[0], 1, 1, 1))


def test_fresh_statistics_are_proven_with_others_in_expressions_too() -> None:
    fresh = blocks(2)
    done = compiled_by(fresh, (Forgets(), MergeBranches()))
    assert whole(done.source, done.model) < 1e-12
    with pytest.raises(PassError, match="fold_batchnorm changed the numbers at 'b0"):
        prove(done)


# -- sizes of regions that repeat a pattern


def regions(*convs: str) -> tuple[Plans, list[Any]]:
    """Plans, and the region of each fold behind these convolutions."""
    lines = [f"a{i} = conv(x, {conv})\nb{i} = batch_norm(a{i})" for i, conv in enumerate(convs)]
    done = FoldBatchNorm().run(telling(graph(HEAD + "\n".join(lines))))
    return Plans(), list(done.regions)


def test_the_first_of_a_pattern_is_run_at_two_sizes_the_others_at_a_smaller_one() -> None:
    plans, found = regions("out=24", "out=24", "out=16", "out=16", "out=16, kernel=5", "out=16, stride=2", "groups=8")
    sizes = [[str(plan.inputs["x"]) for plan in plans.of(region)] for region in found]
    full = ["[1, 8, 7, 8]", "[2, 8, 6, 5]"]
    # Counts of channels do not make a pattern; a kernel, a stride and groups do.
    assert sizes[:4] == [full, ["[1, 8, 4, 4]"], ["[1, 8, 4, 4]"], ["[1, 8, 4, 4]"]]
    assert [len(each) for each in sizes[4:]] == [2, 2, 2]


def test_numbers_are_those_of_the_region_whatever_was_run_before() -> None:
    _, found = regions("out=8", "out=8")
    probe = TorchProbe()
    assert probe.max_error(found[0]) < 1e-12
    weight = next(iter(found[1].params_after))
    harmed = replace(found[1], params_after={**found[1].params_after, weight: found[1].params_after[weight] * 1.001})
    assert probe.max_error(harmed) > 1e-6


def test_a_pattern_that_was_seen_does_not_hide_another_padding() -> None:
    _, found = regions("out=8", "out=8")
    probe = TorchProbe()
    assert probe.max_error(found[0]) < 1e-12
    conv = found[1].after[0]
    padded = replace(found[1], after=(replace(conv, op=replace(conv.op, padding=(1, 2, 1, 1))),))
    assert probe.max_error(padded) == float("inf")


def test_the_whole_pipeline_agrees_with_proofs_one_by_one() -> None:
    model = telling(blocks(2))
    apart = PassManager(O2, TorchProbe()).run(model).records
    together = prove(compile_model(model)).records
    assert [(one.name, one.sites) for one in apart] == [(one.name, one.sites) for one in together]


def test_what_is_left_out_because_of_a_number_is_no_reason_to_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The norm's offset is 0, so the convolution gets none: with another number in its place that would be wrong."""
    fresh = graph(f"{HEAD}n = layer_norm(x, axis=channel)\nc = conv(n, kernel=1)\nr = relu(c)\nb = batch_norm(r)")
    monkeypatch.setattr(compiling, "_one_by_one", lambda *_: pytest.fail("proven one by one"))
    done = compile_model(fresh)
    assert ("n",) in [record.sites for record in done.records]
    assert max(record.max_error or 0 for record in prove(done).records) < 1e-12
