"""Sums of sums as one list of terms with signs, and the sums that are left once some terms have become others.

    (a + b) - (c + d)   =   + a  + b  - c  - d          inner sums that nobody else reads, of the type of the whole

Terms that merge leave their places; what they became stands at the place of the first of them. A sum of which one operand
is left is that operand; where all that is left counts negatively, the sum that reads it subtracts instead of adding. The
first term of a tree stays, or is what terms became, so that the whole is never negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..ir import Editor, Node, TensorType
from ..ops.arithmetic import Add, Sub
from ..ops.train import Identity
from .forms import fresh, only_reader, planned


class Term(NamedTuple):
    """`value`, the operand at `place` of the sum `reader`; whether it counts positively in the whole."""

    value: str
    reader: str
    place: int
    positive: bool


class Signed(NamedTuple):
    value: str
    positive: bool


@dataclass(frozen=True)
class Sums:
    """A tree of sums: `root` and those below it, each behind the one that reads it, whether each counts positively, and terms
    from left to right."""

    nodes: tuple[Node, ...]
    signs: tuple[bool, ...]
    terms: tuple[Term, ...]

    @property
    def root(self) -> Node:
        return self.nodes[0]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value is a term."""
        return Counter(term.value for term in self.terms)


@dataclass(frozen=True)
class Rebuilt:
    """What is left of a tree: sums to write, operands first, those that are gone or written anew, and what is the whole."""

    sums: tuple[Node, ...]
    touched: tuple[Node, ...]
    whole: str


def is_inner(edit: Editor, node: Node) -> bool:
    """Whether a sum is an operand of another of its type, and of nobody else: it is looked at together with that."""
    if not only_reader(edit, node.name):
        return False
    reader = edit.node(edit.users(node.name)[0])
    return reader is not None and _joins(edit, reader, node.name)


def flattened(edit: Editor, root: Node) -> Sums:
    """The terms of a sum, and of the sums in it."""
    nodes, signs, terms = [root], [True], list[Term]()
    waiting = _operands(root, True)
    while waiting:
        term = waiting.pop()
        reader, inner = edit.node(term.reader), edit.node(term.value)
        assert reader is not None
        if inner is not None and only_reader(edit, inner.name) and _joins(edit, reader, inner.name):
            nodes.append(inner)
            signs.append(term.positive)
            waiting += _operands(inner, term.positive)
        else:
            terms.append(term)
    return Sums(tuple(nodes), tuple(signs), tuple(terms))


def _operands(node: Node, positive: bool) -> list[Term]:
    """The last first."""
    terms = [
        Term(value, node.name, place, positive != (place > 0 and isinstance(node.op, Sub)))
        for place, value in enumerate(node.inputs)
    ]
    return terms[::-1]


def _joins(edit: Editor, reader: Node, value: str) -> bool:
    """Whether a value is a sum, and one of the operands of another of its type."""
    node = edit.node(value)
    if node is None or not isinstance(node.op, Add | Sub) or not isinstance(reader.op, Add | Sub):
        return False
    return node.type == reader.type and node.train_only == reader.train_only and reader.inputs.count(value) == 1


def rebuilt(edit: Editor, tree: Sums, became: Mapping[int, str | None], types: Mapping[str, TensorType]) -> Rebuilt:
    """The tree where the terms that `became` says are another value, of the same sign, or are gone (None).

    `types` are those of the new values. The first of the terms that merge must have become the value.
    """
    given, sums, touched = dict(types), list[Node](), list[Node]()
    left: dict[tuple[str, int], Signed | None] = {}
    changed: set[str] = {tree.terms[at].reader for at in became}
    for at, term in enumerate(tree.terms):
        value = became.get(at, term.value)
        left[term.reader, term.place] = None if value is None else Signed(value, term.positive)
    places = {value: (node.name, place) for node in tree.nodes for place, value in enumerate(node.inputs)}
    whole: Signed | None = None
    for node, positive in zip(reversed(tree.nodes), reversed(tree.signs), strict=True):
        reader, place = places.get(node.name, ("", 0))
        whole = Signed(node.name, positive)
        if node.name in changed:
            operands = [one for place in range(len(node.inputs)) if (one := left[node.name, place]) is not None]
            nodes, whole = _written(edit, node, operands, given)
            sums += nodes
            given.update((one.name, one.type) for one in nodes)
            touched.append(node)
            changed.add(reader)
        left[reader, place] = whole
    assert whole is not None
    assert whole.positive, "the first term counts positively"
    return Rebuilt(tuple(sums), tuple(touched[::-1]), whole.value)


def _written(
    edit: Editor, node: Node, operands: Sequence[Signed], given: Mapping[str, TensorType]
) -> tuple[list[Node], Signed | None]:
    """A sum of what is left of its operands, under its own name where there are two or more."""
    plus = tuple(one.value for one in operands if one.positive)
    minus = tuple(one.value for one in operands if not one.positive)
    if not operands:
        return [], None
    if len(operands) == 1:
        return [], operands[0]
    if not plus or not minus:
        return [_add(edit, node, node.name, plus or minus, given)], Signed(node.name, bool(plus))
    nodes: list[Node] = []
    known = dict(given)
    ends: list[str] = []
    for values, suffix in ((plus, "plus"), (minus, "minus")):
        if len(values) > 1:
            nodes.append(_add(edit, node, fresh(edit, f"{node.name}/{suffix}"), values, given))
            known[nodes[-1].name] = nodes[-1].type
        ends.append(nodes[-1].name if len(values) > 1 else values[0])
    last = planned(edit, node.name, Sub(), (ends[0], ends[1]), node, given=known)
    return [*nodes, last], Signed(node.name, True)


def _add(edit: Editor, like: Node, name: str, values: tuple[str, ...], given: Mapping[str, TensorType]) -> Node:
    return planned(edit, name, Add(), values, like, given=given)


def rewrite(edit: Editor, left: Rebuilt, base: str, between: Callable[[], None]) -> None:
    """Write what is left of a tree. `between` makes what its terms become, while no sum reads them; `base` is read by these."""
    root = left.touched[0].name
    kept = {node.name for node in left.sums}
    for node in left.touched:
        # Its operands may change their types: for a moment it is no sum.
        edit.set_op(node.name, Identity(), (base,))
    for node in left.touched[1:]:
        if node.name not in kept:
            edit.drop(node.name)
    between()
    for node in left.sums:
        if edit.node(node.name) is None:
            edit.insert(node, {}, before=root)
        else:
            edit.set_op(node.name, node.op, node.inputs)
    if root not in kept:
        edit.bypass(root, left.whole)
