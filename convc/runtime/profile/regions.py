"""The rows of a layer table before they are timed: which written nodes run together, what they cost, and what they read.

A region is all executed nodes whose leading layer is the same. Its bytes count what crosses its border, each value once: what it
reads from others, its parameters, and what others read of it; values inside a fused node never reach memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .attribute import Attribution
from .graph import GraphNode, ModelGraph


@dataclass(frozen=True)
class Region:
    """One row to be; `nodes` are written nodes by index, `executed` the names of the nodes that run for it."""

    layer: str
    lead: GraphNode
    nodes: tuple[int, ...]
    executed: tuple[str, ...]
    owners: tuple[str, ...]
    sources: tuple[str, ...]
    macs: int | None
    attention_macs: int | None
    bytes: int | None
    output: tuple[int, ...]
    reads: tuple[str, ...]


def regions(graph: ModelGraph, found: Attribution) -> tuple[Region, ...]:
    """In the order of the model."""
    members: dict[str, list[int]] = {}
    runs: dict[str, list[str]] = {}
    for name, owned in found.owned.items():
        home = found.home(name)
        if not home:
            continue
        layer = leader(graph, found.owned[home]).owners[0]
        members.setdefault(layer, []).extend(owned)
        runs.setdefault(layer, []).append(name)
    home_of = {k: layer for layer, nodes in members.items() for k in nodes}
    order = sorted(members, key=lambda layer: min(members[layer]))
    return tuple(_region(graph, layer, sorted(members[layer]), runs[layer], home_of) for layer in order)


def leader(graph: ModelGraph, nodes: Sequence[int]) -> GraphNode:
    """The one with the most multiply-accumulates, else the first."""
    return max((graph.nodes[k] for k in nodes), key=lambda node: (node.macs or 0) + (node.attention_macs or 0))


def _region(
    graph: ModelGraph, layer: str, nodes: Sequence[int], executed: Sequence[str], home_of: Mapping[int, str]
) -> Region:
    inside = set(nodes)
    lead = leader(graph, [k for k in nodes if graph.nodes[k].owners[0] == layer] or nodes)
    made = [v for k in nodes for v in graph.nodes[k].outputs if v]
    taken = list(
        dict.fromkeys(v for k in nodes for v in graph.nodes[k].inputs if v and graph.producer.get(v) not in inside)
    )
    given = [v for v in made if v in graph.outputs or any(r not in inside for r in graph.consumers.get(v, ()))]
    pairs = [pair for k in nodes for pair in _owners(graph.nodes[k])]
    reads = dict.fromkeys(home_of[graph.producer[v]] for v in taken if graph.producer.get(v) in home_of)
    return Region(
        layer=layer,
        lead=lead,
        nodes=tuple(nodes),
        executed=tuple(executed),
        owners=tuple(dict.fromkeys(owner for owner, _ in pairs)),
        sources=tuple(dict.fromkeys(source for _, source in pairs if source)),
        macs=_sum(graph.nodes[k].macs for k in nodes),
        attention_macs=_sum(graph.nodes[k].attention_macs for k in nodes),
        bytes=_sum(graph.sizes.get(v) for v in [*taken, *given]),
        output=graph.shapes.get(given[-1] if given else "", ()),
        reads=tuple(name for name in reads if name != layer),
    )


def _owners(node: GraphNode) -> Iterable[tuple[str, str]]:
    return ((owner, node.source) for owner in node.owners)


def _sum(values: Iterable[int | None]) -> int | None:
    """None where one of them is not known: half a sum is no sum."""
    known = list(values)
    return None if any(one is None for one in known) else sum(one for one in known if one is not None)
