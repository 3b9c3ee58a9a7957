"""One rewrite as a value: what went out, what came in, and the values that cross its border.

before:  inputs -> nodes taken out -> outputs          both sides are small graphs of their own,
after:   inputs -> nodes put in    -> outputs          so a rewrite is proven without the network around it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .graph import Node
from .param import Param
from .types import TensorType


@dataclass(frozen=True)
class Region:
    """One rewrite: the nodes it took out, the nodes it put in, and the values that cross its border.

    `inputs` are read by either side and produced by neither; `outputs` pairs each value that is read outside with the value that
    stands for it afterwards (it may be one of `inputs`). `params_before` and `params_after` hold what each side's nodes name.
    Both sides are in a topological order. `any_size` says that the rewrite is exact whatever the spatial sizes.
    """

    rewrite: str
    site: str
    before: tuple[Node, ...]
    after: tuple[Node, ...]
    inputs: Mapping[str, TensorType]
    outputs: tuple[tuple[str, str], ...]
    params_before: Mapping[str, Param]
    params_after: Mapping[str, Param]
    any_size: bool = True


@dataclass(frozen=True)
class Touched:
    """A name as the rewrite found it: its node (None: there was none), who read it, and the parameters it held."""

    node: Node | None
    readers: tuple[str, ...] = ()
    output: bool = False
    params: Mapping[str, Param] = field(default_factory=dict)


@dataclass
class Recording:
    """A rewrite in progress.

    `moved` keeps readers as they were before a bypass gave them another input: they are outside the region unless the rewrite
    goes on to change them too, and then their side "before" must read what they read before.
    """

    rewrite: str
    site: str
    touched: dict[str, Touched] = field(default_factory=dict)
    moved: dict[str, Node] = field(default_factory=dict)
    redirects: list[tuple[str, str]] = field(default_factory=list)
    any_size: bool = True

    def resolve(self, name: str) -> str:
        """The value that stands for `name` after the redirects, in order."""
        for old, new in self.redirects:
            name = new if name == old else name
        return name

    def leaving(self) -> list[str]:
        """Values from before that are read outside the region: by a node that was not touched, or by the graph."""
        inside = {name for name, t in self.touched.items() if t.node is not None}
        return [name for name, t in self.touched.items() if name in inside and (t.output or set(t.readers) - inside)]


def border(before: Iterable[Node], after: Iterable[Node], outputs: Iterable[tuple[str, str]]) -> dict[str, None]:
    """Values that come from outside: read by a side that does not produce them, or handed straight through."""
    names: dict[str, None] = {}
    for side in (tuple(before), tuple(after)):
        inside = {node.name for node in side}
        names.update((name, None) for node in side for name in node.inputs if name not in inside)
    names.update((new, None) for _, new in outputs if new not in inside)
    return names


def in_order(nodes: Mapping[str, Node], position: Mapping[str, tuple[int, int]]) -> dict[str, Node]:
    """Depth first in the given order, so a graph that was in order stays exactly as it was. Iterative: graphs are deep.

    A circle is left as it is, for Model.check to name.
    """
    done: dict[str, Node] = {}
    open_: set[str] = set()
    for root in sorted(nodes, key=position.__getitem__):
        stack = [root]
        while stack:
            name = stack[-1]
            open_.add(name)
            waiting = [i for i in nodes[name].inputs if i in nodes and i not in done and i not in open_]
            if waiting and name not in done:
                stack += reversed(waiting)
                continue
            done.setdefault(name, nodes[name])
            open_.discard(stack.pop())
    return done
