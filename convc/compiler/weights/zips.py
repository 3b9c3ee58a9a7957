"""Open a zip archive that nobody vouches for: .npz files and torch's checkpoints are both zips.

Python's reader makes an object per entry before anyone can look, so the size of the table of entries is read first.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from ..errors import WeightsError
from .checkpoint import MOST_HEADER_BYTES, check_names, shown

_END = b"PK\x05\x06"
_END64_LOCATOR = b"PK\x06\x07"
_LONGEST_END = 22 + 65535 + 20


def open_zip(path: Path) -> ZipFile:
    """The archive, its table read. WeightsError: truncated, damaged, empty, or with a table beyond the limits."""
    if (size := _table_bytes(path)) > MOST_HEADER_BYTES:
        raise damaged_zip(path, f"its table of entries is {size} bytes long; the limit is {MOST_HEADER_BYTES}")
    try:
        archive = ZipFile(path)
    except (BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError, OverflowError) as error:
        raise damaged_zip(path, str(error) or type(error).__name__) from None
    names = archive.namelist()
    check_names(path, names)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise damaged_zip(path, f"the entry {shown(twice)} is there twice")
    return archive


def damaged_zip(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{str(path)!r} is a truncated or damaged zip archive: {why}",
        hint="fetch it again, and compare its size or hash",
    )


def _table_bytes(path: Path) -> int:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - _LONGEST_END)
        file.seek(start)
        tail = file.read()
        at = tail.rfind(_END)
        if at < 0 or len(tail) - at < 22:
            raise damaged_zip(path, "its end is missing")
        length = int.from_bytes(tail[at + 12 : at + 16], "little")
        locator = tail.rfind(_END64_LOCATOR, 0, at)
        if locator < 0:
            return length
        file.seek(min(size, int.from_bytes(tail[locator + 8 : locator + 16], "little")))
        return max(length if length < 0xFFFFFFFF else 0, int.from_bytes(file.read(56)[40:48], "little"))
