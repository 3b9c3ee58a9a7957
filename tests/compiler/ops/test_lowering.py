"""Every operator three ways: its type rule, PyTorch and ONNX Runtime agree, at several sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convc.compiler.ir import DType, SymDim
from convc.compiler.ops import OPS
from tests.compiler.ops.cases import CASES, Case
from tests.compiler.ops.single import Single, assert_close, make, symbolic, typed


def _single(case: Case) -> Single:
    promised = {name: SymDim.symbol(name, case.divides) for name in "HW"}
    types = [typed(shape, promised) for shape in case.shapes]
    return Single(case.op, tuple(t._replace(dtype=DType.int64) if i in case.places else t for i, t in enumerate(types)))


def _sizes(case: Case, round: int) -> dict[str, int]:
    height, width = [(9, 12), (14, 7), (8, 8)][round]
    d = case.divides
    return {"N": (2, 1, 3)[round], "H": -(-height // d) * d, "W": -(-width // d) * d}


def _at(value: Any, sizes: dict[str, int]) -> Any:
    """An argument where dynamic sizes have these values."""
    if isinstance(value, tuple):
        return tuple(_at(item, sizes) for item in value)
    return value.at(sizes) if isinstance(value, SymDim) else value


RUNS = [(case, opset) for case in CASES for opset in case.opsets]


@pytest.mark.parametrize(("case", "opset"), RUNS, ids=[f"{case}-{opset}" for case, opset in RUNS])
def test_types_torch_and_onnx_agree(case: Case, opset: int) -> None:
    single = _single(case)
    session = single.session(opset)
    for round in range(3 if symbolic([dim for kind in single.types for dim in kind.shape]) else 1):
        sizes = _sizes(case, round)
        arrays = single.inputs(sizes, round, case.positive)
        expected = single.torch(arrays)
        assert expected.shape == single.type.at(sizes)
        assert_close(single.ort(session, arrays), expected)
        # Weights are float32 in both; only the arithmetic differs.
        exact = single.torch(arrays, "float64")
        assert_close(expected, exact)
        # PyTorch's own constant is of float32; the proof takes the number as written.
        assert_close(single.proven(arrays), exact, 1e-7 if case.op.name == "constant" else 1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_static_types_are_the_dynamic_ones_evaluated(case: Case) -> None:
    single, sizes = _single(case), _sizes(case, 0)
    arguments = {name: _at(value, sizes) for name, value in case.op.arguments().items()}
    static = Single(make(case.op.name, **arguments), tuple(kind.with_shape(*kind.at(sizes)) for kind in single.types))
    assert static.type.shape == single.type.at(sizes)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_binding_twice_changes_nothing(case: Case) -> None:
    single = _single(case)
    assert single.bound.bind(*single.types) == single.bound


def test_every_operator_has_a_case() -> None:
    assert {case.op.name for case in CASES} == set(OPS)


def test_a_wrong_number_is_seen() -> None:
    """The comparison itself: one element off by 1e-4 of the largest is refused."""
    expected = np.ones((2, 3), np.float32)
    actual = expected.copy()
    actual[1, 2] += 1e-4
    with pytest.raises(AssertionError, match="off by"):
        assert_close(actual, expected)
