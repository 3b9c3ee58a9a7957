"""The parts of a page and the terminal table: figures, scales, layout, groups, and that no page can reach the network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from convc.runtime.profile.record import LayerRow, Profile
from convc.runtime.views.comparison_page import comparison_page
from convc.runtime.views.distribution import binned, window
from convc.runtime.views.figures import aligned, decimals_for, percent, rounded, scaled, signed_percent
from convc.runtime.views.groups import ranked
from convc.runtime.views.layout import arranged
from convc.runtime.views.markup import Markup, el
from convc.runtime.views.profile_page import profile_page
from convc.runtime.views.roofline import intensity, plotted, rate
from convc.runtime.views.scale import Scale, fitted, spread
from convc.runtime.views.sweep import series, swept
from convc.runtime.views.trace import profile_trace
from tests.runtime.views.samples import comparison, layer_table, point, profile

HOSTILE = '<script>alert(1)</script>"&amp;'


def test_what_is_not_markup_is_escaped() -> None:
    assert el("p", "a < b & c", el("b", "<")) == "<p>a &lt; b &amp; c<b>&lt;</b></p>"
    assert el("rect", x=1.5, y=2.0, class_='"x"', hidden=True, title=None) == (
        '<rect x="1.5" y="2" class="&quot;x&quot;" hidden></rect>'
    )
    assert isinstance(el("br"), Markup)


@pytest.mark.parametrize("page", ["profile", "comparison"])
def test_names_of_a_model_cannot_break_out_of_a_page(page: str) -> None:
    if page == "profile":
        given = profile("lenet5")
        table = given.points[0].layers
        assert table is not None
        rows = tuple(replace(row, layer=HOSTILE, source=HOSTILE, stage=HOSTILE, op=HOSTILE) for row in table.rows[:1])
        hurt = replace(given.points[0], layers=replace(table, rows=rows), warnings=(HOSTILE,))
        text = profile_page(replace(given, points=(hurt,), model=replace(given.model, name=HOSTILE, file=HOSTILE)))
    else:
        given_two = comparison()
        text = comparison_page(replace(given_two, a=replace(given_two.a, label=HOSTILE), notes=(HOSTILE,)))
    assert "<script>alert" not in text
    assert _Tags.of(text).count("script") == 1


def test_a_page_names_no_address_and_forbids_fetching() -> None:
    for text in (profile_page(profile("resnet18", sweep=True)), comparison_page(comparison())):
        assert not re.search(r"(?:https?:)?//[\w.]", text)
        assert "default-src 'none'" in unescape(text)
        assert not {"link", "img", "iframe", "object"} & set(_Tags.of(text))


def test_every_tag_that_opens_closes() -> None:
    for text in (profile_page(profile("googlenet", sweep=True)), comparison_page(comparison(live=False))):
        _Tags.of(text)


def test_figures_have_the_digits_that_were_measured() -> None:
    assert [rounded(v) for v in (0.01234, 1.234, 12.34, 123.4, 1234.5, 0.0)] == [
        "0.0123",
        "1.23",
        "12.3",
        "123",
        "1,234",
        "0",
    ]
    assert [aligned(v, decimals_for(48.3)) for v in (48.3, 0.19)] == ["48.3", "0.2"]
    assert aligned(None, 2) == percent(None) == scaled(None) == "–"
    assert [scaled(v) for v in (999, 1_814_073_344, 46_810_112)] == ["999", "1.81 G", "46.8 M"]
    assert scaled(46_810_112, "B") == "46.8 MB"
    assert [signed_percent(v) for v in (1.05, 0.958, 1.0)] == ["+5.0 %", "−4.2 %", "+0.0 %"]


def test_scales_put_round_ticks_inside() -> None:
    assert Scale(0, 9.3, 0, 100).ticks(5) == [0, 2, 4, 6, 8]
    assert Scale(0.5, 600, 0, 100, log=True).ticks(6) == [1, 3, 10, 30, 100, 300]
    assert Scale(1, 100, 0, 10, log=True)(10) == pytest.approx(5)
    assert Scale(3, 3, 0, 10)(3) == 5


def test_labels_that_would_touch_go_to_other_rows() -> None:
    assert spread([0, 10, 200], [50, 50, 50], 2) == [0, 1, 0]
    assert fitted("stage.2.0.conv1", 50, 10) == "…0.conv1"
    assert fitted("conv1", 50, 10) == "conv1"


def test_one_far_run_does_not_flatten_the_rest() -> None:
    samples = sorted([1.0 + k / 1000 for k in range(200)] + [90.0])
    low, high = window(samples)
    assert low < 1.0
    assert 1.19 < high < 2
    inside = [v for v in samples if v <= high]
    assert sum(binned(inside, low, high)) == 200
    assert len(binned(inside, low, high, 7)) == 7


def test_the_dearest_layer_leads() -> None:
    table = layer_table("resnet18")
    times = [row.time_ms for row in ranked(table)]
    assert times == sorted(times, reverse=True)
    assert len(times) == len(table.rows)


def _row(name: str, *reads: str) -> LayerRow:
    return LayerRow(name, "conv", 1.0, reads=reads)


def test_a_layer_stands_below_all_that_it_reads_and_branches_side_by_side() -> None:
    layout = arranged([_row("a"), _row("b", "a"), _row("c", "a"), _row("d", "b", "c"), _row("e", "d", "a")])
    boxes = layout.boxes
    assert [boxes[n].level for n in "abcde"] == [0, 1, 1, 2, 3]
    assert (boxes["b"].lane, boxes["c"].lane, boxes["b"].lanes) == (0, 1, 2)
    assert set(layout.lines) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e"), ("a", "e")}


@pytest.mark.parametrize("spec", ["resnet50", "googlenet", "densenet121"])
def test_no_two_boxes_share_a_place_and_columns_are_about_as_long(spec: str) -> None:
    layout = arranged(layer_table(spec).rows)
    places = [(box.column, box.level, box.lane) for box in layout.boxes.values()]
    assert len(set(places)) == len(places) == len(layer_table(spec).rows)
    assert max(layout.columns) <= 34
    assert min(layout.columns) >= 12
    for source, target in layout.lines:
        a, b = layout.boxes[source], layout.boxes[target]
        assert (a.column, a.level) < (b.column, b.level)


def test_columns_are_cut_where_the_fewest_lines_cross() -> None:
    """A chain of 40 with one long line: the cut goes beside it."""
    rows = [_row("0")] + [_row(str(k), str(k - 1)) for k in range(1, 40)]
    rows[23] = _row("23", "22", "17")
    layout = arranged(rows)
    crossing = [line for line in layout.lines if len({layout.boxes[name].column for name in line}) == 2]
    assert len(layout.columns) == 2
    assert len(crossing) == 1


def test_the_roofline_holds_each_layer_with_macs() -> None:
    table = layer_table("resnet18")
    rows = plotted(table)
    assert {row.op for row in rows} == {"conv", "linear"}
    assert all(rate(row) == pytest.approx(row.gmacs_per_s) for row in rows)
    assert all(intensity(row) > 0 for row in rows)


def test_a_sweep_makes_one_line_for_each_other_setting() -> None:
    points = profile("resnet18", sweep=True).points
    axis = swept(points)
    assert axis is not None
    assert axis.name == "batch"
    lines = series(points, axis)
    assert {name: [p.batch for p in line] for name, line in lines.items()} == {
        "threads 2": [1, 2, 8, 32],
        "threads 1": [1, 2, 8, 32],
    }
    assert swept(points[:1]) is None


def test_a_point_without_layers_or_samples_still_makes_a_page() -> None:
    bare = replace(point("lenet5", layers=False), samples_ms=(1.0, 2.0), throughput=None)
    given = replace(profile("lenet5"), points=(bare,), peaks=())
    assert "runs, ms: 1.00, 2.00" in profile_page(given)
    assert profile_trace(given)["traceEvents"] == []
    assert profile_page(replace(given, points=()))


def test_the_trace_nests_nodes_layers_and_stages() -> None:
    given = profile("resnet18")
    made = json.loads(json.dumps(profile_trace(given), allow_nan=False))
    events = made["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert {event["ph"] for event in events} == {"M", "X"}
    assert [e["args"]["name"] for e in events if e["name"] == "thread_name"] == ["nodes", "layers", "stages"]
    by_track = {tid: [e for e in slices if e["tid"] == tid] for tid in (1, 2, 3)}
    table = given.points[0].layers
    assert table is not None
    assert len(by_track[1]) == len(table.timeline)
    assert {e["name"] for e in by_track[2]} == {row.layer for row in table.rows}
    for track in by_track.values():
        ends = [(e["ts"], e["ts"] + e["dur"]) for e in track]
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(ends))
    for outer, inner in ((3, 2), (2, 1)):
        for e in by_track[inner]:
            assert any(o["ts"] <= e["ts"] and e["ts"] + e["dur"] <= o["ts"] + o["dur"] + 1e-6 for o in by_track[outer])


def test_a_record_read_back_makes_the_same_page() -> None:
    given = profile("resnet18", sweep=True)
    again = Profile.from_json(json.loads(json.dumps(given.to_json())))
    assert profile_page(again) == profile_page(given)


class _Tags(HTMLParser):
    """Names of the elements; fails where they do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.open: list[str] = []

    @staticmethod
    def of(text: str) -> list[str]:
        parser = _Tags()
        parser.feed(text)
        parser.close()
        assert parser.open == []
        return parser.names

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
