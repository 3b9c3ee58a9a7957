"""Which layers of the model each executed node stands for, after the runtime has fused, renamed and reordered.

    written nodes   w    the model's own (graph.py)
    executed nodes  e    of the optimised model that the runtime saved, in the order it runs them

    owner: w -> e   every written node that is not constant belongs to one executed node

1. By name: the runtime keeps a node's name, adds a suffix (`_token_7`, `/MatMulAddFusion`), names a node after the value it makes
   (`v_nchwc`), or after the activation it fused; a convolution named after an activation owns the way back to a convolution.
2. By value: an executed node that still makes a written value owns what computes it, back to values that others make.
3. What is left was fused: padding and transposition into the reader, all else into the latest executed of the nodes whose
   values it reads, as nothing can be computed before its inputs are.

Executed nodes that own nothing (layout changes, copies, casts) serve a neighbour: what reorders an input serves the reader, what
reorders an output serves the maker. One without such a neighbour stays unclaimed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .graph import ModelGraph

# Fused into the node that reads them; everything else goes with the node that it reads.
_BEFORE = frozenset({"Pad", "Transpose"})
# What a node that runs as the key was written as, besides the same.
_CORES = {
    "FusedConv": ("Conv",), "Gemm": ("MatMul",), "FusedGemm": ("Gemm", "MatMul"), "FusedMatMul": ("MatMul",),
    "TransposeMatMul": ("MatMul",),
}  # fmt: skip
_HEAVY = frozenset(
    {"Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool"}
)
_SERVES_MAKER = frozenset({"ReorderOutput", "MemcpyToHost"})
_LAYOUT = "_nchwc"
_TOKEN = re.compile(r"_token_\d+")
_SUFFIX = re.compile(r"(.+)[_/][^_/]*$")


@dataclass(frozen=True, slots=True)
class Executed:
    """A node of the optimised model; `name` is made unique (`#12`) where the runtime gave none: inlined functions have none."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Attribution:
    """Written nodes are named by index, executed ones by name.

    owned     executed node -> the written nodes it stands for; none for one that serves another
    serves    executed node that owns nothing -> the one it works for
    constant  written nodes that were computed when the model was loaded
    gone      written nodes that no rule could place
    """

    owned: Mapping[str, tuple[int, ...]]
    serves: Mapping[str, str] = field(default_factory=dict)
    constant: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()

    def home(self, name: str) -> str:
        """The executed node whose layers `name` is part of; the empty string for one that is unclaimed."""
        name = self.serves.get(name, name)
        return name if self.owned.get(name) else ""


def executed_nodes(proto: Any) -> tuple[Executed, ...]:
    """The nodes of the model that ONNX Runtime saved (`optimized_model_filepath`)."""
    taken: set[str] = set()
    found = []
    for k, node in enumerate(proto.graph.node):
        name = f"#{k}" if not node.name or node.name in taken else node.name
        taken.add(name)
        found.append(Executed(name, node.op_type, tuple(node.input), tuple(node.output)))
    return tuple(found)


def attribute(graph: ModelGraph, executed: Sequence[Executed]) -> Attribution:
    """See the module's docstring."""
    return _Attributor(graph, executed).run()


