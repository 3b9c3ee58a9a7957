"""On an NVIDIA GPU (make test-gpu): kernel times are kernel times, copies stand apart, and nothing runs on the CPU unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest

import convc
from convc.api import measure
from convc.api.latency import ProfileOptions
from convc.runtime import providers
from convc.runtime.profile import kernels
from convc.runtime.profile.record import LayerTable, Point
from convc.runtime.providers import NAMES, Tuning

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convc.build("resnet18", tmp_path_factory.mktemp("resnet18"), verify=False).path


def _point(model: Path, **options: object) -> Point:
    given = {"duration_s": 0.5, "roofline": False, **options}
    return convc.profile(model, provider="cuda", **given).points[0]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def point(model: Path) -> Point:
    return _point(model)


def _table(point: Point) -> LayerTable:
    assert point.layers is not None
    return point.layers


def test_cuda_is_what_ran(point: Point) -> None:
    assert point.provider.engine == NAMES["cuda"]
    assert set(point.provider.placement) == {NAMES["cuda"]}


def test_transfers_stand_apart(point: Point) -> None:
    moves = point.transfers
    assert all(one is not None and one > 0 for one in (moves.enqueue_ms, moves.h2d_ms, moves.compute_ms, moves.d2h_ms))


def test_kernels_are_timed_where_torch_sees_the_gpu(point: Point) -> None:
    table = _table(point)
    assert table.method == ("cupti" if kernels.available() else "bracketed")
    wrote = {node.name for node in convc.load("resnet18").network.graph}
    assert wrote <= {owner for row in table.rows for owner in row.owners} | {one.layer for one in table.absent}
    if table.method == "cupti":
        # Kernels of one stream do not overlap: their sum cannot pass the time of the run.
        assert 0.3 < table.closure <= 1.0
        assert table.unclaimed_ms < 0.1 * table.sum_ms


def test_partial_graphs_need_no_profiler(model: Path) -> None:
    table = _table(_point(model, layers="bracketed"))
    assert (table.method, [one.why for one in table.absent]) == ("bracketed", [])
    assert all(row.time_ms > 0 for row in table.rows)


def test_launch_times_are_called_so(model: Path) -> None:
    one = _point(model, layers="profile")
    assert _table(one).method == "host-launch"
    assert any("NOT kernel times" in text for text in one.warnings)


TUNINGS = [
    Tuning(search="heuristic"),
    Tuning(tf32=False),
    Tuning(nhwc=True),
    Tuning(cuda_graph=True),
    Tuning(memory_limit_mib=2048),
]


@pytest.mark.parametrize("tuning", TUNINGS, ids=["search", "tf32", "nhwc", "graph", "memory"])
def test_every_option_runs_and_is_recorded(tuning: Tuning, model: Path) -> None:
    found = measure(model, ProfileOptions("cuda", layers="none", duration_s=0.3, tuning=tuning)).points[0]
    assert dict(found.provider.options) == providers.options("cuda", tuning=tuning)
