"""The sizes at which a network's regions are run: two for the first of a pattern, a smaller one for those that repeat it.

    structure   operators, wiring, and every shape: regions of one structure differ in names and numbers alone
    pattern     the structure without counts of channels and without the sizes of maps

What two sizes tell, a pad too many or a stride forgotten, is a matter of the pattern: the windows of a region, and what they
see of its border. Numbers differ from region to region, so each is run with its own. A network has hundreds of regions, tens of
structures, and a few patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from ..ir import Node, Op, Region, TensorType
from .sizes import Plan, brief, plans

Types = Mapping[str, TensorType]


class Plans:
    """Plans for the regions of a network. May be asked from several threads: at worst two of them find the same."""

    def __init__(self) -> None:
        self._seen: set[Hashable] = set()
        self._repeats: dict[Hashable, Plan] = {}

    def of(self, region: Region) -> Sequence[Plan]:
        """The sizes at which to run a region."""
        pattern = _told(region, _outline, _rough)
        if pattern not in self._seen:
            found = plans(region)
            if all(plan.small for plan in found):
                self._seen.add(pattern)
            return found
        structure = _told(region, lambda op, _: op, _shapes)
        known = self._repeats.get(structure)
        if known is None:
            known = brief(region)
            if known is None:
                return plans(region)
            self._repeats[structure] = known
        return [replace(known, inputs=dict(zip(region.inputs, known.inputs.values(), strict=True)))]


def _told(
    region: Region,
    of_op: Callable[[Op, Sequence[TensorType]], Hashable],
    of_inputs: Callable[[Sequence[TensorType]], Hashable],
) -> Hashable:
    """A region without its names: what `of_op` says of each operator and what it reads, and `of_inputs` of the border."""
    border = list(region.inputs.values())
    before = _side(region, region.before, [old for old, _ in region.outputs], of_op)
    after = _side(region, region.after, [new for _, new in region.outputs], of_op)
    return (tuple(type_.dtype for type_ in border), of_inputs(border), before, after, region.any_size)


def _side(
    region: Region,
    nodes: Sequence[Node],
    ends: Sequence[str],
    of_op: Callable[[Op, Sequence[TensorType]], Hashable],
) -> Hashable:
    types = dict(region.inputs)
    places = {name: place for place, name in enumerate(types)}
    told: list[Hashable] = []
    for node in nodes:
        read = [types[name] for name in node.inputs]
        told.append((type(node.op), of_op(node.op, read), tuple(places[i] for i in node.inputs), tuple(node.params)))
        types[node.name] = node.type
        places[node.name] = len(places)
    return (tuple(told), tuple(places[name] for name in ends))


def _shapes(border: Sequence[TensorType]) -> Hashable:
    return tuple(type_.shape for type_ in border)


def _rough(border: Sequence[TensorType]) -> Hashable:
    """Ranks; and sizes of maps where they differ, for their ratios tell."""
    maps = [type_.shape[2:] for type_ in border if type_.rank > 2]
    return (tuple(type_.rank for type_ in border), tuple(maps) if len(set(maps)) > 1 else ())


def _outline(op: Op, read: Sequence[TensorType]) -> Hashable:
    """An operator with "all of the channels" or "some" where it has a count of them."""
    channels = read[0].shape[1] if read and read[0].rank > 1 else 0
    return tuple(
        _count(getattr(op, name), channels) if field.kind == "size" else getattr(op, name)
        for name, field in op.fields().items()
    )


def _count(size: object, channels: object) -> object:
    if size == channels:
        return "all"
    return size if size in (None, 1) else "some"
