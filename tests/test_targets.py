"""Levels, targets and measurement through the command line, on a small network that every one of them changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from convc.cli import main

SPEC = """\
convc: 1
name: small
input: {image: [N, 3, 16, 16]}
network:
  - conv_bn_act: {out: 24, stride: 1}
    id: stem
  - max_pool: 2
  - conv: {out: 32, kernel: 1, bias: false}
    id: narrow
  - avg_pool: 2
  - conv_bn_act: {out: 32, act: relu}
    id: mix
  - conv: {out: 32, kernel: 1}
    id: biased
  - avg_pool: {kernel: 3, stride: 1, padding: 1}
    id: padded
  - se: 4
    id: se
  - global_avg_pool
  - linear: 5
"""

# One of each kind; what other passes do to the network is no matter here.
WATCHED = {"fold_batchnorm", "narrow_pointwise", "align_channels", "widen_gates"}


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return str(path)


def built(spec: str, folder: Path, *options: str) -> dict[str, object]:
    assert main(["build", spec, "-o", str(folder), "--batch", "1", "-q", *options]) == 0
    manifest: dict[str, object] = json.loads((folder / "manifest.json").read_text())
    return manifest


def applied(manifest: dict[str, object]) -> set[str]:
    passes = manifest["passes"]
    assert isinstance(passes, list)
    return {record["name"] for record in passes if record["rewrites"]} & WATCHED


def test_levels_and_targets_do_more_and_more(spec: str, tmp_path: Path) -> None:
    everything = "--no-cost-model"
    zero = applied(built(spec, tmp_path / "0", "-O0"))
    one = applied(built(spec, tmp_path / "1", "-O1", "--target", "ort-cpu", everything))
    two = applied(built(spec, tmp_path / "2", "-O2", everything))
    cpu = applied(built(spec, tmp_path / "3", "--target", "ort-cpu", everything))
    assert zero == set()
    assert one == {"fold_batchnorm"}
    assert two == {"fold_batchnorm", "narrow_pointwise"}
    assert cpu == {"fold_batchnorm", "narrow_pointwise", "align_channels", "widen_gates"}


def test_a_pass_of_another_target_can_be_asked_for(spec: str, tmp_path: Path) -> None:
    manifest = built(
        spec, tmp_path / "out", "--enable", "widen_gates", "--disable", "narrow_pointwise", "--no-cost-model"
    )
    assert applied(manifest) == {"fold_batchnorm", "widen_gates"}


def test_what_was_measured_is_stored_and_gives_the_same_bytes_again(spec: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    first = built(spec, tmp_path / "a", "--tune", "--target", "ort-cpu", "--no-verify")
    record = tmp_path / "a" / "tuning.json"
    tuning = first["tuning"]
    assert isinstance(tuning, dict)
    assert tuning["sha256"] == hashlib.sha256(record.read_bytes()).hexdigest()
    built(spec, tmp_path / "b", "--tuning", str(record), "--target", "ort-cpu", "--no-verify")
    for name in ("model.onnx", "manifest.json", "tuning.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_record_of_another_size_is_refused(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    built(spec, tmp_path / "a", "-O3", "--no-verify")
    record = str(tmp_path / "a" / "tuning.json")
    assert main(["build", spec, "-o", str(tmp_path / "b"), "--batch", "2", "--tuning", record]) == 2
    assert "of another network, of other sizes or another batch" in capsys.readouterr().err


def test_every_site_is_explained(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", spec, "-o", str(tmp_path / "out"), "--explain", "--no-verify", "--target", "ort-cpu"]) == 0
    said = capsys.readouterr().out
    assert "applied  stem.bn" in said
    assert "applied  avg_pool" in said
    assert "refused  padded: the padding of 'padded' counts" in said


def test_an_unknown_target_is_a_mistake_of_the_user(spec: str) -> None:
    assert main(["build", spec, "--target", "tpu"]) == 2
