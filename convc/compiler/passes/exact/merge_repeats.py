"""Read once what a convolution reads twice, and do not multiply zeros: its columns add, or go.

    conv(concat(x, z, x))         =  conv'(concat(x, z))        W' = [W_1 + W_3, W_2]
    conv(pad channels(x))         =  conv'(x)                   W' has the columns that meet channels of x

Exact whatever the convolution pads with: it treats the border of each channel alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...ir import Editor, Node, Param
from ...ops.border import Pad
from ...ops.conv import Conv
from ...ops.join import Concat
from ..forms import fresh, only_reader, planned
from ..rewrite import Match, Miss, Rewrite
from ..worth import price

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHANNELS = 1


@dataclass(frozen=True)
class Repeat(Match):
    """`node`, the convolution; what it reads; of that each value once, as a concat where there are several; its columns there."""

    source: Node
    value: str
    concat: Node | None
    columns: tuple[int, ...]


class MergeRepeats(Rewrite[Repeat], name="merge_repeats", root=Conv):
    """Let a convolution read each operand of a concat once, and no channels of zeros."""

    exact_when = (
        "it has no groups, and reads a concat of channels that holds one value twice, or zeros padded to channels"
    )
    worth_when = (
        "the cost model says so: fewer multiplications, but a concat more where the one there is read elsewhere too"
    )

    def match(self, edit: Editor, node: Node) -> Repeat | Miss | None:
        source = edit.node(node.inputs[0])
        if source is None or source.train_only != node.train_only or node.type.rank < 3:
            return None
        found = _channels(edit, source)
        if found is None:
            return None
        values, columns = found
        op = node.op
        assert isinstance(op, Conv)
        if op.groups != 1:
            return Miss(f"{source.name!r} repeats channels or adds zeros, but groups keep them apart")
        concat = None
        if len(values) > 1:
            concat = planned(edit, fresh(edit, f"{source.name}/once"), Concat(), values, source)
        value = values[0] if concat is None else concat.name
        given = {} if concat is None else {concat.name: concat.type}
        conv = planned(edit, node.name, op, (value,), node, given=given)
        before = price(edit, [node, *([source] if only_reader(edit, source.name) else [])])
        verdict = self.worth.judge(before, price(edit, [conv, *([concat] if concat is not None else [])]))
        if not verdict.pays:
            return Miss(f"each channel of {source.name!r} could be read once: {verdict.reason}")
        return Repeat(node, source, value, concat, columns)

    def rewrite(self, edit: Editor, match: Repeat) -> None:
        node, source = match.node, match.source
        edit.include(source.name)
        weight = edit.params_of(node)["weight"]
        if match.concat is not None:
            edit.insert(match.concat, {}, before=node.name)
        edit.set_inputs(node.name, (match.value,))
        edit.set_params(node.name, weight=_added(weight, match.columns))
        if not edit.users(source.name) and not edit.is_output(source.name):
            edit.add_origins(node.name, source.origins)
            edit.drop(source.name)


def _channels(edit: Editor, source: Node) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """The values that a concat or pad holds, each once, and the place of each of its channels among theirs (-1: a zero)."""
    if isinstance(source.op, Pad):
        return _padded(edit, source)
    if not isinstance(source.op, Concat) or source.op.axis != _CHANNELS or len({*source.inputs}) == len(source.inputs):
        return None
    values = tuple(dict.fromkeys(source.inputs))
    starts, count = dict[str, int](), 0
    for value in values:
        starts[value] = count
        count += edit.type_of(value).channels
    columns = [starts[value] + i for value in source.inputs for i in range(edit.type_of(value).channels)]
    return values, tuple(columns)


def _padded(edit: Editor, source: Node) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """Of a pad of channels alone, with zeros, by fixed numbers."""
    op = source.op
    assert isinstance(op, Pad)
    if op.axes != (_CHANNELS,) or op.mode != "zeros" or op.value != 0 or not isinstance(op.padding, tuple):
        return None
    begin, end = op.padding
    if not isinstance(begin, int) or not isinstance(end, int) or min(begin, end) < 0:
        return None
    places = range(edit.type_of(source.inputs[0]).channels)
    return source.inputs[:1], (*[-1] * begin, *places, *[-1] * end)


def _added(weight: Param, columns: tuple[int, ...]) -> Param:
    """The weight with each column added where `columns` says, or left out."""
    count = max(columns) + 1
    shape = (weight.shape[0], count, *weight.shape[2:])

    def add(values: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        result = np.zeros(shape)
        for column, at in enumerate(columns):
            if at >= 0:
                result[:, at] += values[:, column]
        return result

    return weight.apply(shape, add, "columns added", columns)
