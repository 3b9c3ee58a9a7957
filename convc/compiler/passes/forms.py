"""Questions that several passes ask about a node, and how they plan new ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..ir import Editor, Node, Op
from ..ir.types import TensorType
from ..ops.conv import Conv


def is_pointwise(op: Op) -> bool:
    """Whether it is a 1x1 convolution that reads every place once: stride 1, no padding. Any groups."""
    if not isinstance(op, Conv):
        return False
    window = op.window()
    return {*window.kernel, *window.stride} == {1} and not (isinstance(op.padding, str) or any(padding(op)))


def padding(op: Op) -> tuple[int, ...]:
    """Bound padding of a convolution or pool: (begins ..., ends ...). Not for one that is a word."""
    amounts = op.padding  # type: ignore[attr-defined]
    assert isinstance(amounts, tuple), "bind makes padding a tuple"
    return amounts


def only_reader(edit: Editor, value: str) -> bool:
    """Whether one node reads `value`, and the network does not."""
    return len(edit.users(value)) == 1 and not edit.is_output(value)


def why_not_alone(edit: Editor, value: str, reader: str) -> str | None:
    """In words, who else reads `value`; None where `reader` alone does."""
    if edit.is_output(value):
        return f"{value!r} is an output of the network as well"
    others = [name for name in edit.users(value) if name != reader]
    if not others:
        return None
    shown = ", ".join(others[:3])
    return f"{value!r} also feeds {shown if len(others) <= 3 else f'{shown} and {len(others) - 3} more'}"


def planned(
    edit: Editor,
    name: str,
    op: Op,
    inputs: tuple[str, ...],
    like: Node,
    *,
    given: Mapping[str, TensorType] | None = None,
    params: Mapping[str, str] | None = None,
) -> Node:
    """A node that a rewrite may put in, with the origins of `like`; `given` types inputs that are planned themselves."""
    known = given or {}
    types = [known.get(value) or edit.type_of(value) for value in inputs]
    bound = op.bind(*types)
    held = MappingProxyType(dict(params or {}))
    return Node(name, bound, inputs, bound.infer(*types), held, like.origins, like.train_only)


def fresh(edit: Editor, wanted: str) -> str:
    """`wanted`, or with a number behind it where there is such a value already."""
    name, count = wanted, 2
    while edit.node(name) is not None or name in edit.inputs:
        name, count = f"{wanted}_{count}", count + 1
    return name
