"""A bar on the terminal for suites that take minutes: `pytest -p tests.progress_bar`. Failures still print as they come.

Without a terminal there is no bar, and pytest prints its own dots.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """Counts tests as they end, in this process or in pytest-xdist's workers."""

    def __init__(self, console: Console) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("{task.description}", markup=False), console=console)
        self._task = self._progress.add_task("collecting", total=None)
        self._failed = 0

    def pytest_sessionstart(self) -> None:
        self._progress.start()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            self._progress.update(self._task, total=len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._progress.update(self._task, total=len(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed += 1
            self._progress.console.print(f"FAILED {report.nodeid}", markup=False, highlight=False)
        if report.when == "teardown":
            name = report.nodeid.partition("[")[2].rstrip("]") or report.nodeid.rpartition("::")[2]
            failed = f"  {self._failed} failed" if self._failed else ""
            self._progress.update(self._task, advance=1, description=name + failed)

    def pytest_sessionfinish(self) -> None:
        self._progress.stop()

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """No letters between the lines of the bar; the count by outcome stays pytest's."""
        if report.when == "call" and report.passed:
            return report.outcome, "", ""
        return None


def pytest_configure(config: pytest.Config) -> None:
    # The workers of pytest-xdist have no terminal of their own.
    if sys.stderr.isatty() and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Bar(Console(stderr=True)), "progress-bar")
