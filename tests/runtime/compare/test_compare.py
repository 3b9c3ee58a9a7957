"""`convc compare`: what it takes, what it says of both, its limit, and its messages."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

import convc
from convc.api.side_by_side import compare, read_limit
from convc.cli import main
from convc.compiler.errors import ModelError, ThresholdError, UsageError
from convc.runtime.compare.recorded import compare_results
from convc.runtime.compare.report import Comparison, noise_note
from convc.runtime.compare.structure import of_model, of_result
from convc.runtime.compare.verdict import FASTER, SAME, SLOWER
from convc.runtime.profile.record import Profile
from tests.runtime.models import classifier, external, model, save, tensor
from tests.runtime.views.samples import comparison, figures, profile

QUICK: dict[str, Any] = {"seconds": 0.3, "provider": "cpu", "threads": 1}


def chain(length: int) -> onnx.ModelProto:
    """Many Softmax one after another: time in proportion to the length, nothing to fuse or fold."""
    nodes = [helper.make_node("Softmax", [f"v{k}"], [f"v{k + 1}"], axis=-1) for k in range(length)]
    shape = (1, 64, 256)
    return model(nodes, [tensor("v0", shape)], [tensor(f"v{length}", shape)])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return save(chain(2), tmp_path / "small.onnx")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return save(chain(20), tmp_path / "large.onnx")


def test_ten_times_the_work_is_slower_both_ways_round(small: Path, large: Path) -> None:
    there, back = compare(small, large, **QUICK), compare(large, small, **QUICK)
    assert (there.verdict.word, back.verdict.word) == (SLOWER, FASTER)
    assert there.verdict.ratio > 3
    assert there.live
    assert there.a.structure.ops == {"Softmax": 2}
    assert there.b.structure.nodes == 20
    assert "Softmax" in there.text()
    assert "times as long" in there.text()


def test_a_spec_a_build_folder_and_its_file_are_the_same_network(tmp_path: Path) -> None:
    build = convc.build("lenet5", tmp_path / "out", verify=False)
    for other in (build.folder, build.path):
        made = compare("lenet5", other, **QUICK)
        assert made.a.structure == made.b.structure
        assert made.a.structure.params == 61_706
        assert made.a.structure.macs == convc.load("lenet5").costs().macs
        assert made.a.inputs == {"image": (1, 1, 28, 28)}


def test_batch_and_size_are_those_asked_for_and_fixed_ones_are_kept(tmp_path: Path) -> None:
    path = save(classifier(("N", 3, "H", "W")), tmp_path / "m.onnx")
    made = compare(path, path, batch=2, size="16x24", **QUICK)
    assert made.a.inputs == made.b.inputs == {"image": (2, 3, 16, 24)}
    fixed = save(classifier((1, 3, 8, 8)), tmp_path / "f.onnx")
    with pytest.raises(UsageError, match="is fixed"):
        compare(fixed, fixed, batch=4, **QUICK)
    unlike = compare(fixed, path, size=None, **QUICK)
    assert any(note.startswith("A is fed [1, 3, 8, 8], B ") for note in unlike.notes)


def test_absolute_folders_do_not_reach_the_report(small: Path) -> None:
    made = compare(small, small, **QUICK)
    for text in (made.text(), json.dumps(made.data()), made.html()):
        assert str(small.parent.parent) not in text
        assert "small.onnx" in text


def test_moved_bytes_and_file_bytes_are_counted_with_the_external_data(tmp_path: Path) -> None:
    path = save(external("w.bin", length=12), tmp_path / "m.onnx")
    (tmp_path / "w.bin").write_bytes(b"\0" * 12)
    found = of_model(path, {"x": (2, 3)})
    assert found.file_bytes == path.stat().st_size + 12
    assert found.moved_bytes == 2 * 3 * 4 * 2 + 3 * 4
    assert found.params == 3
    assert found.macs == 0


# --- results ---


def saved(folder: Path, name: str, given: Profile) -> Path:
    path = folder / name
    path.write_text(json.dumps(given.to_json()))
    return path


def slowed(given: Profile, factor: float) -> Profile:
    first = given.points[0]
    samples = tuple(v * factor for v in first.samples_ms)
    return replace(given, points=(replace(first, samples_ms=samples, latency=figures(list(samples))),))


def test_two_saved_results_stand_side_by_side_and_say_that_they_were_not_run_in_turn(tmp_path: Path) -> None:
    a = profile("lenet5")
    paths = saved(tmp_path, "a.json", a), saved(tmp_path, "b.json", slowed(a, 1.2))
    made = compare(*paths)
    assert made.verdict.word == SLOWER
    assert made.verdict.ratio == pytest.approx(1.2)
    assert not made.live
    assert any("measured at different times" in note for note in made.notes)
    assert "not in turn" in made.text()
    assert made.a.structure == of_result(a)
    assert '<section id="layers">' in made.html()
    assert compare(paths[0], paths[0]).verdict.word == SAME


def test_results_of_other_machines_or_versions_are_named() -> None:
    a = profile("lenet5")
    other = replace(a.start, cpu_model="another", versions={**a.start.versions, "onnxruntime": "1.30.0"})
    made = compare_results(a, replace(a, start=other), ("a", "b"))
    assert any("not the same machine" in note for note in made.notes)
    assert any("onnxruntime was 1.31.1, then 1.30.0" in note for note in made.notes)


def test_results_without_a_common_point_are_refused() -> None:
    a = profile("lenet5")
    b = replace(a, points=(replace(a.points[0], batch=8),))
    with pytest.raises(ModelError, match="share no point") as caught:
        compare_results(a, b, ("a", "b"))
    assert "batch 8" in str(caught.value)
    with pytest.raises(ModelError, match="b: holds no timed runs"):
        compare_results(a, replace(a, points=()), ("a", "b"))


def test_a_model_against_a_result_is_measured_as_the_result_was(tmp_path: Path) -> None:
    path = save(classifier((1, 3, 224, 224)), tmp_path / "m.onnx")
    old = profile("lenet5")
    made = compare(saved(tmp_path, "old.json", old), path, seconds=0.3)
    assert made.verdict.word in (FASTER, SLOWER)
    assert (made.where, made.live) == ("cpu batch 1 224x224 threads 2", False)
    assert made.b.structure.ops == {"GlobalAveragePool": 1, "Flatten": 1, "MatMul": 1}


def test_options_choose_the_point_of_a_saved_result_and_are_never_ignored(tmp_path: Path) -> None:
    both = profile("lenet5", sweep=True)
    path = saved(tmp_path, "sweep.json", both)
    first = compare(path, path)
    assert first.where == both.points[0].label
    assert any("7 more points are in both" in note for note in first.notes)
    chosen = compare(path, path, batch=8, threads=1, size="224")
    assert chosen.where == "cpu batch 8 224x224 threads 1"
    assert not any("in both" in note for note in chosen.notes)
    for options in ({"provider": "cuda"}, {"batch": 3}, {"size": "64"}, {"threads": 7}):
        with pytest.raises(UsageError, match=r"sweep\.json was not measured with --"):
            compare(path, path, **options)


def test_a_model_is_not_measured_as_a_result_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convc.api.side_by_side._measured", lambda *given: pytest.fail("it was measured"))
    with pytest.raises(UsageError, match="--batch 4"):
        compare(saved(tmp_path, "old.json", profile("lenet5")), save(classifier(), tmp_path / "m.onnx"), batch=4)


def test_a_spec_against_a_result_is_built_at_its_size(tmp_path: Path) -> None:
    old = profile("resnet18")
    small = replace(old, points=(replace(old.points[0], size=(64, 64), threads=1),))
    made = compare(saved(tmp_path, "old.json", small), "mobilenet_v2", seconds=0.2)
    assert made.where == "cpu batch 1 64x64 threads 1"


def test_what_differs_in_how_results_were_measured_is_said() -> None:
    a = profile("lenet5")
    first = a.points[0]
    other = replace(
        first, io_binding=False, provider=replace(first.provider, options={"x": "1"}), warnings=("it drifted",)
    )
    notes = compare_results(a, replace(a, points=(other,)), ("a", "b")).notes
    assert "A was measured with IO binding, the other without" in notes
    assert "not the same options of cpu: x" in notes
    assert "B: it drifted" in notes


def test_a_model_file_of_any_name_is_a_model(small: Path, tmp_path: Path) -> None:
    (tmp_path / "small.bin").write_bytes(small.read_bytes())
    made = compare(tmp_path / "small.bin", small, **QUICK)
    assert made.live
    assert made.a.structure == made.b.structure


def test_no_interval_is_called_certain_and_no_time_nothing() -> None:
    made = comparison(1.0)
    sure = replace(made, verdict=replace(made.verdict, confidence=0.99996))
    assert "99.9 % interval" in sure.text()
    fast = replace(made, pairs=tuple(replace(p, a=(4.2e-6,), b=(4.3e-6,)) for p in made.pairs))
    assert "A  median 0.00420 ms" in fast.text()


# --- the limit ---


def limited(slow_down: float, limit: float | None) -> Comparison:
    return comparison(slow_down, limit=limit)


@pytest.mark.parametrize(
    ("slow_down", "limit", "failed"),
    [(0.05, 0.03, True), (0.05, 0.10, False), (0.0, 0.03, False), (-0.2, 0.03, False), (0.05, None, False)],
)
def test_the_limit_fails_what_is_slower_by_more(slow_down: float, limit: float | None, failed: bool) -> None:
    made = limited(slow_down, limit)
    assert made.failed is failed
    assert made.data()["failed"] is failed
    if failed:
        with pytest.raises(ThresholdError, match=r"slower than resnet18: \+5\.\d %.*allowed: 3 %") as caught:
            made.require()
        assert caught.value.exit_code == 5
    else:
        made.require()


@pytest.mark.parametrize(("text", "value"), [("3%", 0.03), ("0.5 %", 0.005), (None, None), (0.1, 0.1)])
def test_a_limit_is_a_percentage(text: str | float | None, value: float | None) -> None:
    assert read_limit(text) == value


@pytest.mark.parametrize("text", ["3", "-1%", "0%", "x%", "%", "1e3%", "2000%"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-slower"):
        read_limit(text)


def test_too_much_noise_for_the_limit_is_said() -> None:
    made = comparison(0.0)
    assert noise_note(made.verdict, None) == ""
    wide = replace(made.verdict, low=0.9, high=1.1)
    assert "±10.0 %" in noise_note(wide, None)
    assert "±10.0 %" in noise_note(wide, 0.05)
    assert noise_note(wide, 0.2) == ""
    assert noise_note(replace(wide, word=SLOWER), None) == ""
    assert "everything" in noise_note(replace(wide, low=0.0, high=float("inf")), None)


# --- the command ---


def test_the_command_prints_writes_and_keeps_stdout_for_json(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare", str(small), str(small), "--seconds", "0.3", "--provider", "cpu"]
    page = tmp_path / "page.html"
    assert main([*line, "--json", "-", "--html", str(page)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["schema_version"], data["kind"]) == (1, "convc.comparison")
    assert data["a"]["ops"] == {"Softmax": 2}
    assert len(data["pairs"]) == data["verdict"]["pairs"]
    assert page.read_text().startswith("<!doctype html>")
    assert sorted(os.listdir(tmp_path)) == ["page.html", "small.onnx"]


def test_the_command_fails_with_5_where_the_limit_is_passed(
    small: Path, large: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare", str(small), str(large), "--seconds", "0.5", "--provider", "cpu", "--fail-slower", "3%"]
    assert main(line) == 5
    seen = capsys.readouterr()
    assert "B is slower than A" in seen.out
    assert "allowed: 3 %" in seen.err


def spoiled(name: str) -> Any:
    return {
        "no.json": None,
        "pipe.json": None,
        "list.json": "[]",
        "text.json": "{",
        "deep.json": "[" * 100_000,
        "nan.json": '{"kind": NaN}',
        "none.json": json.dumps(replace(profile("lenet5"), points=()).to_json()),
        "untimed.json": json.dumps(profile("lenet5").to_json()).replace('"samples_ms": [', '"samples_ms": [-1.0, '),
        "other.json": '{"kind": "convc.comparison", "schema_version": 1}',
        "cut.onnx": "\x08",
        "empty.onnx": "",
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "no.json",
        "pipe.json",
        "list.json",
        "text.json",
        "deep.json",
        "nan.json",
        "none.json",
        "untimed.json",
        "other.json",
        "cut.onnx",
        "empty.onnx",
    ],
)
def test_a_damaged_side_is_one_message_and_exit_2(
    name: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "pipe.json":
        os.mkfifo(tmp_path / name)
    elif (text := spoiled(name)) is not None:
        (tmp_path / name).write_text(text)
    assert main(["compare", str(small), str(tmp_path / name), "--seconds", "0.2"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert name in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--batch", "0"], "--batch", 2),
        (["--size", "dynamic"], "one size", 2),
        (["--seconds", "0"], "--seconds", 2),
        (["--seconds", "nan"], "nan is no number", 2),
        (["--fail-slower", "3"], "--fail-slower", 2),
        (["--provider", "tpu"], "unknown provider", 2),
        (["--provider", "openvino"], "openvino", 4),
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str], said: str, code: int, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(small), str(small), *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_page_that_cannot_be_written_leaves_nothing(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.html").mkdir()
    line = [
        "compare",
        str(small),
        str(small),
        "--seconds",
        "0.2",
        "--provider",
        "cpu",
        "--html",
        str(tmp_path / "page.html"),
    ]
    assert main(line) == 2
    assert "cannot write" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["page.html", "small.onnx"]


def test_an_unknown_network_is_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(small), "resnet51"]) == 2
    assert "resnet51" in capsys.readouterr().err
