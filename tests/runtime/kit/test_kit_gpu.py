"""The kit's runner on an NVIDIA GPU (make test-gpu): it verifies there, measures there, and says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import convc
from convc.cli import main
from convc.runtime.kit.bundle import bundle
from convc.runtime.profile.record import Profile
from convc.runtime.providers import NAMES

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit of a proven build, run once on CUDA."""
    build = convc.build("resnet18", tmp_path_factory.mktemp("build") / "resnet18")
    folder = bundle(build.folder, tmp_path_factory.mktemp("kit") / "kit").folder
    done = _run(folder, "--provider", "cuda", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout
    return folder


def _run(kit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "run.py", *arguments]
    done = subprocess.run(line, cwd=kit, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def found(kit: Path) -> Profile:
    return Profile.from_json(json.loads((kit / "result.json").read_text()), "result.json")


def test_every_node_ran_on_cuda(found: Profile) -> None:
    (point,) = found.points
    assert (point.provider.name, point.provider.engine) == ("cuda", NAMES["cuda"])
    assert set(point.provider.placement) == {NAMES["cuda"]}
    assert "TF32 off" in point.provider.notes
    assert not found.warnings


def test_it_takes_as_long_as_convc_says(kit: Path, found: Profile) -> None:
    """A runner that did not wait for the GPU would be several times faster."""
    from convc.runtime.providers import Tuning

    here = convc.profile(
        kit / "model.onnx", provider="cuda", layers="none", roofline=False, duration_s=1.0, tuning=Tuning(tf32=False)
    )
    assert found.points[0].latency.p50_ms == pytest.approx(here.points[0].latency.p50_ms, rel=0.3)


def test_launches_are_not_called_layers(found: Profile) -> None:
    assert found.points[0].layers is None


def test_the_result_goes_through_the_reports(kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["profile", "--from", str(kit / "result.json"), "--html", str(page)]) == 0
    assert "cuda batch 1 224x224" in capsys.readouterr().out
    assert "CUDAExecutionProvider" in page.read_text()
