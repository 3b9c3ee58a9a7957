"""Bring a value into ONNX Runtime's blocked layout once, where convolutions read it and are added to it.

    y = x + conv(x)       =       b = max_pool1x1(x),  y = b + conv(b)        the maximum of one element is that element

A sum of two blocked values is part of the convolution that wrote one of them. Where the other is in plain order, both are: what
the convolution wrote is put in plain order, added, and read in again by the next one, all along a chain of residual blocks.
A pool of one element is the cheapest operator that writes blocks. ConvNeXt (Liu et al., 2022) has a norm before its first stage.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from ...ir import Editor, Model, Node
from ...ops.arithmetic import Add
from ...ops.conv import Conv
from ...ops.pool import MaxPool
from ..blocks import BLOCK, in_blocks
from ..forms import fresh, only_reader, planned
from ..rewrite import Match, Miss, Result, Rewrite
from ..worth import Price, price


@dataclass(frozen=True)
class Entry(Match):
    """`node`, the sum, the plain value, who is to read it in blocks, and the pool."""

    plain: str
    readers: tuple[str, ...]
    pool: Node


class EnterBlocks(Rewrite[Entry], name="enter_blocks", root=Add):
    """Copy a plain value into blocks for the convolutions that read it and the sums that they end in."""

    exact_when = "always: the maximum of one element is that element"
    worth_when = "on a CPU, where the copy costs less than a sum in plain order, and the orders changed about it"

    # Sums that are in blocks. They are asked in order, so those that a sum reads are known before it.
    _sums: set[str]

    def run(self, model: Model) -> Result:
        """As every pass; what is known of this model's sums is held by this run alone."""
        return Rewrite.run(copy(self), model)

    def prepare(self, edit: Editor) -> None:
        self._sums = set()

    def match(self, edit: Editor, node: Node) -> Entry | Miss | None:
        if node.type.rank != 4 or any(edit.type_of(value) != node.type for value in node.inputs):
            return None
        plain = [value for value in node.inputs if not in_blocks(edit, value, self._sums)]
        other = [value for value in node.inputs if value not in plain]
        if not plain:
            self._sums.add(node.name)
        if len(plain) != 1 or len(other) != 1 or not _is_fused(edit, other[0]):
            return None
        readers = tuple(one for one in edit.users(plain[0]) if _takes_blocks(edit, one))
        if len(readers) < 2:
            return Miss(f"no convolution reads {plain[0]!r} as well: it would be put in blocks for this sum alone")
        if not isinstance(node.type.channels, int) or node.type.channels % BLOCK:
            return Miss(f"{node.type.channels} channels are no whole blocks of {BLOCK}")
        pool = planned(
            edit, fresh(edit, f"{plain[0]}/blocks"), MaxPool(kernel=1, stride=1, padding=0), (plain[0],), node
        )
        total = price(edit, (node,))
        verdict = self.worth.judge(total.plus(Price(0, total.bytes, 1)), price(edit, (pool,)))
        return Entry(node, plain[0], readers, pool) if verdict.pays else Miss(verdict.reason)

    def rewrite(self, edit: Editor, match: Entry) -> None:
        edit.insert(match.pool, {}, before=match.readers[0])
        for name in match.readers:
            reader = edit.node(name)
            assert reader is not None, "it read the value a moment ago"
            inputs = (match.pool.name if value == match.plain else value for value in reader.inputs)
            edit.set_inputs(name, tuple(inputs))
        self._sums.add(match.node.name)


def _is_fused(edit: Editor, value: str) -> bool:
    """Whether a convolution writes it for the sum alone: then the sum is part of it."""
    node = edit.node(value)
    return node is not None and isinstance(node.op, Conv) and only_reader(edit, value)


def _takes_blocks(edit: Editor, name: str) -> bool:
    node = edit.node(name)
    return node is not None and isinstance(node.op, Add | Conv) and node.type.rank == 4
