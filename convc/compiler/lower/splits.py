"""Finds slices that together cut one value along one axis, each piece once: ONNX has one node for them, Split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..ir import Graph, Node
from ..ops.shape import Slice


@dataclass(frozen=True, slots=True)
class Split:
    """`parts` are the slice nodes by position along `axis` of `source`, `sizes` their extents there."""

    source: str
    axis: int
    parts: tuple[str, ...]
    sizes: tuple[int, ...]


def find_splits(graph: Graph, nodes: Mapping[str, Node]) -> dict[str, Split]:
    """Every slice of `nodes` that belongs to a split, with it."""
    families: dict[tuple[str, int], list[tuple[int, int, str]]] = {}
    for node in nodes.values():
        if (piece := _piece(graph, node)) is not None:
            axis, start, end = piece
            families.setdefault((node.inputs[0], axis), []).append((start, end, node.name))
    found: dict[str, Split] = {}
    for (source, axis), pieces in families.items():
        pieces.sort()
        ends = [end for _, end, _ in pieces]
        starts = [start for start, _, _ in pieces]
        if len(pieces) > 1 and starts == [0, *ends[:-1]] and ends[-1] == graph.type_of(source).shape[axis]:
            sizes = tuple(end - start for start, end in zip(starts, ends, strict=True))
            split = Split(source, axis, tuple(name for _, _, name in pieces), sizes)
            found |= dict.fromkeys(split.parts, split)
    return found


def _piece(graph: Graph, node: Node) -> tuple[int, int, int] | None:
    """Axis, start and end of a slice without gaps on an axis of known size; None for anything else."""
    if not isinstance(node.op, Slice) or node.op.step != 1:
        return None
    axis = node.op.axis
    size = graph.type_of(node.inputs[0]).shape[axis]
    start, end = node.op.start, size if node.op.end is None else node.op.end
    if not (isinstance(size, int) and isinstance(start, int) and isinstance(end, int)):
        return None
    return axis, start % size if start < 0 else start, end % size if end < 0 else end
