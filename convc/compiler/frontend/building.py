"""The parser's events, turned into a tree; what a spec may not hold is refused here, on events.

An explicit stack holds what is open, so depth is limited by a number and not by Python's own stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml

from ..errors import Mark, Source
from .reading import SHORTER, fail
from .scalars import Plain, ScalarError, resolve
from .tree import Map, Scalar, Seq, Tree
from .yaml_faults import QUOTE_EXPRESSION

MAX_EVENTS = 400_000
MAX_DEPTH = 64
MAX_SCALAR = 64 * 2**10

_INSTEAD = "`params` name a value that is used twice, `blocks` name steps"
_BRACKET = re.compile(r"[()\[\]{}]")
_OPENING = dict(zip(")]}", "([{", strict=True))


class _Open:
    """A list or mapping whose end was not seen yet."""

    __slots__ = ("entries", "flow", "is_map", "items", "key", "mark", "seen")

    def __init__(self, mark: Mark, is_map: bool, flow: bool) -> None:
        self.mark, self.is_map, self.flow = mark, is_map, flow
        self.items: list[Tree] = []
        self.entries: list[tuple[Scalar, Tree]] = []
        self.key: Scalar | None = None
        self.seen: dict[str, Mark] = {}


class Builder:
    """Builds the tree of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.stack: list[_Open] = []
        self.root: Tree | None = None
        self.documents = 0
        # By exact type: the parsers make no subclasses, and a chain of isinstance costs more than the parsing.
        self.takers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self.scalar,
            yaml.MappingStartEvent: lambda event: self.start(event, True),
            yaml.SequenceStartEvent: lambda event: self.start(event, False),
            yaml.MappingEndEvent: self.end,
            yaml.SequenceEndEvent: self.end,
            yaml.AliasEvent: self.alias,
            yaml.DocumentStartEvent: self.document,
        }

    def run(self, events: Iterable[yaml.Event]) -> Tree:
        """The tree of the one document; raises SpecError, and whatever the parser behind `events` raises."""
        takers = self.takers
        for count, event in enumerate(events):
            if count >= MAX_EVENTS:
                fail(f"the file has more than {MAX_EVENTS:,} YAML events", self.mark(event), SHORTER)
            taker = takers.get(type(event))
            if taker is not None:
                taker(event)
        root = self.root
        if root is None or (isinstance(root, Scalar) and not root.text and not root.quoted):
            hint = "a spec begins with `convc: 1` and `name: ...`"
            fail("there is nothing in the file", Mark(self.source, 1, 1), hint)
        return root

    def document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if event.tags:
            fail("a %TAG line cannot stand in a spec", self.mark(event), "a spec has no tags")
        if self.documents > 1:
            fail("a second document begins here", self.mark(event), "a spec is one document: one file each")

    def alias(self, event: yaml.AliasEvent) -> None:
        hint = f"{_INSTEAD}; quote text that begins with *"
        fail(f"an alias (*{_short(str(event.anchor))}) cannot stand in a spec", self.mark(event), hint)

    def scalar(self, event: yaml.ScalarEvent) -> None:
        text: str = event.value
        if event.anchor is not None or event.tag is not None:
            self.refuse(event, event.tag)
        mark = self.scalar_mark(event)
        if len(text) > MAX_SCALAR:
            fail(f"a text longer than {MAX_SCALAR // 2**10} KiB", mark, "long tables belong into a file of their own")
        quoted = bool(event.style)
        top = self.stack[-1] if self.stack else None
        if top is not None and top.is_map and top.key is None:
            self.key(top, Scalar(text, mark, quoted, text))
            return
        if not quoted and top is not None and top.flow and not _balanced(text):
            fail(f"the brackets of {_short(text)!r} do not match", mark, QUOTE_EXPRESSION)
        self.add(Scalar(text if quoted else _resolved(text, mark), mark, quoted, text))

    def key(self, top: _Open, key: Scalar) -> None:
        text = key.text
        if not key.quoted:
            _check_key(text, key.mark)
        if text in top.seen:
            lines = f"in line {top.seen[text].line} and in line {key.mark.line}"
            fail(f"the key {_short(text)!r} stands twice: {lines}", key.mark, "keep one of the two")
        top.seen[text] = key.mark
        top.key = key

    def start(self, event: yaml.CollectionStartEvent, is_map: bool) -> None:
        if event.anchor is not None or event.tag is not None:
            self.refuse(event, event.tag)
        if self.stack and self.stack[-1].is_map and self.stack[-1].key is None:
            what = "a mapping" if is_map else "a list"
            fail(f"{what} stands where a key is expected", self.mark(event), "a key is a word: `key: value`")
        if len(self.stack) >= MAX_DEPTH:
            hint = "`blocks` give inner steps a name and a place of their own"
            fail(f"nested deeper than {MAX_DEPTH}", self.mark(event), hint)
        self.stack.append(_Open(self.mark(event), is_map, bool(event.flow_style)))

    def end(self, _: yaml.CollectionEndEvent) -> None:
        done = self.stack.pop()
        if not done.is_map:
            self.add(Seq(tuple(done.items), done.mark))
            return
        # A mapping without braces is underlined as its first key.
        mark = done.entries[0][0].mark if done.entries and not done.flow else done.mark
        self.add(Map(tuple(done.entries), mark))

    def add(self, tree: Tree) -> None:
        if not self.stack:
            self.root = tree
            return
        top = self.stack[-1]
        if top.key is None:
            top.items.append(tree)
        else:
            top.entries.append((top.key, tree))
            top.key = None

    def refuse(self, event: yaml.NodeEvent, tag: str | None) -> None:
        """An anchor or a tag stands before the value."""
        if event.anchor is not None:
            hint = f"{_INSTEAD}; quote text that begins with &"
            fail(f"an anchor (&{_short(event.anchor)}) cannot stand in a spec", self.mark(event), hint)
        hint = "take it out; quote text that begins with !"
        fail(f"a tag ({_short(str(tag))}) cannot stand in a spec", self.mark(event), hint)

    def mark(self, event: yaml.Event) -> Mark:
        """Where an event begins."""
        start = event.start_mark
        assert start is not None
        return Mark(self.source, start.line + 1, start.column + 1)

    def scalar_mark(self, event: yaml.ScalarEvent) -> Mark:
        """Where a scalar stands; the width ends with it, or with the line where it goes on."""
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        line, column = start.line + 1, start.column
        last = end.column if end.line == start.line else len(self.source.line(line).rstrip())
        return Mark(self.source, line, column + 1, max(1, last - column))


def _check_key(text: str, mark: Mark) -> None:
    if text == "<<":
        fail("a merge key (<<) cannot stand in a spec", mark, f"{_INSTEAD}; `defaults` set what calls leave out")
    if text == "":
        fail("a value without a key", mark, "write `key: value`")
    if text[-1] in ")]" or not _balanced(text):
        fail(f"the key {_short(text)!r} is a piece of an expression", mark, QUOTE_EXPRESSION)


def _resolved(text: str, mark: Mark) -> Plain:
    try:
        return resolve(text)
    except ScalarError as error:
        fail(error.message, mark, error.hint)


def _balanced(text: str) -> bool:
    """Whether every bracket closes; brackets inside quotes are text."""
    if not _BRACKET.search(text):
        return True
    expected: list[str] = []
    for char in _outside_quotes(text):
        if char in "([{":
            expected.append(char)
        elif char in _OPENING and (not expected or expected.pop() != _OPENING[char]):
            return False
    return not expected


def _outside_quotes(text: str) -> Iterator[str]:
    quote = ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            yield char


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
