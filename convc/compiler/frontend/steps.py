"""Steps as written: what a list under `network:`, `body:` or a combinator says, before anything is evaluated.

A step has one head (an operator, a block or a combinator) and, beside it, keys that every step may have and the head's own.
`parsing` reads them from a tree, `labels` names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NoReturn

from ..errors import Mark, Problem, SpecError
from .document import Map, Scalar, Seq, Tree

COMMON = ("id", "from", "when", "repeat", "train_only", "source")
COMBINATORS: Mapping[str, tuple[str, ...]] = {
    "seq": (),
    "residual": ("shortcut", "shortcut_when", "act"),
    "branches": ("merge", "axis"),
    "for": ("in", "do", "merge", "axis"),
    "split": ("sizes", "axis", "merge"),
    "share": ("merge", "axis"),
    "use": (),
}
# Heads whose scalar or list is the values they read; their fields stand beside the head.
VALUE_HEADS = frozenset({"add", "sub", "mul", "div", "max", "min", "matmul", "concat", "stack"})


@dataclass(frozen=True, eq=False)
class Branch:
    """A named part of `branches` or `split`: its steps, and the condition it exists under."""

    name: str
    steps: tuple[Step, ...]
    mark: Mark
    when: Scalar | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """One step. `body` is what the head was given; `options` are the keys that belong to the head."""

    head: str
    mark: Mark
    body: Tree | None
    options: Mapping[str, Tree] = field(default_factory=dict)
    id: str | None = None
    id_mark: Mark | None = None
    reads: Tree | None = None
    when: Scalar | None = None
    repeat: Scalar | None = None
    train_only: bool = False
    source: str | None = None
    steps: tuple[Step, ...] = ()
    shortcut: tuple[Step, ...] | None = None
    branches: tuple[Branch, ...] = ()

    @property
    def is_combinator(self) -> bool:
        """Whether the head is wiring rather than an operator or block (`split: 4` is the operator)."""
        return self.head in COMBINATORS and not (self.head == "split" and not self.branches)

    @property
    def is_transparent(self) -> bool:
        """Unnamed `seq`, `residual` and `share`: their steps are named as if they stood in the list around."""
        return self.head in ("seq", "residual", "share") and self.id is None and self.repeat is None

    def lists(self) -> Iterator[tuple[Step, ...]]:
        """Every list of steps that stands in this one."""
        yield self.steps
        yield self.shortcut or ()
        yield from (branch.steps for branch in self.branches)

    def at(self) -> Mark:
        """Where the step stands; `source:` (written by convc in spec.resolved.yaml) is honoured."""
        if self.source is None:
            return self.mark
        file, _, line = self.source.rpartition(":")
        if not file or not line.isdecimal() or not line.isascii() or len(line) > 9:
            return self.mark
        return Mark(type(self.mark.source)(file, (), file), int(line), 1)


def fail(message: str, mark: Mark, hint: str = "") -> NoReturn:
    raise SpecError(Problem(message, mark, hint))


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean 'kernel'?`, or the empty string where nothing is near."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def describe(tree: Tree) -> str:
    """What a tree is, in a person's words."""
    if isinstance(tree, Map):
        return "a mapping"
    if isinstance(tree, Seq):
        return "a list"
    value = tree.value
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"the truth value {tree.text}"
    if isinstance(value, str):
        return f"the text {value if len(value) <= 60 else value[:57] + '...'!r}"
    return f"the number {tree.text}"


def is_null(tree: Tree | None) -> bool:
    """Nothing, or `null`: both count as not given."""
    return tree is None or (isinstance(tree, Scalar) and tree.value is None)
