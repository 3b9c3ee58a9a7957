"""`convc profile` as people type it: sweeps, JSON, thresholds, and exit codes; `convc.profile` as programs call it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from onnx import helper

import convc
from convc.cli import main
from convc.compiler.errors import ModelError, ThresholdError, UsageError
from convc.runtime import providers
from convc.runtime.profile.record import Profile
from tests.runtime.models import model, save, tensor

QUICK = ["--provider", "cpu", "--threads", "1", "--duration", "0.05", "--warmup", "1", "--no-roofline"]
without_cuda = pytest.mark.skipif("cuda" in providers.available(), reason="this onnxruntime has a CUDA provider")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    convc.build("lenet5", folder, verify=False)
    return folder


def test_a_sweep_has_a_point_for_every_combination(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["profile", str(built), *QUICK, "--batch", "1,2", "--threads", "1,2", "--layers", "none", "--json", "-"])
        == 0
    )
    found = Profile.from_json(json.loads(capsys.readouterr().out))
    assert [(point.threads, point.batch) for point in found.points] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_spec_is_built_once_for_each_size(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    spec.write_text(
        "convc: 1\nname: net\nparams: {size: 32}\ninput: {image: [N, 3, size, size]}\nnetwork:\n"
        "  - conv_bn_act: 4\n    id: stem\n  - flatten:\n  - linear: 2\n    id: head\noutputs: {y: head}\n"
    )
    found = convc.profile(
        spec, provider="cpu", size=[16, (24, 8)], threads=1, duration_s=0.05, warmup_ms=1, roofline=False
    )
    assert [point.size for point in found.points] == [(16, 16), (24, 8)]
    assert len({point.model_sha256 for point in found.points}) == 2
    table = found.points[0].layers
    assert table is not None
    stem = table.rows[0]
    assert (stem.caller, stem.source.split(":")[0]) == ("net.yaml:6", "convc")
    assert found.model.name == "net"


def test_the_table_shows_layers_closure_and_lines(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(built), *QUICK, "--rows", "3", "--by", "layer"]) == 0
    text = capsys.readouterr().out
    assert "closure " in text
    assert "convc:lenet.yaml:" in text
    assert "random weights: not for deployment" in text
    assert " more: " in text
    assert "█" in text


def test_the_table_has_multiply_accumulates_and_bytes_of_every_layer(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", str(built), *QUICK, "--rows", "0", "--json", str(tmp_path / "r.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = [line for line in lines if line.startswith("  layer ")]
    table = json.loads((tmp_path / "r.json").read_text())["points"][0]["layers"]["rows"]
    assert len(table) > 5
    for row in table:
        (line,) = [one for one in lines if one.startswith(f"  {row['layer']} ")]
        shown = [line[: head.index(name) + len(name)].split()[-1] for name in ("MMACs", "MB")]
        assert shown[1] == f"{row['bytes'] / 1e6:.2f}"
        assert not row["macs"] or shown[0] == f"{row['macs'] / 1e6:.2f}"


def test_a_median_over_the_limit_ends_with_5_and_still_prints(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(built), *QUICK, "--layers", "none", "--max-latency-ms", "0.000001"]) == 5
    said = capsys.readouterr()
    assert "latency" in said.out
    assert "over --max-latency-ms 1e-06" in said.err


def test_the_limit_counts_every_point(built: Path) -> None:
    from convc.api.latency import require_latency

    found = convc.profile(built, provider="cpu", batch=[1, 2], threads=1, duration_s=0.05, layers="none", warmup_ms=1)
    require_latency(found, None)
    require_latency(found, 1e6)
    with pytest.raises(ThresholdError, match="2 of 2 points"):
        require_latency(found, 1e-6)


@without_cuda
def test_cuda_where_there_is_none_ends_with_4_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    assert main(["profile", "resnet152", "--provider", "cpu,cuda"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert "provider cuda cannot be used" in said.err
    # The promise is 5 s; a busy machine gets four times that.
    assert time.monotonic() - start < 20


MISTAKES = {
    "batch": (["--batch", "x"], "--batch is 'x'"),
    "zero batch": (["--batch", "1,0"], "'0' is no number above 0"),
    "huge batch": (["--batch", "100000000"], "above 0 and at most 1048575"),
    "odd batch": (["--batch", "\u00b2"], "is no number above 0"),
    "odd size": (["--size", "\u00b2"], "one to three numbers from 1 to 1048575"),
    "warm-up that is no number": (["--warmup", "nan"], "nan is no number"),
    "limit that is no number": (["--max-latency-ms", "nan"], "nan is no number"),
    "endless warm-up": (["--warmup", "inf"], "inf is no number"),
    "no memory": (["--gpu-memory", "0"], "x>=1"),
    "threads": (["--threads", "-1"], "--threads is '-1'"),
    "size": (["--size", "dynamic"], "a measurement needs numbers"),
    "another size": (["--size", "64"], "axis 2 is fixed"),
    "set": (["--set", "a=1"], "shape a spec"),
    "nhwc": (["--nhwc"], "options of the GPU providers"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_with_2_and_one_message(name: str, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options, message = MISTAKES[name]
    assert main(["profile", str(built), *QUICK, *options]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


OUTPUTS = {
    "twice": (["--html", "x", "--json", "x"], "--html and --json name the same file: x"),
    "stdout": (["--html", "-"], "--html takes a file"),
    "no place": (["--trace", "model.onnx/x.json"], "cannot write model.onnx"),
    "the model": (["--html", "model.onnx"], "it is what is being read"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_cannot_be_written_is_said_before_anything_is_measured(
    name: str, built: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built if built.is_dir() else built.parent)
    monkeypatch.setattr("convc.api.measure", lambda *given: pytest.fail("it was measured"))
    options, message = OUTPUTS[name]
    before = sorted(os.listdir())
    assert main(["profile", ".", *options]) == 2
    assert message in capsys.readouterr().err
    assert sorted(os.listdir()) == before


def test_a_name_in_a_model_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name="\x1b[31mred\x07")
    path = save(model([node], [tensor("x", ("N", 3))], [tensor("y", ("N", 3))]), tmp_path / "odd.onnx")
    assert main(["profile", str(path), *QUICK]) == 0
    said = capsys.readouterr().out
    assert "\\x1b[31mred\\x07" in said
    assert not {"\x1b", "\x07"} & set(said)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a build folder"):
        convc.profile(tmp_path, provider="cpu")
    with pytest.raises(UsageError, match="unknown provider"):
        convc.profile(tmp_path, provider="cudda")
