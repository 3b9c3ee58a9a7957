"""Text that names a block, with the file it was written in: there the name leads where its writer meant.

`- bottleneck: {att: mine}` hands the word `mine` to a block of the library, whose step `- $att` runs it. The word is
looked up in the file of the call, not in the library's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .library import File


class Word(str):
    """Text, equal to any other of the same letters, that remembers its file."""

    __slots__ = ("home",)
    home: File

    def __new__(cls, letters: str, home: File) -> Word:
        word = super().__new__(cls, letters)
        word.home = home
        return word


def at_home(value: Any, file: File) -> Any:
    """The value with its text, in lists too, at home in `file`; what has a home keeps it."""
    if isinstance(value, tuple):
        return tuple(at_home(item, file) for item in value)
    return Word(value, file) if isinstance(value, str) and not isinstance(value, Word) else value


def plain(value: Any) -> Any:
    """The value as operators hold it, which know no files."""
    return str(value) if isinstance(value, Word) else value


def home_of(word: str, file: File) -> File:
    """The file in which a name is looked up: its own, or else `file`."""
    return word.home if isinstance(word, Word) else file
