"""Compute once what is computed twice: nodes of one operator with the same arguments, inputs and parameters.

a = f(x), b = f(x)    ->    b is a            the parameters must be the very same, not only equal
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir import Editor, Node, Op
from ...ops.arithmetic import Add, Max, Min, Mul
from ..rewrite import Match, Miss, Rewrite

_COMMUTE = (Add, Mul, Max, Min)


@dataclass(frozen=True)
class Twin(Match):
    """`node`, and the one that computes the same."""

    other: Node


class MergeEqual(Rewrite[Twin], name="merge_equal", root=Op):
    """Compute once what is computed twice."""

    exact_when = "operator, arguments, inputs and parameters are the same"
    worth_when = "always"

    def match(self, edit: Editor, node: Node) -> Twin | Miss | None:
        for name in edit.users(node.inputs[0]) if node.inputs else ():
            other = edit.node(name)
            if other is None or name == node.name or not _same(edit, node, other):
                continue
            if edit.is_output(node.name) and edit.is_output(name):
                return Miss(f"it and {name!r}, which computes the same, are both outputs of the network")
            return Twin(node, other) if not edit.is_output(node.name) else Twin(other, node)
        return None

    def rewrite(self, edit: Editor, match: Twin) -> None:
        edit.include(match.other.name)
        edit.add_origins(match.other.name, match.node.origins)
        edit.bypass(match.node.name, match.other.name)


def _same(edit: Editor, node: Node, other: Node) -> bool:
    if (node.op, node.type, node.train_only) != (other.op, other.type, other.train_only):
        return False
    if _inputs(node) != _inputs(other) or node.params.keys() != other.params.keys():
        return False
    held, theirs = edit.params_of(node), edit.params_of(other)
    return all(held[role] is theirs[role] for role in held)


def _inputs(node: Node) -> list[str]:
    return sorted(node.inputs) if isinstance(node.op, _COMMUTE) else list(node.inputs)
