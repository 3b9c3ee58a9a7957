"""Small graphs of the forms that optimizers merge, or fail to: each comes down to the operators of its ideal.

The cost model is off, so whatever is exact happens. Parameters and constants are no nodes of the file, and not counted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

import convc
from convc.compiler.compile import compile_model, prove
from convc.compiler.ir import Model
from convc.compiler.probe import randomised

FOLDER = Path(__file__).parent


class Row(NamedTuple):
    """A spec's name and the operators that are left."""

    name: str
    ideal: str


ROWS = (
    Row("conv_bn_relu", "conv relu"),
    Row("bn_conv_point", "conv"),
    Row("bn_conv_valid", "conv"),
    Row("bn_conv_padded", "conv add"),
    Row("conv_concat_bn", "conv"),  # its two convolutions, once folded, are siblings
    Row("bn_bn_relu", "batch_norm relu"),
    Row("repvgg", "conv relu"),
    Row("biased_pair", "conv"),
    Row("acnet", "conv"),
    Row("diverse", "conv"),
    Row("mobileone", "conv relu"),
    Row("point_valid", "conv"),
    Row("point_padded", "conv"),
    Row("dense_point", "conv"),
    Row("point_point", "conv"),
    Row("siblings_concat", "conv"),
    Row("siblings_apart", "conv relu sigmoid slice slice"),
    Row("dirac", "conv"),
    Row("conv_mul_add", "conv"),
    Row("layer_scale", "conv"),
    Row("standardised", "conv"),
    Row("shuffle_back", "relu"),
    Row("shuffle_point", "conv"),
    Row("enlarged_point", "conv resize"),
    Row("hard_swish", "hardswish"),
    Row("squeeze", "conv conv global_avg_pool hardsigmoid mul relu"),
    Row("pad_conv", "conv"),
    Row("duplicate", "conv relu sigmoid"),
    Row("two_inputs", "concat conv"),
    Row("nested_sum", "add conv relu"),
)


def test_every_spec_has_a_row() -> None:
    assert sorted(row.name for row in ROWS) == sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _model(name: str) -> Model:
    model = convc.load(FOLDER / f"{name}.yaml").model(seed=5)
    return randomised(model) or model


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_ideal_is_reached(row: Row) -> None:
    compiled = prove(compile_model(_model(row.name), cost_model=False))
    left = Counter(node.op.name for node in compiled.model.graph if node.op.arity.most != 0)
    assert left == Counter(row.ideal.split())
    assert compiled.whole_error is not None
    assert compiled.whole_error < 1e-12


def test_an_enlargement_comes_behind_the_1x1() -> None:
    names = [node.op.name for node in compile_model(_model("enlarged_point")).model.graph]
    assert names == ["conv", "resize"]
