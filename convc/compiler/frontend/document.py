"""YAML text as a tree in which every node knows its place.

The reader walks the parser's events and never constructs objects from tags. Its limits hold on events, before anything
is built of them: nothing a file says can cost more than its size. A spec has one document, no anchors, aliases, merge
keys or tags, and no key twice.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from ..errors import Mark
from .building import MAX_DEPTH, MAX_EVENTS, MAX_SCALAR, Builder
from .reading import MAX_BYTES, checked_text, fail, read_bytes
from .scalars import MAX_DIGITS
from .tree import Map, Scalar, Seq, Tree, plain
from .yaml_faults import QUOTE_EXPRESSION, spec_error

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_EVENTS",
    "MAX_SCALAR",
    "QUOTE_EXPRESSION",
    "Map",
    "Scalar",
    "Seq",
    "Tree",
    "parse",
    "plain",
    "read",
]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str | bytes, name: str, label: str = "") -> Tree:
    """The one document of `text`. Raises SpecError, at its place in `name`, for everything that is no spec's YAML."""
    text, source = checked_text(text, name, label)
    try:
        with _no_collection():
            return Builder(source).run(yaml.parse(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        raise spec_error(error, source) from None
    except (RecursionError, ValueError, OverflowError, MemoryError) as error:
        fail(f"this is not YAML that can be read ({type(error).__name__})", Mark(source, 1, 1))


def read(path: Path, name: str | None = None, label: str = "") -> Tree:
    """The document in a file, shown as `name`. Raises SpecError, also where no readable file of bearable size is."""
    shown = name or str(path)
    return parse(read_bytes(path, shown), shown, label)


@contextmanager
def _no_collection() -> Iterator[None]:
    """A tree has no cycles: looking for them again and again while it grows would double the time of a large file."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
