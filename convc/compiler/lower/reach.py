"""What a set of outputs needs, and when each value has been read for the last time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..ir import Graph, Node


def reachable(graph: Graph, outputs: Iterable[str]) -> dict[str, Node]:
    """The nodes that the values called `outputs` need, in the graph's order."""
    needed: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        node = graph.producer(name)
        if node is not None and name not in needed:
            needed.add(name)
            waiting += node.inputs
    return {name: node for name, node in graph.nodes.items() if name in needed}


def last_reads(nodes: Sequence[Node], kept: Iterable[str]) -> list[tuple[str, ...]]:
    """Per node, the values that nobody reads after it; `kept` ones never count."""
    last: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for name in (*node.inputs, node.name):
            last[name] = position
    for name in kept:
        last.pop(name, None)
    free: list[list[str]] = [[] for _ in nodes]
    for name, position in last.items():
        free[position].append(name)
    return [tuple(names) for names in free]
