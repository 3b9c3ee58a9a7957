"""Run what was turned to channels-last for linear layers where the channels are second, and take the turning out.

    turn    = transpose (N, C, *S) -> (N, *S, C)          back = its inverse

    back(linear(turn(x)))      =  conv1x1(x)              the same weight, (out, C) read as (out, C, 1, ...)
    back(layer_norm(turn(x)))  =  layer_norm(x)           over the channels instead of the last axis
    back(f(turn(x)))           =  f(x)                    f element by element

ConvNeXt as published (Liu et al., 2022) is written so: a turn, a norm, two linear layers about a GELU, and back. ONNX Runtime's
blocked 1x1 convolutions on a CPU are faster than its matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...ir import Editor, Node, Op, TensorType
from ...ops.activation import Elementwise, Prelu
from ...ops.conv import Conv
from ...ops.linear import Linear
from ...ops.norm import LayerNorm
from ...ops.shape import Transpose
from ...ops.train import Identity
from ..forms import why_not_alone
from ..rewrite import Match, Miss, Rewrite


@dataclass(frozen=True)
class Turned(Match):
    """`node`, which turns back, the node that turned, and what stands between, in order."""

    turn: Node
    between: tuple[Node, ...]


class ChannelsFirst(Rewrite[Turned], name="channels_first", root=Transpose):
    """Linear layers between a turn to channels-last and back become 1x1 convolutions without the turns."""

    exact_when = (
        "between the turn and its inverse stand only linear layers, layer norms over the last axis and what maps each element"
        " by itself, each read by the next alone"
    )
    worth_when = "on a CPU with ONNX Runtime, where a linear layer stands between"

    def match(self, edit: Editor, node: Node) -> Turned | Miss | None:
        rank = node.type.rank
        if not 3 <= rank <= 5 or not _turns_back(node.op, rank):
            return None
        between: list[Node] = []
        reader, value = node.name, node.inputs[0]
        while (one := edit.node(value)) is not None and not _turns(one.op, rank):
            if not _follows(one.op):
                return Miss(f"{one.op.name} {value!r} stands between the turns: it cannot be run with channels second")
            if (shared := why_not_alone(edit, value, reader)) is not None:
                return Miss(shared)
            between.append(one)
            reader, value = one.name, one.inputs[0]
        if one is None:
            return Miss(f"nothing turned the input {value!r} to channels-last")
        return self._judged(edit, node, one, between[::-1])

    def _judged(self, edit: Editor, node: Node, turn: Node, between: list[Node]) -> Turned | Miss:
        if not between and edit.node(turn.inputs[0]) is None and edit.is_output(node.name):
            return Miss(f"an output would be the network's input {turn.inputs[0]!r} itself: a node must stand between")
        if self.worth.enabled and between and not any(isinstance(one.op, Linear) for one in between):
            return Miss("no linear layer stands between the turns: there is nothing for a 1x1 to be faster at")
        return Turned(node, turn, tuple(between))

    def rewrite(self, edit: Editor, match: Turned) -> None:
        edit.include(match.turn.name)
        value = match.turn.inputs[0]
        for node in match.between:
            op = _channels_second(node.op, edit.type_of(value))
            weight = edit.params_of(node).get("weight")
            # For a moment it takes a value of any type: its own operator would refuse the other order of axes.
            edit.set_op(node.name, Identity())
            edit.set_inputs(node.name, (value,))
            edit.set_op(node.name, op)
            if isinstance(op, Conv) and weight is not None:
                edit.set_params(node.name, weight=weight.reshape(*weight.shape, *op.window().kernel))
            value = node.name
        if match.between:
            edit.add_origins(value, (*match.turn.origins, *match.node.origins))
        edit.bypass(match.node.name, value)
        if not edit.users(match.turn.name) and not edit.is_output(match.turn.name):
            edit.drop(match.turn.name)


def _channels_second(op: Op, x: TensorType) -> Op:
    """The operator that does along axis 1 of `x` what `op` does along the last one."""
    if isinstance(op, Linear):
        return Conv(out=op.out, kernel=1, padding=0, bias=op.bias).bind(x)
    return replace(op, axis="channel") if isinstance(op, LayerNorm) else op


def _follows(op: Op) -> bool:
    """Whether it can be run with channels second. A PReLU has a slope for each of axis 1, which the turns make another."""
    if isinstance(op, Prelu):
        return op.shared
    return isinstance(op, Linear | Elementwise) or (isinstance(op, LayerNorm) and op.axis == "last")


def _turns(op: Op, rank: int) -> bool:
    """Whether it is (N, C, *S) -> (N, *S, C)."""
    return isinstance(op, Transpose) and tuple(op.perm) == (0, *range(2, rank), 1)


def _turns_back(op: Op, rank: int) -> bool:
    return isinstance(op, Transpose) and tuple(op.perm) == (0, rank - 1, *range(1, rank - 1))