class _Attributor:
    def __init__(self, graph: ModelGraph, executed: Sequence[Executed]) -> None:
        self.graph = graph
        self.executed = executed
        self.rank = {node.name: i for i, node in enumerate(executed)}
        self.maker = {value: node.name for node in executed for value in node.outputs if value}
        self.names = {node.name: i for i, node in enumerate(graph.nodes)}
        self.owner: dict[int, str] = {}
        self.constant = tuple(
            i for i, node in enumerate(graph.nodes) if all(name in graph.constant for name in node.outputs if name)
        )

    def run(self) -> Attribution:
        self._by_name()
        self._by_value()
        gone = [i for i in range(len(self.graph.nodes)) if not self._place(i)]
        owned: dict[str, list[int]] = {node.name: [] for node in self.executed}
        for i in sorted(self.owner):
            owned[self.owner[i]].append(i)
        found = {name: tuple(nodes) for name, nodes in owned.items()}
        return Attribution(found, self._serves(found), self.constant, tuple(gone))

    def _by_name(self) -> None:
        for node in self.executed:
            i = self._named(node.name)
            if i is None or i in self.constant or i in self.owner or node.op in ("ReorderInput", "ReorderOutput"):
                continue
            for part in self._way_back(i, (node.op, *_CORES.get(node.op, ()))):
                self.owner.setdefault(part, node.name)

    def _way_back(self, i: int, cores: tuple[str, ...]) -> list[int]:
        """The written nodes behind the named one that run as `cores` with it."""
        if self.graph.nodes[i].op in cores:
            return [i]
        return self._to_core(i, cores) if set(cores) & _HEAVY else self._absorbed(i)

    def _to_core(self, i: int, cores: tuple[str, ...]) -> list[int]:
        """Back from an activation to the convolution it was fused into; the named one alone where the way forks."""
        way = [i]
        while True:
            above = [k for k in self._above(way[-1]) if k not in self.owner and k not in self.constant]
            if core := [k for k in above if self.graph.nodes[k].op in cores]:
                # The later of two is the one that adds: its other term was made by then.
                return [*way, core[-1]]
            if len(above) != 1 or self.graph.nodes[above[0]].op in _HEAVY:
                return [i]
            way.append(above[0])

    def _absorbed(self, i: int) -> list[int]:
        """All of a pattern that one fused node computes, back from its last: nodes that only the pattern itself reads."""
        found = [i]
        for last in found:
            for k in self._above(last):
                node = self.graph.nodes[k]
                readers = {r for value in node.outputs for r in self.graph.consumers.get(value, ())}
                free = k not in self.owner and k not in self.constant and k not in found
                if free and node.op not in _HEAVY and node.op != "BatchNormalization" and readers <= set(found):
                    found.append(k)
        return found

    def _above(self, i: int) -> list[int]:
        return [self.graph.producer[v] for v in self.graph.nodes[i].inputs if v in self.graph.producer]

    def _named(self, name: str) -> int | None:
        """The written node of that name, or the one that makes the value of that name: what runs as `v_nchwc` makes `v`."""
        tables = (self.graph.producer, self.names) if name.endswith(_LAYOUT) else (self.names, self.graph.producer)
        for candidate in _shortened(name):
            for table in tables:
                if candidate in table:
                    return table[candidate]
        return None

    def _by_value(self) -> None:
        """An executed node owns the cone behind each written value that it makes, up to values that others make."""
        for node in self.executed:
            if node.op in _SERVES_MAKER:
                continue
            stack = [self.graph.producer[value] for value in node.outputs if value in self.graph.producer]
            made = set(node.outputs)
            while stack:
                i = stack.pop()
                if self.owner.get(i, node.name) != node.name or i in self.constant:
                    continue
                self.owner[i] = node.name
                for value in self.graph.nodes[i].inputs:
                    if value in self.graph.producer and (value in made or value not in self.maker):
                        if self._hidden(i, value, node):
                            stack.append(self.graph.producer[value])

    def _hidden(self, i: int, value: str, node: Executed) -> bool:
        """True where only this executed node can have computed `value`: all who read it are its own."""
        above = self.graph.producer[value]
        readers = self.graph.consumers.get(value, ())
        return (
            above not in self.owner
            and all(self.owner.get(r) == node.name for r in readers)
            and value not in self.graph.outputs
        )

    def _place(self, i: int) -> bool:
        """Step 3 for one written node; nodes come in order, so what it reads has its place already."""
        if i in self.owner or i in self.constant:
            return True
        node = self.graph.nodes[i]
        sides = [self._makers(i), self._readers(i)]
        for side in reversed(sides) if node.op in _BEFORE else sides:
            if side:
                self.owner[i] = side
                return True
        return False

    def _makers(self, i: int) -> str:
        homes = [self.owner[r] for r in self._above(i) if r in self.owner]
        return max(homes, key=lambda name: self.rank[name], default="")

    def _readers(self, i: int) -> str:
        after = [r for value in self.graph.nodes[i].outputs for r in self.graph.consumers.get(value, ())]
        homes = [self.owner[r] for r in after if r in self.owner]
        return min(homes, key=lambda name: self.rank[name], default="")

    def _serves(self, owned: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
        readers: dict[str, list[str]] = {}
        for node in self.executed:
            for value in dict.fromkeys(node.inputs):
                readers.setdefault(value, []).append(node.name)
        found: dict[str, str] = {}
        for node in self.executed:
            if owned[node.name]:
                continue
            for home in _neighbours(node, self.maker, readers):
                home = found.get(home, home)
                if owned.get(home):
                    found[node.name] = home
                    break
        # A second look backwards: chains of helpers in front of a layer end at a helper that has its home by now.
        for node in reversed(self.executed):
            if owned[node.name] or node.name in found:
                continue
            homes = (found[name] for name in _neighbours(node, self.maker, readers) if name in found)
            if home := next(homes, ""):
                found[node.name] = home
        return found


def _neighbours(node: Executed, maker: Mapping[str, str], readers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    makers = [maker[value] for value in node.inputs if value in maker]
    after = [name for value in node.outputs for name in readers.get(value, ())]
    yield from (makers + after) if node.op in _SERVES_MAKER else (after + makers)


def _shortened(name: str) -> Iterator[str]:
    """The name, then without what the runtime appends, then with one word less at a time."""
    yield name
    name = _TOKEN.sub("", name)
    yield name
    while found := _SUFFIX.match(name):
        name = found.group(1)
        yield name
