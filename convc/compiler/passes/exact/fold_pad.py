"""Let convolutions and pools pad: an explicit pad before them becomes their own padding.

conv(pad(x, p), q)            =  conv(x, p + q)         zeros in both, or the pad's mode where the convolution pads nothing
avg_pool(pad(x, p))           =  avg_pool(x, p)         with the padding counted
max_pool(pad(relu(x), p))     =  max_pool(relu(x), p)   zeros never exceed what is not negative, as -inf never does
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import ShapeError
from ...ir import Editor, Node, Op
from ...ops import activation
from ...ops.border import Pad
from ...ops.conv import Conv
from ...ops.pool import AvgPool, MaxPool
from ..forms import why_not_alone
from ..rewrite import Match, Miss, Rewrite

_NOT_NEGATIVE = (activation.Relu, activation.Relu6, activation.Sigmoid, activation.Hardsigmoid, activation.Softplus)


@dataclass(frozen=True)
class Padded(Match):
    """`node`, which reads a pad, that pad, and the operator that pads by itself."""

    pad: Node
    op: Op


class FoldPad(Rewrite[Padded], name="fold_pad", root=(Conv, AvgPool, MaxPool)):
    """Take an explicit pad into the convolution or pool that alone reads it."""

    exact_when = (
        "the pad adds a fixed number of elements to spatial axes: zeros before a convolution that pads with zeros or an average"
        " that counts them, what a convolution that pads nothing can do itself, or what never wins a maximum"
    )
    worth_when = "always: a node and a copy less"

    def match(self, edit: Editor, node: Node) -> Padded | Miss | None:
        pad = edit.node(node.inputs[0])
        if pad is None or not isinstance(pad.op, Pad):
            return None
        if (shared := why_not_alone(edit, pad.name, node.name)) is not None:
            return Miss(shared)
        amounts = _amounts(pad.op, node.type.rank - 2)
        if amounts is None:
            return Miss(f"{pad.name!r} adds to other axes than the spatial ones, or a number that is not fixed")
        op = self._op(edit, node, pad, amounts)
        if isinstance(op, Miss):
            return op
        try:
            bound = op.bind(edit.type_of(pad.inputs[0]))
            fits = bound.infer(edit.type_of(pad.inputs[0])) == node.type
        except ShapeError as error:
            return Miss(f"it cannot pad so itself: {error.message}")
        return Padded(node, pad, bound) if fits else Miss("its output would have another size")

    def _op(self, edit: Editor, node: Node, pad: Node, amounts: tuple[int, ...]) -> Op | Miss:
        op, padding = node.op, pad.op
        assert isinstance(padding, Pad)
        assert isinstance(op, Conv | AvgPool | MaxPool)
        if not isinstance(op.padding, tuple):
            return Miss(f"its own padding {op.padding} hangs on the size")
        both = tuple(a + b for a, b in zip(amounts, op.padding, strict=True))
        zeros = padding.mode == "zeros" and padding.value == 0
        if isinstance(op, Conv):
            if zeros and (op.padding_mode == "zeros" or not any(op.padding)):
                return replace(op, padding=both, padding_mode="zeros")
            if padding.mode != "zeros" and not any(op.padding):
                return replace(op, padding=both, padding_mode=padding.mode)
            return Miss(f"it pads with {op.padding_mode}, {pad.name!r} with {padding.mode} {padding.value:g}")
        if any(op.padding) or op.ceil:
            return Miss("it pads already, or rounds its size up")
        if isinstance(op, AvgPool):
            return replace(op, padding=both, count_include_pad=True) if zeros else Miss("an average pads with zeros")
        source = edit.node(pad.inputs[0])
        low = padding.value == float("-inf") or (zeros and source is not None and isinstance(source.op, _NOT_NEGATIVE))
        return (
            replace(op, padding=both) if padding.mode == "zeros" and low else Miss("what is padded may win the maximum")
        )

    def rewrite(self, edit: Editor, match: Padded) -> None:
        source = edit.node(match.pad.inputs[0])
        if isinstance(match.op, MaxPool) and source is not None:
            edit.include(source.name)  # the proof must know that it is not negative
        edit.add_origins(match.node.name, match.pad.origins)
        edit.bypass(match.pad.name)
        edit.set_op(match.node.name, match.op)


def _amounts(op: Pad, rank: int) -> tuple[int, ...] | None:
    """Elements added per spatial axis (begins ..., ends ...); None where they are not fixed, or go to other axes."""
    assert op.axes is not None
    assert isinstance(op.padding, tuple)
    if any(axis < 2 for axis in op.axes) or not all(isinstance(amount, int) for amount in op.padding):
        return None
    count = len(op.axes)
    amounts = [0] * (2 * rank)
    for i, axis in enumerate(op.axes):
        for side, place in ((0, i), (rank, i + count)):
            amount = op.padding[place]
            assert isinstance(amount, int)
            amounts[side + axis - 2] = amount
    return tuple(amounts)
