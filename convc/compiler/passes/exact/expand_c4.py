"""Write the turned copies of C4 filters out: what runs is an ordinary convolution, or batch norm, with four times the channels.

    c4_conv        weight (out, ...) -> (4 out, channels, k, k), a permutation of its numbers per orientation
                   bias   (out,)     -> (4 out,), each number four times
    c4_batch_norm  each of its vectors (C,) -> (4 C,)

Exact everywhere: nothing is computed, numbers are copied. As they are, the copies are made anew at each run:

    c4 form    gather of |W| filter numbers into 4 |W|, written, then read by the convolution         expanded    4 |W| read

so that the expanded form is faster where bytes or launches count for anything, and four times as large in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...ir import Editor, Node, Param
from ...ops.c4_conv import TURNS, C4BatchNorm, C4Conv
from ...ops.conv import Conv
from ..forms import planned
from ..rewrite import Match, Miss, Rewrite
from ..worth import Price, price

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ExpandC4(Rewrite[Match], name="expand_c4", root=(C4Conv, C4BatchNorm)):
    """Turn c4_conv into conv, and c4_batch_norm into batch_norm."""

    exact_when = "always: the copies of a filter are permutations of its numbers"
    worth_when = (
        "the cost model says so: the copies, four times the numbers, are read at each run instead of gathered, written and read;"
        " behind it an ordinary batch norm folds"
    )

    def match(self, edit: Editor, node: Node) -> Match | Miss:
        op = node.op
        assert isinstance(op, C4Conv | C4BatchNorm)
        held = edit.params_of(node).values()
        plain = planned(edit, node.name, op.plain, node.inputs, node)
        after = price(edit, [plain])
        # Each parameter is gathered; a filter is flattened before and takes its shape behind.
        made = sum(param.numel for param in held) * (1 + TURNS) * node.type.dtype.bytes
        gathers = Price(0, made, len(held) + (2 if isinstance(op, C4Conv) else 0))
        verdict = self.worth.judge(after.plus(gathers), after)
        return Match(node) if verdict.pays else Miss(f"its copies could be written out: {verdict.reason}")

    def rewrite(self, edit: Editor, match: Match) -> None:
        node, op = match.node, match.node.op
        assert isinstance(op, C4Conv | C4BatchNorm)
        x = edit.type_of(node.inputs[0])
        held = {role: _repeated(param) for role, param in edit.params_of(node).items() if role != "weight"}
        weight = edit.params_of(node)["weight"]
        plain = op.plain.bind(x)
        if isinstance(op, C4Conv):
            assert isinstance(plain, Conv)
            held["weight"] = _turned(weight, op.copies(x.channels), plain.params(x)["weight"].shape)
        else:
            held["weight"] = _repeated(weight)
        edit.set_op(node.name, plain)
        edit.set_params(node.name, **held)


def _repeated(vector: Param) -> Param:
    """(C,) -> (4 C,)"""
    return vector.apply((TURNS * vector.numel,), _four_times, "each four times", TURNS)


def _four_times(values: NDArray[Any]) -> NDArray[Any]:
    return values.repeat(TURNS)


def _turned(weight: Param, copies: NDArray[Any], shape: tuple[int, ...]) -> Param:
    """The copies of every filter, filter by filter."""

    def turn(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(values.shape[0], -1)[:, copies].reshape(shape)

    return weight.apply(shape, turn, "in four orientations", copies.tobytes())
