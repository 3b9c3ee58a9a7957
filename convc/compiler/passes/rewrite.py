"""What a rewrite is, and how it is swept over a model.

A rewrite has two halves: `match` says whether it may (a Match), or why not (a Miss: an answer, not an error); `rewrite` does it.
A sweep visits every node of the root type once, in order, and again where a neighbour has changed; it costs about n.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from ..errors import PassError
from ..ir import Editor, Model, Node, Op, Region
from .worth import GENERIC, Worth


@dataclass(frozen=True)
class Match:
    """A site where the rewrite applies; a rewrite that needs to remember nodes adds fields."""

    node: Node


@dataclass(frozen=True)
class Miss:
    """A site where it does not apply, and why, in words for `--explain`."""

    reason: str


@dataclass(frozen=True)
class Result:
    """The rewritten model, each rewrite as a region, and (site, reason) for each site that was refused, in graph order."""

    model: Model
    regions: tuple[Region, ...]
    misses: tuple[tuple[str, str], ...]

    @property
    def rewrites(self) -> int:
        return len(self.regions)


M = TypeVar("M", bound=Match)

# After a rewrite, readers of the values around it are asked again, for a match may depend on who else reads them. Where more
# than this many read one value, no match hangs on that, and asking them all each time would cost n^2.
_FEW = 8
# A rewrite makes each site go away; a chain of them at one node is short.
_MOST_PER_NODE = 10


class Rewrite(ABC, Generic[M]):
    """One rewrite. A subclass states its name and root, when it is exact, and when it is worth it.

    class FoldBatchNorm(Rewrite[Folding], name="fold_batchnorm", root=BatchNorm):
        exact_when = "..."
        worth_when = "..."
    """

    name: ClassVar[str]
    root: ClassVar[tuple[type[Op], ...]]
    exact_when: ClassVar[str]
    worth_when: ClassVar[str]
    # Asked by a pass that may lose; `judged_by` sets it.
    worth: Worth = GENERIC

    def __init_subclass__(cls, name: str = "", root: type[Op] | tuple[type[Op], ...] = Op, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if not name:
            return
        for said in ("exact_when", "worth_when"):
            if not getattr(cls, said, ""):
                raise TypeError(f"the pass {name!r} must say {said}")
        cls.name, cls.root = name, root if isinstance(root, tuple) else (root,)

    @abstractmethod
    def match(self, edit: Editor, node: Node) -> M | Miss | None:
        """Whether the rewrite applies at `node`, of a root type; None where there is nothing to say about it. Reads only."""

    @abstractmethod
    def rewrite(self, edit: Editor, match: M) -> None:
        """Do it. Everything written is one region."""

    def judged_by(self, worth: Worth) -> Self:
        """The same pass, deciding by another cost model."""
        one = copy(self)
        one.worth = worth
        return one

    def prepare(self, edit: Editor) -> None:  # most have nothing to prepare
        """What happens once, before the sweep."""

    def run(self, model: Model) -> Result:
        """Sweep the model until no site is left. Raises PassError, naming the pass and the node, where the rewrite fails."""
        edit = model.edit()
        self.prepare(edit)
        sweep = _Sweep(node.name for node in edit if isinstance(node.op, self.root))
        limit = _MOST_PER_NODE * (len(model.graph) + 1)
        for name in sweep:
            node = edit.node(name)
            if node is None or not isinstance(node.op, self.root):
                continue
            answer = self._asked(edit, node)
            if isinstance(answer, Miss):
                sweep.misses[name] = answer.reason
            elif answer is not None:
                self._apply(edit, name, answer)
                sweep.add(n for n in _neighbours(edit, edit.regions[-1]) if self._is_root(edit, n))
            if len(edit.regions) > limit:
                raise PassError(f"{self.name} does not come to an end: it rewrites {name!r} again and again")
        return Result(edit.commit(), tuple(edit.regions), sweep.refused(edit))

    def _is_root(self, edit: Editor, name: str) -> bool:
        node = edit.node(name)
        return node is not None and isinstance(node.op, self.root)

    def _asked(self, edit: Editor, node: Node) -> M | Miss | None:
        try:
            return self.match(edit, node)
        except Exception as error:
            raise self._failed(node.name, error) from error

    def _apply(self, edit: Editor, site: str, match: M) -> None:
        done = len(edit.regions)
        try:
            with edit.region(self.name, site):
                self.rewrite(edit, match)
        except Exception as error:
            raise self._failed(site, error) from error
        if len(edit.regions) == done:
            raise PassError(f"{self.name} matched at {site!r}, but changed nothing")

    def _failed(self, site: str, error: Exception) -> PassError:
        text = str(error) or type(error).__name__
        return PassError(f"{self.name} failed at {site!r}: {text if not isinstance(error, KeyError) else f'no {text}'}")


class _Sweep:
    """The names still to visit, each at most once at a time, and the refusals so far."""

    def __init__(self, names: Iterator[str]) -> None:
        self._order = {name: i for i, name in enumerate(names)}
        self._waiting = deque(self._order)
        self._queued = set(self._order)
        self.misses: dict[str, str] = {}

    def add(self, names: Iterator[str]) -> None:
        for name in names:
            self._order.setdefault(name, len(self._order))
            if name not in self._queued:
                self._queued.add(name)
                self._waiting.append(name)

    def __iter__(self) -> Iterator[str]:
        while self._waiting:
            name = self._waiting.popleft()
            self._queued.discard(name)
            self.misses.pop(name, None)
            yield name

    def refused(self, edit: Editor) -> tuple[tuple[str, str], ...]:
        left = (name for name in sorted(self.misses, key=self._order.__getitem__) if edit.node(name) is not None)
        return tuple((name, self.misses[name]) for name in left)


def _neighbours(edit: Editor, region: Region) -> Iterator[str]:
    """Nodes whose surroundings a rewrite has changed: those it put in, what feeds them, and who reads either."""
    yield from (node.name for node in region.after)
    for value in dict.fromkeys((*region.inputs, *(new for _, new in region.outputs))):
        if edit.node(value) is not None:
            yield value
        readers = edit.users(value)
        if len(readers) <= _FEW:
            yield from readers


Passes = Mapping[str, Rewrite[Any]]
