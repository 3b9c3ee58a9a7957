"""Compute once what is computed twice: nodes of one operator with the same arguments, inputs and parameters.

a = f(x), b = f(x)    ->    b is a            the parameters must be the very same, not only equal
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from ...ir import Editor, Model, Node, Op
from ...ops.arithmetic import Add, Max, Min, Mul
from ..rewrite import Match, Miss, Result, Rewrite

# Operator, inputs, and the identities of the parameters.
Key = tuple[type[Op], tuple[str, ...], tuple[int, ...]]
_COMMUTE = (Add, Mul, Max, Min)


@dataclass(frozen=True)
class Twin(Match):
    """`node`, and the one that computes the same."""

    other: Node


class MergeEqual(Rewrite[Twin], name="merge_equal", root=Op):
    """Compute once what is computed twice."""

    exact_when = "operator, arguments, inputs and parameters are the same"
    worth_when = "always"

    # Names by what nodes read and hold. A node that has since changed, or gone, is found out when it is asked for.
    _known: dict[Key, list[str]]

    def run(self, model: Model) -> Result:
        """As every pass; what is known of this model's nodes is held by this run alone."""
        return Rewrite.run(copy(self), model)

    def prepare(self, edit: Editor) -> None:
        self._known = {}

    def match(self, edit: Editor, node: Node) -> Twin | Miss | None:
        if not node.inputs:
            return None
        alike = self._known.setdefault(_key(edit, node), [])
        for name in alike:
            other = edit.node(name)
            if other is None or name == node.name or not _same(edit, node, other):
                continue
            if edit.is_output(node.name) and edit.is_output(name):
                return Miss(f"it and {name!r}, which computes the same, are both outputs of the network")
            return Twin(node, other) if not edit.is_output(node.name) else Twin(other, node)
        if node.name not in alike:
            alike.append(node.name)
        return None

    def rewrite(self, edit: Editor, match: Twin) -> None:
        edit.include(match.other.name)
        edit.add_origins(match.other.name, match.node.origins)
        edit.bypass(match.node.name, match.other.name)


def _key(edit: Editor, node: Node) -> Key:
    """What equal nodes have in common, and few others do: one value may have thousands of readers."""
    held = edit.params_of(node)
    return type(node.op), tuple(_inputs(node)), tuple(id(held[role]) for role in sorted(held))


def _same(edit: Editor, node: Node, other: Node) -> bool:
    if (node.op, node.type, node.train_only) != (other.op, other.type, other.train_only):
        return False
    if _inputs(node) != _inputs(other) or node.params.keys() != other.params.keys():
        return False
    held, theirs = edit.params_of(node), edit.params_of(other)
    return all(held[role] is theirs[role] for role in held)


def _inputs(node: Node) -> list[str]:
    return sorted(node.inputs) if isinstance(node.op, _COMMUTE) else list(node.inputs)
