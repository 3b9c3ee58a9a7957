"""`convc profile --from`: a saved result goes through the same reports, and nothing is written where something is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from convc.cli import main
from convc.runtime.profile.record import Profile
from convc.runtime.views.profile_page import profile_page
from tests.runtime.views.samples import comparison, profile


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(profile("lenet5").to_json()))
    return path


def test_a_saved_result_gives_table_page_trace_and_itself(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["profile", "--from", str(saved), "--html", str(tmp_path / "p.html"), "--trace", str(tmp_path / "t.json")]
    assert main([*line, "--json", str(tmp_path / "again.json")]) == 0
    assert "closure" in capsys.readouterr().out
    assert (tmp_path / "p.html").read_text(encoding="utf-8") == profile_page(profile("lenet5"))
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(saved.read_text())


def test_a_limit_on_a_saved_result_is_kept(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--from", str(saved), "--max-latency-ms", "0.001"]) == 5
    assert main(["profile", "--from", str(saved), "--max-latency-ms", "1000"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("arguments", [[], ["lenet5", "--from", "result.json"]])
def test_either_a_model_or_a_result(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", *arguments]) == 2
    assert "--from RESULT.json" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--html", "--trace"])
def test_what_cannot_be_written_is_exit_2_and_leaves_no_file(
    option: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "link"
    target.symlink_to(tmp_path / "elsewhere")
    assert main(["profile", "--from", str(saved), option, str(target)]) == 2
    assert "symbolic link" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["link", "result.json"]


def test_a_result_that_is_none_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text(json.dumps(comparison().data()))
    assert main(["profile", "--from", str(tmp_path / "x.json"), "--html", str(tmp_path / "p.html")]) == 2
    assert "is not a convc.profile record" in capsys.readouterr().err
    assert main(["profile", "--from", str(tmp_path / "none.json")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["x.json"]


def test_the_python_objects_write_their_pages(saved: Path, tmp_path: Path) -> None:
    Profile.from_json(json.loads(saved.read_text())).to_html(tmp_path / "a.html")
    comparison().to_html(tmp_path / "b.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == profile_page(profile("lenet5"))
    assert "Comparison" in (tmp_path / "b.html").read_text(encoding="utf-8")
