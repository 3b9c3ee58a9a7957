"""Nodes as linear maps: what each computes of its one input, by the algebra, and how a merged map becomes a node again.

    conv, batch_norm, scale, avg_pool, and the value itself

A chain of them is one map as long as nobody else reads what stands between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..algebra import Axis, LinearMap, Why, average, compose, identity, per_channel
from ..algebra.linear_map import from_conv
from ..ir import Editor, Node
from ..ops.batch_norm import BatchNorm
from ..ops.conv import Conv
from ..ops.norm import Scale
from ..ops.pool import AvgPool
from .forms import why_not_alone
from .statistics import scale_of, shift_of

LINEAR = (Conv, BatchNorm, Scale, AvgPool)

# A longer chain of linear nodes than this is no branch that was trained side by side.
_LONGEST = 6


@dataclass(frozen=True)
class Chain:
    """The map from `base` to the end of some nodes, first to last; none for the value itself."""

    base: str
    map: LinearMap
    nodes: tuple[Node, ...] = field(default=())

    def convs(self) -> list[Node]:
        return [node for node in self.nodes if isinstance(node.op, Conv)]


def linear_map(edit: Editor, node: Node) -> LinearMap | Why | None:
    """What a node computes of its input as a map; None for what is no linear operator at all."""
    op = node.op
    if not isinstance(op, LINEAR):
        return None
    x = edit.type_of(node.inputs[0])
    if x.rank < 3:
        return Why(f"{x} has no spatial axes")
    rank, held = x.rank - 2, edit.params_of(node)
    if isinstance(op, Conv):
        return from_conv(op, x.channels, held["weight"], held.get("bias"))
    if isinstance(op, Scale):
        return per_channel(held["weight"], None, rank)
    if isinstance(op, BatchNorm):
        scale = scale_of(held, op.eps)
        return per_channel(scale, shift_of(None, held, scale), rank)
    return _mean(op, x.channels, rank)


@dataclass(frozen=True)
class Ways:
    """Every way to see a value as a map of something earlier, the shortest first: of itself, of what feeds its node, ...

    `end` is the node at which the last way begins, though it is linear as well, and `why` says in words why no way goes on.
    """

    chains: tuple[Chain, ...] = ()
    end: Node | None = None
    why: str = ""


def ways(edit: Editor, value: str, reader: str, once: bool = True) -> Ways:
    """The ways to see `value`, an operand of `reader`, and whether it is one `once`.

    What a merge takes out must be read by nobody but the chain, and `reader` at its end.
    """
    type_ = edit.type_of(value)
    if type_.rank < 3:
        return Ways()
    found = [Chain(value, identity(type_.channels, type_.rank - 2))]
    last, above = value, reader
    for _ in range(_LONGEST):
        node = edit.node(last)
        if node is None or node.train_only or not isinstance(node.op, LINEAR):
            break
        so_far = found[-1]
        whole = _longer(edit, node, so_far, above, once or bool(so_far.nodes))
        if isinstance(whole, Why):
            return Ways(tuple(found), node, whole.reason)
        found.append(Chain(node.inputs[0], whole, (node, *so_far.nodes)))
        last, above = node.inputs[0], node.name
    return Ways(tuple(found))


def _longer(edit: Editor, node: Node, so_far: Chain, above: str, once: bool) -> LinearMap | Why:
    """The map of a chain with `node` before it."""
    if not once:
        return Why(f"{node.name!r} stands in the sum more than once")
    if (shared := why_not_alone(edit, node.name, above)) is not None:
        return Why(shared)
    one = linear_map(edit, node)
    if one is None or isinstance(one, Why):
        return Why(f"{node.name!r} is no linear map") if one is None else Why(f"{node.name!r}: {one.reason}")
    whole = compose(one, so_far.map) if so_far.nodes else one
    return (
        whole if isinstance(whole, LinearMap) else Why(f"{so_far.nodes[0].name!r} behind {node.name!r}: {whole.reason}")
    )


def become(edit: Editor, node: Node, base: str, one: LinearMap, others: Iterable[Node]) -> None:
    """Let a convolution compute a map of `base`, in place of itself and of others, which are gone from the graph."""
    edit.set_op(node.name, one.conv(), (base,))
    if one.bias is None:
        edit.drop_params(node.name, "bias")
        edit.set_params(node.name, weight=one.weight)
    else:
        edit.set_params(node.name, weight=one.weight, bias=one.bias)
    for other in others:
        edit.add_origins(node.name, other.origins)


def _mean(op: AvgPool, channels: int, rank: int) -> LinearMap | Why:
    if isinstance(op.padding, str):
        return Why(f"its padding {op.padding} depends on a dynamic size")
    assert isinstance(op.padding, tuple)
    if op.ceil:
        return Why("its last window may hang over the end, and is a mean of fewer")
    if any(op.padding) and not op.count_include_pad:
        return Why("windows at the border are means of fewer")
    window, pads = op.window(), op.padding
    rows = zip(window.kernel, window.stride, window.dilation, pads[:rank], pads[rank:], strict=True)
    return average(channels, [Axis(*row) for row in rows])
