"""What an expression says, as a tree. `at` is a node's place in the text, in characters from 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .kinds import Value

# How strongly signs bind, loosest first.
OR, AND, NOT, COMPARE, ADD, MULTIPLY, SIGN, POWER = range(1, 9)


@dataclass(frozen=True, slots=True)
class Constant:
    value: Value
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]`; `(a, b)` says the same."""

    items: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    args: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Part:
    """`.name` or `.0`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    index: Node
    at: int


@dataclass(frozen=True, slots=True)
class Slice:
    """`[first:last:step]`; None where nothing is written."""

    first: Node | None
    last: Node | None
    step: Node | None
    at: int


Suffix = Part | Index | Slice


@dataclass(frozen=True, slots=True)
class Path:
    """A value and what is read of it, in order."""

    base: Node
    suffixes: tuple[Suffix, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Prefix:
    sign: str
    operand: Node
    at: int


@dataclass(frozen=True, slots=True)
class Row:
    """`first sign operand sign operand ...`: signs of one strength, applied as the strength says."""

    strength: int
    first: Node
    rest: tuple[tuple[str, Node, int], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`then if condition else other`."""

    condition: Node
    then: Node
    other: Node
    at: int


Node = Constant | Name | Items | Call | Path | Prefix | Row | Choice


def walk(tree: Node) -> Iterator[Node | Suffix]:
    """Every node of a tree and every suffix of its paths."""
    waiting: list[Node | Suffix] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(inner for inner in _inner(node) if inner is not None)


def _inner(node: Node | Suffix) -> list[Node | Suffix | None]:
    if isinstance(node, Items):
        return list(node.items)
    if isinstance(node, Call):
        return [*node.args, *(arg for _, arg in node.named)]
    if isinstance(node, Path):
        return [node.base, *node.suffixes]
    if isinstance(node, Index):
        return [node.index]
    if isinstance(node, Slice):
        return [node.first, node.last, node.step]
    if isinstance(node, Prefix):
        return [node.operand]
    if isinstance(node, Row):
        return [node.first, *(operand for _, operand, _ in node.rest)]
    return [node.condition, node.then, node.other] if isinstance(node, Choice) else []
