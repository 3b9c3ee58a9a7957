"""Rewrites that meet, as one: what stood at a place before all passes, and what stands there after.

A block of five branches is eleven rewrites: five batch norms go into their convolutions, six convolutions into one. What they
have in common is a node, so they are one place: compared at once, source against outcome, each of its values is computed once.

    before   nodes of the source that some rewrite of the place touched
    after    nodes of the outcome that some rewrite of the place made or touched
    border   values of the source that either side reads; what the outcome reads stands for one of them, or the place is left

A place where the two disagree says nothing about which rewrite is to blame: then its rewrites are proven one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from ..ir import Graph, Model, Node, Param, Region
from ..ir.region import border
from ..passes.manager import stands

# Rewrites and nodes of a place that is still compared at once: the sizes at which a region is run grow with it.
_MOST_REWRITES, _MOST_NODES = 32, 64


@dataclass(frozen=True)
class Place:
    """Rewrites that are proven by one comparison."""

    whole: Region
    rewrites: tuple[Region, ...]


def joined(before: Model, after: Model, regions: Sequence[Region], aliases: Mapping[str, str]) -> list[Place]:
    """The regions of `before` -> `after` by places, in order. `aliases` names the value of `before` that each of `after` is.

    A region that cannot be joined with those it meets is a place of its own.
    """
    now = stands(regions)
    places: list[Place] = []
    for group in _meeting(regions):
        whole = _whole(group, before, after, aliases, now) if 1 < len(group) <= _MOST_REWRITES else None
        places += [Place(whole, tuple(group))] if whole else [Place(region, (region,)) for region in group]
    return places


def _meeting(regions: Sequence[Region]) -> list[list[Region]]:
    """Regions that have a node in common, directly or through others, together."""
    group: dict[str, int] = {}
    members: dict[int, list[Region]] = {}
    names: dict[int, set[str]] = {}
    for i, region in enumerate(regions):
        members[i], names[i] = [region], {node.name for node in (*region.before, *region.after)}
        for other in sorted({group[name] for name in names[i] if name in group}, reverse=True):
            members[i] = members.pop(other) + members[i]
            names[i] |= names.pop(other)
        group.update(dict.fromkeys(names[i], i))
    return list(members.values())


def _whole(
    group: Sequence[Region], before: Model, after: Model, aliases: Mapping[str, str], now: Mapping[str, str]
) -> Region | None:
    """One region from the source to the outcome; None where the border cannot be named in the source."""
    inside = {node.name for region in group for node in (*region.before, *region.after)}
    old = [node for node in before.graph if node.name in inside]
    # What the outcome reads from outside goes by the name that the source has for it.
    known = {name: name for name in before.graph.inputs} | dict(aliases) | {name: name for name in inside}
    new = [node for node in after.graph if node.name in inside]
    left = [node.name for node in old if _read_outside(node.name, before.graph, inside)]
    ends = [now.get(name, name) for name in left]
    if len(old) > _MOST_NODES or any(name not in known for name in (*ends, *(i for node in new for i in node.inputs))):
        return None
    new = [replace(node, inputs=tuple(known[name] for name in node.inputs)) for node in new]
    outputs = [(name, known[end]) for name, end in zip(left, ends, strict=True)]
    edge = border(old, new, outputs)
    made = {node.name for node in new}
    if any(name in inside for name in edge) or any(end in inside and end not in made for _, end in outputs):
        return None
    return Region(
        ", ".join(dict.fromkeys(region.rewrite for region in group)),
        group[0].site,
        tuple(old),
        tuple(new),
        {name: before.graph.type_of(name) for name in edge},
        tuple(outputs),
        _held(old, before),
        _held(new, after),
        all(region.any_size for region in group),
    )


def _held(nodes: Sequence[Node], model: Model) -> dict[str, Param]:
    return {name: model.params[name] for node in nodes for name in node.params.values()}


def _read_outside(name: str, graph: Graph, inside: Set[str]) -> bool:
    return graph.is_output(name) or any(user not in inside for user in graph.users(name))
