"""A line on the terminal that says what takes so long; nothing at all where there is no terminal."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import IO

# What takes less is not worth a line.
PATIENCE_S = 1.0


class Display:
    """A spinner with the current stage, shown on `stream` once a second has passed. Call it with a stage's name."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._stage = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, stage: str) -> None:
        self._stage = stage

    def __enter__(self) -> Display:
        if self._stream is not None:
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        if self._stop.wait(PATIENCE_S):
            return
        # rich takes a tenth of a second to import: only those who wait anyway pay for it.
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(file=self._stream), transient=True) as progress:
            task = progress.add_task(self._stage)
            while not self._stop.wait(0.1):
                progress.update(task, description=self._stage)
            time.sleep(0)
