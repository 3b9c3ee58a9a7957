"""From a file to text that can be parsed: what is refused before YAML is looked at.

Size, encoding, characters that cannot be seen, and tabs that indent. Opening a path never waits and never reads more
than the limit, whatever stands there (a pipe, a device, a folder).
"""

from __future__ import annotations

import os
import re
import stat
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import NoReturn

from ..errors import Mark, Problem, Source, SpecError

# 10,000 written-out steps are about 1 MiB.
MAX_BYTES = 4 * 2**20
SHORTER = "loops and blocks say the same in less"
# Line breaks that editors do not count (NEL, LS, PS) are refused too: with them line numbers would lie.
_UNSEEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)
_BOM = "\ufeff"


def read_bytes(path: Path, name: str) -> bytes:
    """The bytes of a file of at most MAX_BYTES; raises SpecError, which names what stands there instead."""
    try:
        # A pipe without a writer would block a plain open for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        raise SpecError(_unopened(path, name, error)) from None
    try:
        return _bounded(handle, name)
    except OSError as error:
        raise SpecError(Problem(f"cannot read {name}: {_reason(error)}")) from None
    finally:
        os.close(handle)


def checked_text(raw: str | bytes, name: str, label: str = "") -> tuple[str, Source]:
    """Text without a byte order mark, and its source; raises SpecError at the first thing no spec may hold."""
    if len(raw) > MAX_BYTES:
        _too_large(name, label)
    text = _decoded(raw, name, label) if isinstance(raw, bytes) else raw
    text = text.removeprefix(_BOM)
    source = Source(name, tuple(text.splitlines()), label)
    if found := _UNSEEN.search(text):
        what = f"the character U+{ord(found.group()):04X} cannot stand in a spec"
        hint = "take it out; inside double quotes it can be written as an escape"
        fail(what, place(text, found.start(), source), hint)
    if "\t" in text and (found := _TAB_INDENT.search(text)):
        fail("a tab at the beginning of a line", place(text, found.end() - 1, source), "YAML is indented with spaces")
    return text, source


def place(text: str, index: int, source: Source) -> Mark:
    """The mark of the character at `index`."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return Mark(source, before.count("\n") + 1, len(before) - before.rfind("\n"))


def fail(message: str, mark: Mark, hint: str = "") -> NoReturn:
    raise SpecError(Problem(message, mark, hint))


def _bounded(handle: int, name: str) -> bytes:
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode):
        what = "a folder" if stat.S_ISDIR(info.st_mode) else "a pipe or a device"
        raise SpecError(Problem(f"cannot read {name}: it is {what}, expected a YAML file"))
    if info.st_size > MAX_BYTES:
        _too_large(name)
    # Some files grow while they are read, or say that they are empty: the count decides, not the size.
    with os.fdopen(os.dup(handle), "rb") as file:
        return file.read(MAX_BYTES + 1)


def _too_large(name: str, label: str = "") -> NoReturn:
    message = f"the file is larger than {MAX_BYTES // 2**20} MiB, the limit of a spec"
    fail(message, Mark(Source(name, (), label), 1, 1), SHORTER)


def _decoded(raw: bytes, name: str, label: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        text = raw.decode("utf-8", "replace").removeprefix(_BOM)
        before = raw[: error.start].decode("utf-8").removeprefix(_BOM)
        mark = place(before, len(before), Source(name, tuple(text.splitlines()), label))
        fail(f"the byte 0x{raw[error.start]:02X} is not UTF-8", mark, "save the file as UTF-8")


def _unopened(path: Path, name: str, error: OSError | ValueError) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem(f"there is no file {name}", hint=_near(path))
    return Problem(f"cannot read {name}: {_reason(error)}")


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).lower()


def _near(path: Path) -> str:
    """The YAML file beside `path` whose name is nearest; a large folder is not searched to its end."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, 1000) if entry.name.endswith((".yaml", ".yml"))]
    except OSError:
        return ""
    close = get_close_matches(path.name, sorted(names), n=1)
    return f"did you mean {str(path.with_name(close[0]))!r}?" if close else ""
