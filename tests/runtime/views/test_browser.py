"""The pages in a real browser: nothing fails, nothing is empty, nothing overlaps or overflows; the numbers are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convc.runtime.views.comparison_page import comparison_page
from convc.runtime.views.groups import ranked
from convc.runtime.views.profile_page import profile_page
from tests.runtime.views.browser import Browser, Seen, found_browser
from tests.runtime.views.samples import comparison, profile

pytestmark = pytest.mark.browser
PAGES = {
    "one point": lambda: profile_page(profile("resnet18")),
    "a sweep of a network with branches": lambda: profile_page(profile("googlenet", sweep=True)),
    "one layer": lambda: profile_page(profile("lenet5")),
    "a comparison": lambda: comparison_page(comparison(0.05)),
    "two results": lambda: comparison_page(comparison(0.0, live=False)),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(found_browser(), tmp_path_factory.mktemp("browser"))


@pytest.mark.parametrize("width", [800, 1400])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_fails_is_empty_overlaps_or_overflows(name: str, width: int, browser: Browser) -> None:
    seen = browser.open(PAGES[name](), width)
    assert seen.console == []
    for state, found in seen.found.items():
        assert found["width"] == width
        assert found["page"] <= width
        for fault in ("errors", "empty", "outside", "overlaps", "cut"):
            assert found[fault] == [], f"{fault}, {state}"
    assert seen.found["folded"]["height"] <= seen.found["unfolded"]["height"]


def test_the_layer_table_shows_the_records_times(browser: Browser) -> None:
    given = profile("resnet18")
    table = given.points[0].layers
    assert table is not None
    seen = browser.open(profile_page(given), 1400)
    best = ranked(table)[:15]
    assert seen.attribute("layers", 0, "data-v") == [row.layer for row in best]
    assert [float(v) for v in seen.attribute("layers", 3, "data-v")] == pytest.approx(
        [row.time_ms for row in best], rel=1e-5
    )
    assert seen.cells("layers", 3) == [f"{row.time_ms:.2f}" for row in best]
    assert [cell.split(" %")[0] for cell in seen.cells("layers", 4)] == [
        f"{100 * row.time_ms / table.sum_ms:.1f}" for row in best
    ]
    assert seen.attribute("layers", 6, "data-v") == [str(row.bytes) for row in best]
    assert f"{given.points[0].latency.p50_ms:.1f} <small>ms" in seen.dom
    assert f"closure {100 * table.closure:.1f} %" in seen.dom
    assert _sections(seen) == ["latency", "layers", "roofline", "network", "machine"]


def test_on_a_narrow_screen_names_of_layers_keep_their_width_and_the_table_scrolls(browser: Browser) -> None:
    width = "document.querySelector('.layers .path').closest('td').getBoundingClientRect().width"
    tell = f"<script>document.body.dataset.name=Math.round({width})</script></body>"
    seen = browser.open(profile_page(profile("resnet18")).replace("</body>", tell), 500)
    assert seen.found["folded"]["page"] <= 500
    assert int(seen.dom.split('data-name="', 1)[1].split('"', 1)[0]) >= 200


def test_the_sweep_table_has_every_point(browser: Browser) -> None:
    given = profile("resnet18", sweep=True)
    seen = browser.open(profile_page(given), 1400)
    assert seen.cells("points", 0) == [point.label for point in given.points]
    assert _sections(seen)[0] == "sweep"


def test_a_comparison_shows_its_verdict(browser: Browser) -> None:
    given = comparison(0.05)
    seen = browser.open(comparison_page(given), 1400)
    assert "B is slower than A." in seen.dom
    assert f"+{100 * (given.verdict.ratio - 1):.1f} %" in seen.dom
    assert seen.cells("ops", 0) == ["Conv", "Relu", "Gemm"]
    assert _sections(seen) == ["verdict", "latency", "structure"]


@pytest.mark.parametrize("width", [800, 1400])
def test_a_screenshot_has_ink_all_the_way_down(width: int, browser: Browser) -> None:
    page = profile_page(profile("resnet18"))
    height = browser.open(page, width).found["folded"]["height"]
    image = Image.open(browser.picture(page, width, height))
    assert image.size == (width, height)
    pixels = np.asarray(image.convert("L"), np.float64)
    bands = np.array_split(pixels, 12)
    assert all(band.std() > 3 for band in bands)


def test_a_click_sorts_a_table(browser: Browser) -> None:
    page = profile_page(profile("resnet18"))
    click = "<script>document.querySelector('.sortable th:nth-child(6)').click()</script></body>"
    seen = browser.open(page.replace("</body>", click), 1400)
    macs = [int(v) for v in seen.attribute("layers", 5, "data-v")]
    assert macs == sorted(macs, reverse=True)
    assert macs != [int(v) for v in browser.open(page, 1400).attribute("layers", 5, "data-v")]


def _sections(seen: Seen) -> list[str]:
    return [part.split('"', 1)[0] for part in seen.dom.split('<section id="')[1:]]


def test_pages_are_written_as_files(tmp_path: Path, browser: Browser) -> None:
    """A page is one file: opened from another folder, alone, it is the same."""
    page = profile_page(profile("lenet5"))
    alone = Browser(browser.command, tmp_path)
    assert alone.open(page, 800).found["folded"]["height"] == browser.open(page, 800).found["folded"]["height"]
