"""The two renderings of a verification say the same, and its error carries what a person needs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convc.compiler.errors import VerifyError
from convc.runtime.parity import compare
from convc.runtime.providers import Provider
from convc.runtime.report import Case, VerifyReport

Y = np.array([[1.0, 2.0, 4.0]])
CPU = Provider("cpu", "CPUExecutionProvider", asked=True)


def _case(shift: float) -> Case:
    return Case({"image": (1, 3, 8, 8)}, compare({"scores": Y}, {"scores": Y + shift}, 1e-4))


def test_good_cases_are_verified() -> None:
    report = VerifyReport("m.onnx", CPU, (_case(0), _case(1e-6)))
    report.require()
    assert report.text().splitlines()[0] == "m.onnx on cpu: verified"
    assert report.data()["ok"] is True


def test_one_bad_case_fails_and_names_its_sizes_and_the_first_value() -> None:
    first = compare({"stem": Y}, {"stem": Y + 1}, 1e-4).differences[0]
    report = VerifyReport("m.onnx", CPU, (_case(0), _case(1)), first)
    with pytest.raises(VerifyError) as caught:
        report.require()
    assert "m.onnx with image [1, 3, 8, 8]: output 'scores': at [0, 0] expected 1, got 2" in str(caught.value)
    assert "the first value out of bounds is 'stem'" in str(caught.value)
    assert "DIFFERS" in report.text()
    assert "first value out of bounds: 'stem'" in report.text()
    data = json.loads(json.dumps(report.data(), allow_nan=False))
    assert data["ok"] is False
    assert data["first_difference"]["name"] == "stem"
    assert data["cases"][1]["outputs"][0]["index"] == [0, 0]


def test_no_case_proves_nothing() -> None:
    report = VerifyReport("m.onnx", CPU, ())
    assert not report.ok
    with pytest.raises(VerifyError, match="nothing was compared"):
        report.require()
