"""Take a shift into a convolution that pads with zeros: what it adds is no longer one number a channel, but one a place.

    conv(s x + t) = conv'(x) + B      W' = W diag(s)      B[o, p] = sum of W[o, c, u] t[c] over taps u inside the input

In the middle B is W t, at the border some taps meet padding and add nothing. B hangs on the size, which must be fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...ir import Editor, Lazy, Node, Param
from ...ops.arithmetic import Add
from ...ops.conv import Conv
from ...ops.tensor import Parameter
from ..affine_nodes import AFFINE, Reading, forget, reading
from ..affine_takers import per_input
from ..forms import fresh, planned, why_not_alone
from ..rewrite import Match, Miss, Rewrite
from ..worth import Price, price

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Bordered(Match):
    """`node`, the convolution, what stands before it, and what takes the place of both: convolution, numbers, sum."""

    before: Node
    reading: Reading
    after: tuple[Node, Node, Node]
    params: tuple[dict[str, Param], dict[str, Param], dict[str, Param]]


class BorderBias(Rewrite[Bordered], name="border_bias", root=Conv):
    """Fold a batch norm, or another map with a shift, into the padded convolution behind it, and add a bias per place."""

    exact_when = "the convolution alone reads it, pads with a fixed number of zeros, and the size of its input is fixed"
    worth_when = "the cost model says so: the sum behind the convolution moves fewer bytes than the map before it"

    def match(self, edit: Editor, node: Node) -> Bordered | Miss | None:
        before = edit.node(node.inputs[0])
        found = None if before is None or not isinstance(before.op, AFFINE) else reading(edit, before)
        if before is None or found is None or not found.map.shifts() or before.train_only != node.train_only:
            return None
        op = node.op
        assert isinstance(op, Conv)
        if (shared := why_not_alone(edit, before.name, node.name)) is not None:
            return Miss(shared)
        if not isinstance(op.padding, tuple) or op.padding_mode != "zeros" or found.map.axis not in (1, None):
            return Miss(f"it pads with {op.padding_mode} by {op.padding}, or the map goes along a spatial axis")
        if not all(isinstance(size, int) for size in (*before.type.spatial, *node.type.spatial)):
            return Miss(f"the bias of each place of {node.type} hangs on its size, which is dynamic")
        return self._judged(edit, node, before, found)

    def _judged(self, edit: Editor, node: Node, before: Node, found: Reading) -> Bordered | Miss:
        op = node.op
        assert isinstance(op, Conv)
        wide = found.map.on(1, before.type.channels)
        assert wide is not None
        assert wide.shift is not None
        held = edit.params_of(node)
        name = fresh(edit, f"{node.name}/inner")
        conv = planned(edit, name, op, (found.value,), node, params={role: f"{name}.{role}" for role in held})
        shape = tuple(size for size in node.type.shape[1:] if isinstance(size, int))
        name = fresh(edit, f"{node.name}/border")
        bias = planned(edit, name, Parameter(shape=shape), (), node, params={"value": f"{name}.value"})
        given = {conv.name: conv.type, bias.name: bias.type}
        total = planned(edit, fresh(edit, f"{node.name}/bordered"), Add(), (conv.name, bias.name), node, given=given)
        after = (conv, bias, total)
        # Numbers that are held cost no launch.
        verdict = self.worth.judge(price(edit, (before, node)), price(edit, after).plus(Price(launches=-1)))
        if not verdict.pays:
            return Miss(f"{before.name!r} could go, for a bias at each place: {verdict.reason}")
        scaled = held["weight"] if wide.scale is None else per_input(op, held["weight"], wide.scale)
        value = _border(op, per_input(op, held["weight"], wide.shift), before.type.spatial, shape)
        return Bordered(node, before, found, after, ({**held, "weight": scaled}, {"value": value}, {}))

    def rewrite(self, edit: Editor, match: Bordered) -> None:
        node, before = match.node, match.before
        edit.fix_sizes()
        for name in match.reading.numbers:
            edit.include(name)
        for one, params in zip(match.after, match.params, strict=True):
            edit.insert(one, params, before=node.name)
        edit.bypass(node.name, match.after[-1].name)
        edit.add_origins(match.after[0].name, before.origins)
        edit.drop(before.name)
        forget(edit, match.after[0].name, match.reading.numbers)


def _border(op: Conv, columns: Param, sizes: Sequence[Any], shape: tuple[int, ...]) -> Param:
    """B, (out, *places), of W with its columns times t."""
    inside = [_inside(op, axis, size, shape[axis + 1]) for axis, size in enumerate(sizes)]

    def summed(weight: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        total: NDArray[Any] = np.asarray(weight, np.float64).sum(1)
        for rows in inside:
            # The first tap axis goes, its places come last: behind all axes they stand in order.
            total = np.tensordot(total, np.array(rows, np.float64), (1, 1))
        return total

    return Lazy(shape, summed, (columns,), "border")


def _inside(op: Conv, axis: int, size: int, places: int) -> list[list[bool]]:
    """Which taps of which place meet the input, and not its padding, along one axis."""
    window = op.window()
    assert isinstance(op.padding, tuple)
    first = [place * window.stride[axis] - op.padding[axis] for place in range(places)]
    taps = [tap * window.dilation[axis] for tap in range(window.kernel[axis])]
    return [[0 <= begin + tap < size for tap in taps] for begin in first]
