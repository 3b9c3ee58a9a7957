"""Take out nodes that hand their input on unchanged.

dropout, drop_path, identity              at inference
concat of one value                       concat(a) = a
slice, reshape, flatten, transpose        that leave every element where it is
max_pool, avg_pool                        with windows of one element at every place
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...ir import Editor, Node, Op, TensorType
from ...ops.join import Concat
from ...ops.pool import AvgPool, MaxPool
from ...ops.shape import Flatten, Reshape, Slice, Transpose
from ..rewrite import Match, Miss, Rewrite


def _one_element(op: Any) -> bool:
    window = op.window()
    padding = op.padding if isinstance(op.padding, tuple) else (0,)
    return {*window.kernel, *window.stride} == {1} and not any(padding)


# Each is asked only where input and output have one type.
_HANDS_ON: Mapping[type[Op], Callable[[Any], bool]] = {
    Concat: lambda op: True,
    Reshape: lambda op: True,
    Flatten: lambda op: True,
    Slice: lambda op: op.step == 1,
    Transpose: lambda op: list(op.perm) == sorted(op.perm),
    MaxPool: _one_element,
    AvgPool: _one_element,
}


class DropIdentity(Rewrite[Match], name="drop_identity", root=Op):
    """Take out dropout, identities, and rearrangements that move nothing."""

    exact_when = "the node's value at inference is its input, element by element"
    worth_when = "always"

    def match(self, edit: Editor, node: Node) -> Match | Miss | None:
        if not hands_on(node, tuple(map(edit.type_of, node.inputs))):
            return None
        if edit.is_output(node.name) and edit.node(node.inputs[0]) is None:
            return Miss(f"an output would be the network's input {node.inputs[0]!r} itself: a node must stand between")
        return Match(node)

    def rewrite(self, edit: Editor, match: Match) -> None:
        if not match.node.op.identity_at_inference:
            edit.fix_sizes()  # that a slice takes all, or a reshape changes nothing, hangs on them
        edit.bypass(match.node.name)


def hands_on(node: Node, inputs: tuple[TensorType, ...]) -> bool:
    """Whether a node's value at inference is its only input."""
    if inputs != (node.type,):
        return False
    rule = _HANDS_ON.get(type(node.op))
    return node.op.identity_at_inference or (rule is not None and rule(node.op))
