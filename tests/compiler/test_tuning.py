"""What was measured decides, is stored, and is an input of the build: the same record gives the same model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from convc.api.builder import BuildOptions
from convc.api.tune import tune
from convc.compiler.compile import compile_model
from convc.compiler.errors import UsageError
from convc.compiler.ir import Model
from convc.compiler.ir.text import graph, to_text
from convc.compiler.passes import PASSES
from convc.compiler.tuning import Tuning, graph_sha256, read_tuning

# The swap pays by the cost model at this size.
MODEL = graph("""
    input x: [1, 64, 32, 32]
    c = conv(x, out=64, kernel=1)
    p = avg_pool(c, kernel=2)
    y = relu(p)
""")
OPTIONS = BuildOptions(level=3)


def swapped(model: Model) -> bool:
    return next(iter(model.graph)).op.name == "avg_pool"


def says(pool_first: float, conv_first: float) -> object:
    def measure(models: Sequence[Model]) -> list[list[float]]:
        return [[pool_first if swapped(model) else conv_first] * 8 for model in models]

    return measure


@pytest.mark.parametrize(
    ("pool_first", "conv_first", "decisions"),
    [
        (1.0, 2.0, {}),
        (2.0, 1.0, {"narrow_pointwise": "never"}),
        (1.0, 0.99, {}),  # within the noise: the cost model keeps the word
    ],
)
def test_the_faster_form_decides(pool_first: float, conv_first: float, decisions: dict[str, str]) -> None:
    record = tune(MODEL, OPTIONS, says(pool_first, conv_first))  # type: ignore[arg-type]
    assert record.decisions == decisions
    assert [row["pass"] for row in record.measured] == ["narrow_pointwise"]
    made = compile_model(MODEL, level=3, decisions=record.decisions)
    assert swapped(made.model) is not bool(decisions)


def test_a_form_must_win_in_most_rounds() -> None:
    def measure(models: Sequence[Model]) -> list[list[float]]:
        return [[1.0] * 8 if swapped(model) else [0.9] * 5 + [1.5] * 3 for model in models]

    assert tune(MODEL, OPTIONS, measure).decisions == {}


def test_a_pass_that_always_pays_is_not_measured() -> None:
    def measure(models: Sequence[Model]) -> list[list[float]]:
        raise AssertionError("nothing is left to decide")

    model = graph("input x: [1, 4, 8, 8]\nc = conv(x)\nb = batch_norm(c)")
    assert tune(model, OPTIONS, measure).measured == ()


def test_always_does_what_the_cost_model_refuses() -> None:
    small = graph("input x: [1, 128, 12, 12]\nc = conv(x, out=32, kernel=1)\ny = avg_pool(c, kernel=2, stride=1)")
    assert not swapped(compile_model(small).model)
    assert swapped(compile_model(small, decisions={"narrow_pointwise": "always"}).model)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = tune(MODEL, OPTIONS, says(2.0, 1.0))  # type: ignore[arg-type]
    (tmp_path / "tuning.json").write_text(record.text())
    read = read_tuning(tmp_path / "tuning.json", PASSES)
    assert (read.text(), read.sha256) == (record.text(), record.sha256)
    read.require(MODEL.graph, "generic")
    again = compile_model(MODEL, level=3, decisions=read.decisions)
    assert to_text(again.model) == to_text(compile_model(MODEL, level=3, decisions=record.decisions).model)


def test_a_record_is_of_one_graph_and_one_target() -> None:
    record = Tuning(graph_sha256(MODEL.graph), "ort-cpu")
    with pytest.raises(UsageError, match="for --target ort-cpu, but this build is for generic"):
        record.require(MODEL.graph, "generic")
    with pytest.raises(UsageError, match="another network"):
        record.require(graph("input x: [1, 4]\ny = relu(x)").graph, "ort-cpu")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"decisions": {"no_such_pass": "never"}}, "there is no pass 'no_such_pass'"),
        ({"decisions": {"fold_batchnorm": "sometimes"}}, "fold_batchnorm is 'sometimes'"),
        ({"decisions": []}, "is no whole tuning record"),
        ({"target": 3}, "is no whole tuning record"),
        ({"machine": []}, "is no whole tuning record"),
        ({"schema_version": 99}, "is no tuning record of version 1"),
    ],
)
def test_a_damaged_record_says_what_is_wrong(change: dict[str, object], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(json.dumps({**json.loads(Tuning("0", "generic").text()), **change}))
    with pytest.raises(UsageError, match=reason):
        read_tuning(path, PASSES)


def test_what_is_no_record_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_tuning(tmp_path / "none.json", PASSES)
    (tmp_path / "text.json").write_text("what?")
    with pytest.raises(UsageError, match="is no tuning record"):
        read_tuning(tmp_path / "text.json", PASSES)


def test_a_record_is_for_level_three() -> None:
    with pytest.raises(UsageError, match="is for -O3, not -O2"):
        BuildOptions(tuning="tuning.json")
