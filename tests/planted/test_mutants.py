"""Mistakes planted in passes: the proof catches each, and names the pass and the node."""

from __future__ import annotations

import re

import pytest

from convc.compiler.compile import compile_model, prove
from convc.compiler.errors import PassError
from convc.compiler.passes import PassManager
from convc.compiler.probe import TorchProbe
from tests.planted import algebra, folds, layouts, linear, small
from tests.planted.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *folds.mutants(),
    *layouts.mutants(),
    *small.mutants(),
    *algebra.mutants(),
    *linear.linear(),
)


def test_there_are_enough() -> None:
    assert len({str(mutant) for mutant in MUTANTS}) == len(MUTANTS) >= 30


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mistake_is_caught_with_its_pass_and_node(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    model = mutant.model()
    PassManager([mutant.a_pass()], TorchProbe()).run(model)  # without it all is well
    mutant.plant(monkeypatch)
    with pytest.raises(PassError) as caught:
        PassManager([mutant.a_pass()], TorchProbe()).run(model)
    assert _names(caught.value, mutant), caught.value.message
    # A build proves rewrites that meet as one: it is not fooled, and names them just so.
    with pytest.raises(PassError) as caught:
        prove(compile_model(model, level=0, enable=(mutant.of,), cost_model=False))
    assert _names(caught.value, mutant), caught.value.message


def _names(error: PassError, mutant: Mutant) -> bool:
    return re.match(rf"{mutant.of} .*'{re.escape(mutant.site)}'", error.message) is not None
