"""Names and what they stand for, inside out: every list of steps has a scope, whose parent is that of the list around it.

    name            a value; or a claim, which is asked when the name is read (a skipped step, a name that two branches gave)
    name.inner      a name in the scope below a combinator with an id, or a part of a value: `backbone.stage.3`
    ids with dots   are names as any other; the longest name that leads to a value wins

A combinator without an id hands its names to the list around it (`adopt`), one with an id keeps them below its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .values import Bundle, Poison, Poisoned, Tensor, Value

if TYPE_CHECKING:
    from .context import Context
    from .steps import Step

Claim = Callable[[], Value]


@dataclass(frozen=True, slots=True)
class Run:
    """A step that ran, and in which context: what `use` runs again."""

    step: Step
    context: Context


class NoPart(Exception):
    """A name leads to a value that has no such part; says so, with what there is."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(eq=False)
class Scope:
    """The names of one list of steps. `taken` are names of inputs, which no step may bear."""

    parent: Scope | None = None
    names: dict[str, Value | Claim] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    below: dict[str, Scope] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()

    def inner(self) -> Scope:
        return Scope(self)

    def resolve(self, path: str) -> Value | None:
        """The value that a dotted path names, or None. Raises NoPart where the name is known and its part is not."""
        words = path.split(".")
        fault: NoPart | None = None
        for value, rest in self._candidates(words):
            try:
                return _part(value, rest, path)
            except NoPart as error:
                fault = fault or error
        if fault is not None:
            raise fault
        return None

    def read(self, name: str) -> Any:
        """The same for expressions: None for a stranger, and a value that also reads the names below it."""
        for scope in self._outward():
            if name in scope.names:
                value = _value(scope.names[name])
                below = next((outer.below[name] for outer in scope._outward() if name in outer.below), None)
                return value if below is None else Group(value, below)
        if "." not in name:
            return None
        try:
            return self.resolve(name)
        except NoPart:
            return None

    def has(self, name: str) -> bool:
        """Whether a value bears this name."""
        return any(name in scope.names for scope in self._outward())

    def run(self, path: str) -> Run | None:
        """The step that ran under a dotted path, or None."""
        words = path.split(".")
        return next((found for scope in self._outward() if (found := scope._run(words)) is not None), None)

    def known(self) -> Iterator[str]:
        """Every name that can be read here, the nearest first."""
        seen: set[str] = set()
        for scope in self._outward():
            yield from (name for name in scope.names if name not in seen)
            seen.update(scope.names)

    def adopt(self, inner: Scope) -> list[tuple[str, Run, Run]]:
        """Take over the names of a combinator without an id; what two steps ran under is handed back with both."""
        clashes = [(name, self.runs[name], run) for name, run in inner.runs.items() if name in self.runs]
        self.names.update({k: v for k, v in inner.names.items() if k in inner.runs or k not in self.runs})
        self.runs.update(inner.runs)
        self.below.update(inner.below)
        return clashes

    def follow(self, row: Scope) -> None:
        """Take over the names of a loop's next round; those of the round before give way."""
        self.names.update(row.names)
        self.runs.update(row.runs)
        self.below.update(row.below)

    def is_taken(self, name: str) -> bool:
        """Whether an input bears this name."""
        return any(name in scope.taken for scope in self._outward())

    def _outward(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def _candidates(self, words: list[str]) -> Iterator[tuple[Value, list[str]]]:
        for scope in self._outward():
            yield from scope._own(words)

    def _own(self, words: list[str]) -> Iterator[tuple[Value, list[str]]]:
        for cut in range(len(words), 0, -1):
            head = ".".join(words[:cut])
            if cut < len(words) and head in self.below:
                yield from self.below[head]._own(words[cut:])
            if head in self.names:
                yield _value(self.names[head]), words[cut:]

    def _run(self, words: list[str]) -> Run | None:
        for cut in range(len(words), 0, -1):
            head = ".".join(words[:cut])
            if cut == len(words) and head in self.runs:
                return self.runs[head]
            if head in self.below and (found := self.below[head]._run(words[cut:])) is not None:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Group:
    """A value with the names below its id, as expressions read it: `backbone.stage`, and `backbone.channels`."""

    value: Value
    scope: Scope

    def read(self, name: str) -> Any:
        below = self.scope.below.get(name)
        if name in self.scope.names:
            value = _value(self.scope.names[name])
        else:
            try:
                value = self.value.read(name)
            except KeyError:
                if below is None:
                    raise
                value = Bundle({})
        return value if below is None else Group(value, below)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.value, Tensor):
            if index in (0, -1):
                return self.value
            raise IndexError(index)
        return self.value[index]


def _value(found: Value | Claim) -> Value:
    return found() if callable(found) else found


def _part(value: Value, words: list[str], path: str) -> Value:
    for word in words:
        value = step_down(value, word, path)
    return value


def step_down(value: Value, word: str, path: str) -> Value:
    """One part of a value by its label or its place; raises NoPart, and Poisoned."""
    if isinstance(value, Poison):
        raise Poisoned
    if isinstance(value, Tensor):
        # A single value counts as a list of one.
        if word == "0":
            return value
        raise NoPart(f"{path!r}: {value.name!r} is one value and has no part {word!r}")
    if word in value.parts:
        return value.parts[word]
    if word.isascii() and word.isdecimal() and len(word) < 10 and int(word) < len(value):
        return value.part(int(word))
    raise NoPart(f"{path!r}: there is no part {word!r}", _listed(value.parts))


def _listed(parts: Mapping[str, Value]) -> str:
    names = list(parts)
    shown = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
    return f"it has {len(names)}: {shown}" if names else "it has none"
