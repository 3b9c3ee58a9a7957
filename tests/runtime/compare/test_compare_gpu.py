"""Comparisons on an NVIDIA GPU (make test-gpu): runs are finished when they are timed, and nothing runs on the CPU unsaid."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from onnx import helper

import convc
from convc.api.side_by_side import compare
from convc.cli import main
from convc.compiler.errors import ProviderError
from convc.runtime.compare.verdict import FASTER, SAME, SLOWER
from tests.runtime.models import model, save, tensor

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convc.build("resnet18", tmp_path_factory.mktemp("resnet18"), verify=False).path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convc.build("resnet50", tmp_path_factory.mktemp("resnet50"), verify=False).path


def test_a_model_takes_as_long_as_itself(small: Path) -> None:
    made = compare(small, small, provider="cuda")
    assert made.verdict.word == SAME
    assert made.where.startswith("cuda")
    assert made.live


def test_the_larger_network_is_slower_both_ways_round(small: Path, large: Path) -> None:
    there, back = (compare(*pair, provider="cuda", batch=8) for pair in ((small, large), (large, small)))
    assert (there.verdict.word, back.verdict.word) == (SLOWER, FASTER)
    assert there.verdict.ratio > 1.5
    assert there.verdict.ratio * back.verdict.ratio == pytest.approx(1, rel=0.1)


def test_a_run_has_finished_when_it_is_timed(large: Path) -> None:
    """A run that was only launched takes a fraction of one that is waited for."""
    alone = convc.profile(large, provider="cuda", batch=32, layers="none", roofline=False, duration_s=1.0).points[0]
    in_turn = compare(large, large, provider="cuda", batch=32, seconds=3.0)
    assert statistics.median(in_turn.times_ms("a")) > 0.8 * alone.latency.p50_ms


def test_a_node_without_a_cuda_kernel_is_refused_by_name(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["h"], name="first"), helper.make_node("Det", ["h"], ["y"], name="stray")]
    path = save(model(nodes, [tensor("x", ("N", 4, 4))], [tensor("y", ("N",))]), tmp_path / "det.onnx")
    for measure in (lambda: compare(path, path, provider="cuda"), lambda: convc.profile(path, provider="cuda")):
        with pytest.raises(ProviderError, match=r"1 of 2 nodes do not run on cuda:\n  stray  Det  on CPU") as caught:
            measure()
        assert caught.value.exit_code == 4


def test_a_saved_result_of_cuda_is_met_on_cuda(small: Path, large: Path, tmp_path: Path) -> None:
    result = tmp_path / "small.json"
    line = [
        "profile",
        str(small),
        "--provider",
        "cuda",
        "--layers",
        "none",
        "--no-roofline",
        "--json",
        str(result),
        "-q",
    ]
    assert main(line) == 0
    assert json.loads(result.read_text())["points"][0]["provider"]["name"] == "cuda"
    page = tmp_path / "page.html"
    assert main(["compare", str(result), str(large), "--seconds", "1", "--fail-slower", "3%", "--html", str(page)]) == 5
    assert "cuda batch 1 224x224" in page.read_text()


def test_an_option_for_the_cpu_does_not_turn_it_into_a_cuda_number(small: Path, tmp_path: Path) -> None:
    result = tmp_path / "cpu.json"
    line = [
        "profile",
        str(small),
        "--provider",
        "cpu",
        "--layers",
        "none",
        "--no-roofline",
        "--json",
        str(result),
        "-q",
    ]
    assert main(line) == 0
    assert main(["compare", str(result), str(result), "--provider", "cuda"]) == 2
