"""Compute only the places that are read: a stride moves from a 1x1 up to the convolution whose places it passes over.

    W x[s i]    x = f(V z), f element by element    =    W f(V z at stride s)

Strides multiply, and sizes agree: (floor(a / t) div s) = floor(a / (t s)). At a sum each operand is thinned: in the convolution
that writes it, or, where others read it too, by taking every s-th place. ResNet of 2015, which strides in the first 1x1 of a
stage (He et al., figure 5), computes the last block of each stage four times too often.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

from ...ir import Editor, Node
from ...ops.activation import Elementwise
from ...ops.arithmetic import Add
from ...ops.batch_norm import BatchNorm
from ...ops.conv import Conv
from ...ops.norm import Scale
from ...ops.pool import AvgPool, MaxPool
from ..forms import fresh, planned
from ..rewrite import Match, Miss, Rewrite
from ..worth import Price, price

_DEEPEST = 50


@dataclass(frozen=True)
class Pull(Match):
    """`node`, one of `readers`, which all take every `step`-th place of one value.

    `strided` take over the stride, `between` follow in order, `thinned` are the operands that others read: (sum, operand)
    """

    step: tuple[int, ...]
    readers: tuple[Node, ...]
    strided: list[Node] = field(default_factory=list)
    between: list[Node] = field(default_factory=list)
    thinned: list[tuple[Node, str]] = field(default_factory=list)


class PullStrides(Rewrite[Pull], name="pull_strides", root=(Conv, MaxPool, AvgPool)):
    """Move strides up to where the places that they pass over are computed."""

    exact_when = (
        "every reader of a value takes each s-th place of it (1x1, no padding, stride s), and what computes it is a convolution"
        " or pool behind which each place is treated by itself"
    )
    worth_when = "the cost model counts fewer multiplications or bytes"

    def match(self, edit: Editor, node: Node) -> Pull | Miss | None:
        step = _step(node)
        if step is None or edit.node(node.inputs[0]) is None:
            return None
        value = node.inputs[0]
        readers = [one for name in edit.users(value) if (one := edit.node(name)) is not None]
        if edit.is_output(value) or any(_step(one) != step for one in readers):
            return Miss(f"others read places of {value!r} that it passes over")
        pull = Pull(node, step, tuple(readers))
        if (held := self._walk(edit, value, pull, 0)) is not None:
            return Miss(held)
        verdict = self.worth.judge(*_prices(edit, pull))
        return pull if verdict.pays else Miss(verdict.reason)

    def _walk(self, edit: Editor, value: str, pull: Pull, depth: int) -> str | None:
        """Gather what computes a value, down to what can stride; in words, why it cannot."""
        node = edit.node(value)
        if node is None or depth > _DEEPEST:
            return f"{value!r} is not computed here"
        if isinstance(node.op, Conv | MaxPool | AvgPool):
            if not isinstance(node.op.padding, tuple) or (not isinstance(node.op, Conv) and node.op.ceil):
                return f"the places of {value!r} hang on the size"
            pull.strided.append(node)
            return None
        if isinstance(node.op, Elementwise | BatchNorm | Scale):
            held = self._below(edit, node, node.inputs[0], pull, depth)
        elif isinstance(node.op, Add) and all(edit.type_of(i) == node.type for i in node.inputs):
            held = self._sum(edit, node, pull, depth)
        else:
            return f"{node.op.name} {value!r} does not treat each place by itself"
        if held is None:
            pull.between.append(node)
        return held

    def _below(self, edit: Editor, node: Node, value: str, pull: Pull, depth: int) -> str | None:
        if len(edit.users(value)) > 1 or edit.is_output(value):
            return f"{value!r} is read at all its places too"
        return self._walk(edit, value, pull, depth + 1)

    def _sum(self, edit: Editor, node: Node, pull: Pull, depth: int) -> str | None:
        """Each operand strides by itself, or is thinned; one at least must stride, or nothing is saved."""
        before = len(pull.strided)
        for value in dict.fromkeys(node.inputs):
            marks = len(pull.strided), len(pull.between), len(pull.thinned)
            if self._below(edit, node, value, pull, depth) is not None:
                for gathered, mark in zip((pull.strided, pull.between, pull.thinned), marks, strict=True):
                    del gathered[mark:]  # type: ignore[attr-defined]
                pull.thinned.append((node, value))
        return None if len(pull.strided) > before else f"no operand of {node.name!r} can stride"

    def rewrite(self, edit: Editor, match: Pull) -> None:
        for node in match.strided:
            assert isinstance(node.op, Conv | MaxPool | AvgPool)
            strides = node.op.window().stride
            edit.set_op(
                node.name, replace(node.op, stride=tuple(a * b for a, b in zip(strides, match.step, strict=True)))
            )
        for node in match.between:
            thinned: dict[str, str] = {}
            for value in [operand for sum_, operand in match.thinned if sum_.name == node.name]:
                thin = planned(edit, fresh(edit, f"{value}/thinned"), _every(match.step), (value,), node)
                edit.insert(thin, {}, before=node.name)
                thinned[value] = thin.name
            current = edit.node(node.name)
            assert current is not None
            # What a sum reads stands before it in `between`: by now all of it has shrunk.
            edit.set_inputs(node.name, tuple(thinned.get(value, value) for value in current.inputs))
        for node in match.readers:
            if isinstance(node.op, Conv):
                edit.set_op(node.name, replace(node.op, stride=(1,) * len(match.step)))
            else:
                edit.add_origins(node.inputs[0], node.origins)
                edit.bypass(node.name)


def _every(step: tuple[int, ...]) -> MaxPool:
    return MaxPool(kernel=(1,) * len(step), stride=step, padding=0)


def _step(node: Node) -> tuple[int, ...] | None:
    """The stride of a window of one element without padding, where it passes over places."""
    if not isinstance(node.op, Conv | MaxPool | AvgPool):
        return None
    window = node.op.window()
    padding = node.op.padding
    if set(window.kernel) != {1} or set(window.stride) == {1} or not isinstance(padding, tuple) or any(padding):
        return None
    return None if not isinstance(node.op, Conv) and node.op.ceil else window.stride


def _prices(edit: Editor, pull: Pull) -> tuple[Price, Price]:
    """Of what computes the places, before and after; what is behind them computes what it did."""
    fewer = prod(pull.step)
    strided, between = price(edit, pull.strided), price(edit, pull.between)
    copies = sum(price(edit, (sum_,)).bytes // 3 for sum_, _ in pull.thinned)
    gone = sum(not isinstance(node.op, Conv) for node in pull.readers)
    after = Price(
        (strided.macs + between.macs) // fewer,
        # A convolution still reads its input; what it writes is a part of what it wrote.
        strided.bytes * (fewer + 1) // (2 * fewer) + between.bytes // fewer + copies * (fewer + 1) // fewer,
        strided.launches + between.launches + len(pull.thinned) - gone,
    )
    return strided.plus(between), after
