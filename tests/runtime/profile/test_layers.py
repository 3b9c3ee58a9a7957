"""The table: nothing is spread, nothing is a remainder, and every layer of the spec is in it or named as gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from convc.compiler.errors import ModelError
from convc.runtime.profile.attribute import attribute
from convc.runtime.profile.events import NodeEvent, read_events, runs
from convc.runtime.profile.layers import Method, Run, SpecLayer, Subject, bandwidth, layer_table, renamed, roofline
from convc.runtime.profile.names import GROUPINGS, grouped, place
from convc.runtime.profile.record import Bandwidth, LayerTable, Peak
from convc.runtime.profile.regions import regions
from convc.runtime.profile.text import layer_lines

from .recorded import events, executed, written

METHOD = Method("ort-profile", "recorded", 1.01)
SPEC = (SpecLayer("stem.conv", "conv"), SpecLayer("hard", "act"), SpecLayer("drop", "dropout", "small.yaml:22"))


@pytest.fixture(scope="module")
def table() -> LayerTable:
    subject = Subject(written(), attribute(written(), executed()), SPEC)
    found = [Run(one.duration_us / 1e3, renamed(executed(), one.nodes), one.start_us) for one in runs(events())]
    return layer_table(subject, found, METHOD)


def test_the_recording_has_three_runs_of_nineteen_nodes() -> None:
    found = runs(events())
    assert [len(one.nodes) for one in found] == [19, 19, 19]
    assert all(a.start_us <= b.start_us for one in found for a, b in zip(one.nodes, one.nodes[1:], strict=False))


def test_the_rows_sum_to_what_was_measured_and_no_more(table: LayerTable) -> None:
    raw = [one for one in events() if one["cat"] == "Node"]
    # Cut to whole microseconds by the profiler: half of one more in the mean.
    assert table.sum_ms + table.unclaimed_ms == pytest.approx(sum(one["dur"] + 0.5 for one in raw) / 3e3)
    assert table.sum_ms == pytest.approx(sum(row.time_ms for row in table.rows))
    assert table.closure == pytest.approx(table.sum_ms / table.run_ms)
    assert (table.unclaimed, table.runs, table.kept) == ((), 3, 3)


def test_nodes_without_a_name_are_found_by_their_operator(table: LayerTable) -> None:
    hard = next(row for row in table.rows if row.layer == "hard")
    assert [node.op for node in hard.nodes] == ["HardSigmoid", "Mul"]
    assert all(node.time_ms > 0 for node in hard.nodes)


def test_a_row_names_every_layer_that_runs_in_it(table: LayerTable) -> None:
    stem = table.rows[0]
    assert (stem.layer, stem.owners) == ("stem.conv", ("stem.conv", "stem.bn", "stem.act"))
    assert [node.op for node in stem.nodes] == ["Conv", "ReorderOutput"]
    assert next(row for row in table.rows if row.layer == "sum").reads == ("att.mul", "stem.conv")


def test_every_layer_of_the_spec_is_in_the_table_or_named_as_gone(table: LayerTable) -> None:
    owners = {owner for row in table.rows for owner in row.owners}
    wrote = {owner for node in written().nodes for owner in node.owners}
    assert wrote <= owners
    assert [(one.layer, one.source, one.why) for one in table.absent] == [
        ("drop", "small.yaml:22", "removed when the model was built")
    ]


def test_a_stray_node_is_listed_and_never_spread() -> None:
    subject = Subject(written(), attribute(written(), executed()))
    one = runs(events())[0]
    stray = NodeEvent("Memcpy", "MemcpyToHost", "CUDA", one.start_us, 500.0)
    without = layer_table(subject, [Run(9.0, renamed(executed(), one.nodes))], METHOD)
    with_it = layer_table(subject, [Run(9.0, (*renamed(executed(), one.nodes), stray))], METHOD)
    assert with_it.sum_ms == without.sum_ms
    assert with_it.unclaimed_ms == 0.5
    assert (without.bookkeeping_ms, with_it.closure) == (None, with_it.sum_ms / 9.0)
    assert [node.op for node in with_it.unclaimed] == ["MemcpyToHost"]
    assert "unclaimed 0.500 ms" in "\n".join(layer_lines(with_it, "layer", 5))


def test_the_profilers_own_work_is_nodes_times_the_gap_and_in_no_layer() -> None:
    subject = Subject(written(), attribute(written(), executed()))
    run = Run(9.0, renamed(executed(), runs(events())[0].nodes))
    plain, told = (layer_table(subject, [run], replace(METHOD, gap_us=gap)) for gap in (None, 4.0))
    assert told.bookkeeping_ms == pytest.approx(19 * 4.0 / 1e3)
    assert (told.sum_ms, told.closure) == (plain.sum_ms, plain.closure)
    assert "about 0.076 ms" in "\n".join(layer_lines(told, "layer", 3))


def test_the_timeline_is_one_run_from_its_own_beginning(table: LayerTable) -> None:
    assert len(table.timeline) == 19
    assert 0 <= table.timeline[0].start_us < 1000
    assert {event.layer for event in table.timeline} == {row.layer for row in table.rows}


def test_events_inside_another_of_the_same_thread_are_part_of_it() -> None:
    outer = {"cat": "Node", "name": "loop_kernel_time", "ts": 10, "dur": 50, "tid": 1, "args": {"op_name": "Loop"}}
    inner = {**outer, "name": "body_kernel_time", "ts": 20, "dur": 10}
    other = {**inner, "name": "beside_kernel_time", "tid": 2}
    head = {"cat": "Session", "name": "model_run", "ts": 0, "dur": 100, "tid": 1}
    (found,) = runs([head, inner, outer, other, {"cat": "Node", "name": "cut_kernel_time", "ts": 30}])
    assert [node.name for node in found.nodes] == ["loop", "beside"]


def test_a_broken_profile_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('[{"cat": ')
    with pytest.raises(ModelError, match="profile cannot be read"):
        read_events(tmp_path / "p.json")


PEAK = Peak("cpu", 1, 100.0, 10.0, "", (Bandwidth(1000, 5.0), Bandwidth(10**6, 40.0), Bandwidth(10**8, 10.0)))


def test_bandwidth_is_that_of_moves_at_least_as_large() -> None:
    assert [bandwidth(PEAK, size) for size in (10, 10**4, 10**7, 10**9)] == [40.0, 40.0, 10.0, 10.0]


def test_the_roof_is_the_larger_of_two_limits() -> None:
    part = regions(written(), attribute(written(), executed()))[0]
    heavy = replace(part, macs=10**8, attention_macs=10**8, bytes=10**6)
    assert _rounded(roofline(heavy, 4.0, PEAK)) == (50.0, 0.5, "compute")
    light = replace(part, macs=10**6, attention_macs=0, bytes=10**7)
    assert _rounded(roofline(light, 2.0, PEAK)) == (0.5, 0.5, "memory")
    assert roofline(replace(part, macs=None), 2.0, PEAK) == (None, None, "")
    assert _rounded(roofline(light, 2.0, None)) == (0.5, None, "")


def _rounded(found: tuple[float | None, float | None, str]) -> tuple[float | None, float | None, str]:
    rate, share, bound = found
    return None if rate is None else round(rate, 9), None if share is None else round(share, 9), bound


PLACES = {
    "stem": ("stem", ""),
    "stem.conv": ("stem", "stem"),
    "bneck.3.att.fc1": ("bneck", "bneck.3"),
    "stage.0.1.conv1.conv": ("stage.0", "stage.0.1"),
    "stage.2.0.3.conv": ("stage.2", "stage.2.0"),
    "layer1.0.conv1": ("layer1", "layer1.0"),
    "/layer1/layer1.0/conv1/Conv": ("layer1", "layer1.0"),
    "/conv1/Conv": ("conv1", "conv1"),
    "/Add": ("", ""),
}


@pytest.mark.parametrize("name", PLACES)
def test_stage_and_block_are_read_from_the_name(name: str) -> None:
    assert place(name) == PLACES[name]


def test_rows_are_summed_by_what_they_share(table: LayerTable) -> None:
    names = {by: {group.name for group in grouped(table.rows, by)} for by in GROUPINGS}
    assert {"att", "stem", "mix"} <= names["stage"]
    assert "att.fc1" in names["layer"]
    assert "att.fc1" not in names["stage"] | names["block"]
    assert {"Conv", "Add", "HardSwish"} <= names["op"]


@pytest.mark.parametrize("by", GROUPINGS)
def test_groups_hold_every_row_once(by: str, table: LayerTable) -> None:
    found = grouped(table.rows, by)
    assert sum(group.rows for group in found) == len(table.rows)
    assert sum(group.time_ms for group in found) == pytest.approx(table.sum_ms)
    assert sum(group.share for group in found) == pytest.approx(1)
    assert [group.time_ms for group in found] == sorted((group.time_ms for group in found), reverse=True)


@pytest.mark.parametrize("by", GROUPINGS)
def test_the_terminal_shows_the_dearest_first_with_a_bar(by: str, table: LayerTable) -> None:
    head, first, *rest = layer_lines(table, by, 3)
    assert head.split()[:2] == [by, "ms"]
    assert "█" * 12 in first
    assert any(" more: " in line for line in rest)
    assert any(f"closure {table.closure:.3f}" in line for line in rest)
    assert any("not run: drop (dropout)" in line for line in rest)


def test_the_terminal_shows_all_rows_where_none_are_cut(table: LayerTable) -> None:
    lines = list(layer_lines(table, "layer", 0))
    assert sum("%" in line for line in lines) == len(table.rows)
    assert not any(" more: " in line for line in lines)
