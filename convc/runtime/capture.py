"""Keep a foreign library's chatter: what it writes on stdout and stderr becomes a value.

ONNX Runtime reports the cause of a failed provider only by printing it, from C++ (file descriptors 1 and 2) and from
Python (`sys.stdout`). Both are taken for the length of a `with` block:

    with captured() as noise:
        ...
    noise.text          everything written meanwhile
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

# The descriptors belong to the whole process: two captures at a time would restore each other's file.
_LOCK = threading.RLock()


@dataclass(slots=True)
class Noise:
    """What was written; `text` is filled when the block ends."""

    text: str = ""


@contextlib.contextmanager
def captured() -> Iterator[Noise]:
    """Take descriptors 1 and 2 and the Python streams over them, and give them back whatever happens."""
    noise = Noise()
    with _LOCK, tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as sink:
        try:
            with _descriptors(sink), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
                yield noise
        finally:
            sink.seek(0)
            noise.text = sink.read()


@contextlib.contextmanager
def _descriptors(sink: IO[str]) -> Iterator[None]:
    _flush()
    saved = [(number, copy) for number in (1, 2) if (copy := _duplicate(number)) is not None]
    for number, _ in saved:
        os.dup2(sink.fileno(), number)
    try:
        yield
    finally:
        sink.flush()
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)


def _duplicate(number: int) -> int | None:
    """A copy of the descriptor, or None where the process was started without it."""
    try:
        return os.dup(number)
    except OSError:
        return None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
