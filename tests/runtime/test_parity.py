"""The measure of difference, the bound, and the search for the first value that is out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from convc.compiler.errors import ModelError, VerifyError
from convc.runtime.parity import FLOOR, allowed, bisect, compare, unit
from convc.runtime.session import Session
from convc.runtime.tap import with_outputs
from tests.runtime.models import model, save, tensor

Y = np.array([[1.0, -1.0, 3.0], [0.0, 2.0, -2.0]], np.float32)


def test_unit_is_the_spread_then_the_size_then_a_floor() -> None:
    assert unit(Y) == pytest.approx(float(Y.astype(np.float64).std()))
    assert unit(np.full(4, -5.0)) == pytest.approx(5e-3)
    assert unit(np.zeros(4)) == 1e-30


def test_error_is_measured_in_units_of_the_expected_spread_at_the_worst_element() -> None:
    got = Y.copy()
    got[1, 2] += 0.5
    got[0, 0] -= 0.25
    (difference,) = compare({"y": Y}, {"y": got}, 1e-3).differences
    assert difference.error == pytest.approx(0.5 / unit(Y))
    assert (difference.index, difference.expected, difference.got) == ((1, 2), -2.0, -1.5)
    assert not difference.ok


def test_equal_arrays_agree_and_the_bound_itself_is_within() -> None:
    assert compare({"y": Y}, {"y": Y}, 0.0).ok
    got = Y + np.float32(0.5)
    assert compare({"y": Y}, {"y": got}, 0.5 / unit(Y)).ok
    assert not compare({"y": Y}, {"y": got}, 0.49 / unit(Y)).ok


def test_bound_is_ten_times_what_float32_costs() -> None:
    double = np.array([0.0, 1.0, 2.0])
    single = (double + np.array([0, 0, 1e-3])).astype(np.float32)
    expected = 10 * abs(float(single[2]) - 2.0) / double.std() + 1e-5
    assert allowed({"y": single}, {"y": double})["y"] == pytest.approx(expected, rel=1e-9)


def test_a_result_that_float32_meets_by_luck_may_still_be_rounded() -> None:
    """One value is its own spread: without this the next float32 would be out of bounds."""
    y = np.array([[0.75]])
    bounds = allowed({"y": y.astype(np.float32)}, {"y": y})
    assert compare({"y": y}, {"y": np.nextafter(y.astype(np.float32), np.float32(2))}, bounds).ok
    assert not compare({"y": y}, {"y": y * (1 + 1e-5)}, bounds).ok


def test_the_bound_of_a_part_is_the_wholes_in_the_parts_unit() -> None:
    double = np.array([[1.0], [3.0]])
    single = (double + 1e-6).astype(np.float32)
    whole, part = allowed({"y": single}, {"y": double}), allowed({"y": single}, {"y": double}, {"y": double[:1]})
    assert (part["y"] - FLOOR) * unit(double[:1]) == pytest.approx((whole["y"] - FLOOR) * unit(double), rel=1e-9)


def _with(value: float) -> NDArray[Any]:
    changed = Y.copy()
    changed[1, 0] = value
    return changed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_values_fail_on_either_side_whatever_the_bound(value: float) -> None:
    bad = _with(value)
    for expected, got in ((Y, bad), (bad, Y), (bad, bad)):
        parity = compare({"y": expected}, {"y": got}, math.inf)
        assert not parity.ok
        assert "[1, 0] (1 of 6 not finite)" in parity.complaint()


def test_non_finite_reference_does_not_widen_the_bound() -> None:
    assert allowed({"y": _with(math.inf)}, {"y": Y})["y"] == FLOOR
    assert allowed({"y": Y}, {"y": _with(math.nan)})["y"] == FLOOR
    assert not compare({"y": Y}, {"y": Y + 1}, {"y": math.nan}).ok


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        ({"y": Y}, {}, "missing"),
        ({"y": Y}, {"y": Y, "z": Y}, "not expected"),
        ({"y": Y}, {"y": Y.T}, r"shape \[3, 2\], expected \[2, 3\]"),
        ({"y": Y[:0]}, {"y": Y[:0]}, "nothing to compare"),
        ({}, {}, "no outputs to compare"),
    ],
)
def test_what_cannot_be_compared_is_a_failure(expected: dict[str, Any], got: dict[str, Any], said: str) -> None:
    with pytest.raises(VerifyError, match=said) as caught:
        compare(expected, got, 1.0).require()
    assert caught.value.exit_code == 3


def test_complaint_names_output_index_values_error_and_bound() -> None:
    with pytest.raises(VerifyError) as caught:
        compare({"y": Y, "z": Y}, {"y": _with(0.5), "z": Y}, {"y": 1e-4, "z": 1e-4}).require()
    assert str(caught.value).startswith("output 'y': at [1, 0] expected 0, got 0.5: error 2.93e-01")
    assert "bound 1.00e-04" in str(caught.value)
    assert "'z'" not in str(caught.value)


def test_json_holds_no_infinity() -> None:
    (row,) = compare({"y": Y}, {}, 1.0).data()
    assert row["error"] is None
    assert row["ok"] is False


@given(st.integers(1, 200), st.integers(2, 40), st.data())
def test_bisection_finds_the_first_bad_value_within_a_bounded_number_at_once(
    count: int, at_once: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, count))
    names = [f"v{i}" for i in range(count)]
    calls: list[int] = []

    def run(asked: Sequence[str]) -> dict[str, NDArray[Any]]:
        calls.append(len(asked))
        return {name: Y + (1.0 if int(name[1:]) >= first else 0.0) for name in asked}

    found = bisect(names, run, dict.fromkeys(names, Y), 1e-5, at_once=at_once)
    assert (found.name if found else None) == (f"v{first}" if first < count else None)
    assert max(calls) <= at_once
    assert len(calls) <= math.ceil(math.log(count + 1, at_once)) + 2


def test_few_values_are_compared_exactly_though_the_error_hides_again() -> None:
    names = list("abcdef")
    found = bisect(names, lambda asked: {n: Y + (n == "c") for n in asked}, dict.fromkeys(names, Y), 1e-5)
    assert found is not None
    assert found.name == "c"


CHAIN = model(
    [
        helper.make_node("Relu", ["x"], ["stem.act"], name="stem.act"),
        helper.make_node("Mul", ["stem.act", "two"], ["stem.scale"], name="stem.scale"),
        helper.make_node("Neg", ["stem.scale"], ["y"], name="y"),
    ],
    [tensor("x", ("N", 3))],
    [tensor("y", ("N", 3))],
    weights={"two": np.array(2.0, np.float32)},
)


def test_inner_values_become_outputs_in_the_order_asked() -> None:
    tapped = with_outputs(CHAIN.SerializeToString(), ["y", "stem.scale", "stem.act", "stem.act"])
    results = Session(tapped, "cpu").run({"x": np.array([[-1, 1, 2]], np.float32)})
    assert list(results) == ["y", "stem.scale", "stem.act"]
    assert results["stem.scale"].tolist() == [[0, 2, 4]]


def test_bisection_of_a_real_model_names_the_node_at_fault() -> None:
    wrong = type(CHAIN)()
    wrong.CopyFrom(CHAIN)
    wrong.graph.initializer[0].raw_data = np.array(2.002, np.float32).tobytes()
    x = {"x": np.array([[-1, 1, 2]], np.float32)}
    names = ["stem.act", "stem.scale", "y"]
    reference = Session(with_outputs(CHAIN.SerializeToString(), names), "cpu").run(x)
    found = bisect(
        names,
        lambda asked: Session(with_outputs(wrong.SerializeToString(), asked), "cpu").run(x, asked),
        reference,
        1e-5,
        at_once=2,
    )
    assert found is not None
    assert found.name == "stem.scale"


def test_a_name_no_node_produces_is_refused_with_the_nearest(tmp_path: Any) -> None:
    with pytest.raises(ModelError, match=r"did you mean 'stem\.scale'"):
        with_outputs(save(CHAIN, tmp_path / "m.onnx"), ["stem.scal"])


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        with_outputs(b"\xff\xff\xff\xff", ["y"])
