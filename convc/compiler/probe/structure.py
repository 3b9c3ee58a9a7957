"""Regions of one structure: the sizes to run them at are found once.

Two regions have one structure where their operators, their wiring, the shapes of their parameters and the types on their
border are the same: they differ in names and in numbers alone. A network has few structures and hundreds of regions.

    numbers     every region is run with its own
    sizes       what a second size tells, a pad too many or a stride forgotten, is the structure's: one region of each is run at
                both sizes, the others at the first
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from ..ir import Node, Param, Region
from .sizes import Plan, plans


class Structures:
    """Plans by structure. May be asked from several threads: at worst both find the same."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Plan, ...]] = {}

    def plans(self, region: Region) -> tuple[Plan, ...]:
        """One or two sizes at which to run a region."""
        key = structure(region)
        if key in self._known:
            return (_named(self._known[key][0], region),)
        found = self._known[key] = tuple(plans(region))
        return found


def structure(region: Region) -> Hashable:
    """What regions that differ in names and numbers alone have in common."""
    places: dict[str, int] = {}
    inputs = tuple((_place(places, name), type_.shape, type_.dtype) for name, type_ in region.inputs.items())
    border = dict(places)
    before = _side(places, region.before, region.params_before)
    ends = [places[old] for old, _ in region.outputs]
    after = _side(border, region.after, region.params_after)
    return (inputs, before, after, tuple(ends), tuple(border[new] for _, new in region.outputs), region.any_size)


def _side(places: dict[str, int], nodes: Sequence[Node], params: Mapping[str, Param]) -> Hashable:
    told: list[Hashable] = []
    for node in nodes:
        held = tuple((role, params[name].shape) for role, name in node.params.items())
        told.append((type(node.op), node.op, tuple(places[name] for name in node.inputs), held))
        _place(places, node.name)
    return tuple(told)


def _place(places: dict[str, int], name: str) -> int:
    return places.setdefault(name, len(places))


def _named(plan: Plan, region: Region) -> Plan:
    """The plan of another region of the same structure."""
    return replace(plan, inputs=dict(zip(region.inputs, plan.inputs.values(), strict=True)))
