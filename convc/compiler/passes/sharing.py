"""Weights that several layers hold: what folding a map into one of them costs.

A fold scales the weight, and who folds nothing, or another map, keeps the weight as it was: that is a copy more, which is read
from memory where the shared one was at hand. N layers that fold k different maps hold k weights, where they held one:

    pays  where  seconds(the maps that go)  >  seconds((k - 1) |W| bytes)

Equal maps (a layer and its norm that recur with the same numbers) give equal weights, which stay one: k = 1, and no copy.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import Editor, Node, Param
from ..ops.norm import GroupNorm, InstanceNorm, LayerNorm
from .affine_nodes import reading
from .affine_takers import Convolution, takes_before, takes_behind
from .worth import Price, Worth, price

# Norms that end in a map, without which they stay.
ENDING = (LayerNorm, GroupNorm, InstanceNorm)

# Of a weight that more layers hold no more of them are asked.
_MOST = 64


def why_not_copied(
    edit: Editor, worth: Worth, node: Node, takers: Iterable[tuple[str, Param | None]], behind: bool
) -> str | None:
    """Why a map, `node`, should not be folded into the weights of `takers`, with the scale each takes; None where it pays.

    `behind` where the takers stand before the map, so that it is behind them.
    """
    scales = dict(takers)
    for name, scale in scales.items():
        taker = edit.node(name)
        if taker is None or scale is None or not isinstance(taker.op, Convolution):
            continue
        held = taker.params["weight"]
        holders = [one for holder in edit.holders(held)[:_MOST] if (one := edit.node(holder)) is not None]
        if len(holders) < 2:
            continue
        beside = [
            _beside(edit, one, behind) if (mine := scales.get(one.name)) is None else (node, mine) for one in holders
        ]
        folding = [one for one in beside if one is not None]
        kinds = len({id(factors) for _, factors in folding}) + (len(folding) < len(beside))
        maps = {one.name: one for one, _ in folding}
        copies = Price(bytes=(kinds - 1) * edit.params_of(taker)["weight"].numel * taker.type.dtype.bytes)
        verdict = worth.judge(_saved(edit, maps.values()), copies)
        if not verdict.pays:
            others = ", ".join(repr(one.name) for one in holders if one.name != name)
            return f"{name!r} shares its weight with {others}, and would get a copy: {verdict.reason}"
    return None


def _saved(edit: Editor, maps: Iterable[Node]) -> Price:
    """What maps cost that go; of norms, which stay, their vectors."""
    saved = Price()
    for node in maps:
        vectors = sum(held.numel for held in edit.params_of(node).values()) * node.type.dtype.bytes
        saved = saved.plus(Price(bytes=vectors) if isinstance(node.op, ENDING) else price(edit, [node]))
    return saved


def _beside(edit: Editor, layer: Node, behind: bool) -> tuple[Node, Param] | None:
    """The map right behind or before a layer, which would take it, and its scale; None where there is none."""
    values = edit.users(layer.name) if behind else layer.inputs[:1]
    one = edit.node(values[0]) if len(values) == 1 else None
    if one is None or edit.is_output(layer.name if behind else one.name):
        return None
    if not behind and len(edit.users(one.name)) > 1:
        return None
    found = reading(edit, one)
    if found is None or found.map.scale is None or (behind and found.value != layer.name):
        return None
    takes = takes_behind(edit, layer, found.map) if behind else takes_before(edit, layer, found.map)
    return (one, found.map.scale) if takes is True else None
