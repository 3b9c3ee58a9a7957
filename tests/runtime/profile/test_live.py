"""Small networks measured here: the record is whole, the layers close, and a planted slow one is found with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import convc
from convc.compiler.errors import ModelError
from convc.runtime.profile import traced
from convc.runtime.profile.plan import Case, Plan
from convc.runtime.profile.profile import _warnings, profile
from convc.runtime.profile.record import LayerTable, Point, Profile
from convc.runtime.profile.runner import Runner
from convc.runtime.session import Session

from ..models import model, relu, save, tensor

# Five convolutions alike but for one, whose kernel has thirteen times the taps.
PLANTED = """\
convc: 1
name: planted
input: {image: [N, 24, 64, 64]}
network:
  - conv: {out: 24, kernel: 3}
  - act: relu
  - conv: {out: 24, kernel: 3}
  - act: relu
  - conv: {out: 24, kernel: 11}
    id: culprit
  - act: relu
  - conv: {out: 24, kernel: 3}
  - act: relu
  - conv: {out: 24, kernel: 3}
  - global_avg_pool:
  - linear: 10
    id: head
outputs: {scores: head}
"""


def _plan(path: Path, **options: object) -> Plan:
    given = {"providers": ("cpu",), "threads": (1,), "duration_s": 0.2, "warmup_ms": 20.0, "roofline": False, **options}
    return Plan((Case(str(path)),), **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet-5, built."""
    folder = tmp_path_factory.mktemp("lenet")
    return convc.build("lenet5", folder, verify=False).path


@pytest.fixture(scope="module")
def found(small: Path) -> Profile:
    return profile(_plan(small, batches=(1, 3)))


@pytest.fixture
def point(found: Profile) -> Point:
    return found.points[1]


@pytest.fixture
def table(point: Point) -> LayerTable:
    assert point.layers is not None
    return point.layers


def test_the_record_survives_json(found: Profile) -> None:
    assert Profile.from_json(found.to_json()) == found


def test_cold_start_and_steady_state_are_apart(point: Point) -> None:
    assert min(point.session_ms, point.first_run_ms, point.warmup.ms) > 0
    assert point.latency.count == len(point.samples_ms) >= 6
    assert point.latency.ci95_low_ms <= point.latency.p50_ms <= point.latency.ci95_high_ms
    assert (point.batch, point.inputs["image"][0], point.threads, point.io_binding) == (3, 3, 1, True)


def test_throughput_counts_images_in_a_loop_of_its_own(point: Point) -> None:
    assert point.throughput is not None
    assert point.throughput.samples_per_s == pytest.approx(point.throughput.runs * 3 / point.throughput.seconds)


def test_on_the_host_there_are_no_copies(point: Point) -> None:
    moves = point.transfers
    assert (moves.enqueue_ms, moves.h2d_ms, moves.d2h_ms, moves.compute_ms) == (None, None, None, point.latency.p50_ms)


def test_the_layers_are_part_of_their_own_runs(table: LayerTable) -> None:
    assert table.method == "ort-profile"
    assert 0 < table.sum_ms <= table.run_ms
    assert table.sum_ms == pytest.approx(sum(row.time_ms for row in table.rows))
    assert table.unclaimed == ()
    assert table.kept < table.runs
    assert table.bookkeeping_ms is not None
    assert table.bookkeeping_ms > 0


def test_every_layer_of_the_spec_is_accounted_for(table: LayerTable) -> None:
    wrote = {node.name for node in convc.load("lenet5").network.graph}
    assert wrote <= {owner for row in table.rows for owner in row.owners} | {one.layer for one in table.absent}
    assert all(row.source.startswith("convc:lenet") for row in table.rows)


def test_multiply_accumulates_are_those_of_the_batch(table: LayerTable) -> None:
    assert sum(row.macs or 0 for row in table.rows) == 3 * convc.load("lenet5").costs().macs


def test_without_binding_the_same_is_measured(small: Path) -> None:
    found = profile(_plan(small, io_binding=False, layers="none", iterations=7)).points[0]
    assert (found.io_binding, found.latency.count, found.stopped, found.layers) == (False, 7, "count", None)


def test_layers_alone_cover_the_same_layers(small: Path, table: LayerTable) -> None:
    alone = profile(_plan(small, layers="bracketed", iterations=6)).points[0].layers
    assert alone is not None
    assert alone.method == "bracketed"
    assert {o for row in alone.rows for o in row.owners} == {o for row in table.rows for o in row.owners}
    assert all(row.time_ms > 0 for row in alone.rows)
    assert "could not" not in " ".join(one.why for one in alone.absent)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "planted.yaml"
    path.write_text(PLANTED)
    return path


@pytest.mark.parametrize("layers", ["auto", "bracketed"])
def test_a_planted_slow_layer_ranks_first_and_names_its_line(planted: Path, layers: str) -> None:
    found = convc.profile(
        planted, provider="cpu", threads=1, duration_s=0.3, warmup_ms=20, roofline=False, layers=layers, iterations=6
    )
    table = found.points[0].layers
    assert table is not None
    dearest = max(table.rows, key=lambda row: row.time_ms)
    line = 1 + PLANTED.splitlines().index("  - conv: {out: 24, kernel: 11}")
    assert (dearest.layer, dearest.source) == ("culprit", f"planted.yaml:{line}")


def test_a_foreign_model_without_node_names_is_profiled_too(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    weights = {"w": np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)}
    path = save(
        model(nodes, [tensor("x", ("N", 3, 16, 16))], [tensor("y", (None,) * 4)], weights=weights), tmp_path / "f.onnx"
    )
    found = profile(_plan(path, batches=(2,), iterations=6))
    (row,) = found.points[0].layers.rows  # type: ignore[union-attr]
    assert (row.layer, row.owners, row.op, row.macs) == ("h", ("h", "y"), "Conv 3x3", 2 * 8 * 14 * 14 * 27)
    assert (found.model.spec, found.model.name, row.source) == ("", "f", "")


def test_the_peak_is_measured_where_it_is_wanted(small: Path) -> None:
    found = profile(_plan(small, roofline=True, iterations=6))
    (peak,) = found.peaks
    assert peak.gmacs_per_s > 0
    assert [one.bytes for one in peak.bandwidths] == sorted(one.bytes for one in peak.bandwidths)
    table = found.points[0].layers
    assert table is not None
    assert all(row.roofline_share is not None and row.bound for row in table.rows)


def test_a_peak_that_layers_pass_was_none_and_this_is_said(point: Point, table: LayerTable) -> None:
    rows = [replace(row, roofline_share=1.02) for row in table.rows]
    over = max(range(len(rows)), key=lambda k: rows[k].time_ms)
    held = replace(point, layers=replace(table, rows=tuple(rows)))
    assert not any("of the measured peak" in text for text in _warnings(held))
    rows[over] = replace(rows[over], roofline_share=1.83)
    held = replace(point, layers=replace(table, rows=tuple(rows)))
    assert any("reach 183% of the measured peak" in text for text in _warnings(held))


def test_a_runner_gives_what_the_session_gives(small: Path) -> None:
    session = Session(small, "cpu", threads=1)
    image = np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32)
    feeds = {session.inputs[0].name: image}
    runner = Runner(session, feeds)
    runner.run()
    bound = dict(zip(runner.names, (value.numpy() for value in runner._outputs), strict=True))
    plain = session.run(feeds)
    assert all(np.array_equal(bound[name], plain[name]) for name in plain)


def test_a_profiler_that_saw_nothing_is_an_error(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced, "read_events", lambda path: ())
    with pytest.raises(ModelError, match="the profiler saw no run"):
        profile(_plan(small, iterations=6))


def test_a_model_of_one_node_closes_too(tmp_path: Path) -> None:
    table = profile(_plan(save(relu(), tmp_path / "r.onnx"), iterations=6)).points[0].layers
    assert table is not None
    assert [row.layer for row in table.rows] == ["act"]
