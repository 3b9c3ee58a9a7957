"""What a step knows while it is elaborated: where its names go, what it can read, and the way that led to it.

The limits of an elaboration stand here; each is stated in its message, and a real network stays far below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from ..errors import Frame, Mark, Origin, Problem, SpecError
from ..ir import Graph, Node, ParamType, TensorType
from .document import Map
from .labels import Labels
from .library import LIBRARY_PREFIX, File
from .scope import Scope
from .steps import Step
from .values import Env, Value

MAX_NODES = 50_000
MAX_STEPS = 120_000
MAX_CALLS = 64
MAX_NESTING = 256
MAX_ELEMENTS = 2**31 - 1
MAX_VALUE = 2**34
MAX_PROBLEMS = 20
MAX_REPORTS = 50
MAX_ROUNDS = 20_000

ROW, ROUND = "loop row", "round"
_NO_LABELS: Labels = MappingProxyType({})


class LimitError(SpecError):
    """The elaboration ends here: going on would take time or memory out of proportion."""


class Defaults(NamedTuple):
    """The `defaults:` of a file, with what their expressions may read."""

    calls: Mapping[str, Map]
    params: Mapping[str, object]
    file: File


class Context(NamedTuple):
    """`path` names nodes, `params_path` names their parameters; they differ only where weights are shared.

    `calls` are the frames of blocks, loops and branches; `nesting` also counts the combinators that leave no frame.
    """

    path: str
    params_path: str
    scope: Scope
    env: Env
    file: File
    defaults: tuple[Defaults, ...] = ()
    frames: tuple[Frame, ...] = ()
    labels: Labels = _NO_LABELS
    train_only: bool = False
    nesting: int = 0

    def at(self, label: str) -> Context:
        """The same, one name deeper; an empty label adds nothing."""
        if not label:
            return self
        return self._replace(path=join(self.path, label), params_path=join(self.params_path, label))

    def with_x(self, x: Value | None) -> Context:
        return self._replace(env=self.env.with_x(x))

    def within(self, scope: Scope, x: Value | None, more: Mapping[str, object] | None = None) -> Context:
        """The same where names go to another scope; `more` are names of loops."""
        params = {**self.env.params, **more} if more else self.env.params
        return self._replace(scope=scope, env=Env(params, x, scope))

    def called(self, text: str, mark: Mark) -> Context:
        """One call deeper; raises LimitError where calls never end."""
        if len(self.frames) >= MAX_CALLS:
            message = f"blocks, loops and branches are nested deeper than {MAX_CALLS} calls"
            raise LimitError(
                Problem(message, mark, "a block that calls itself needs a `when:` that ends it", self.frames)
            )
        return self._replace(frames=(*self.frames, Frame(text, mark)))

    def nested(self, step: Step) -> Context:
        """One combinator or block deeper."""
        if self.nesting >= MAX_NESTING:
            message = f"steps are nested deeper than {MAX_NESTING}"
            raise LimitError(Problem(message, step.mark, "write inner steps one after the other", self.frames))
        return self._replace(nesting=self.nesting + 1)

    def problem(self, message: str, mark: Mark, hint: str = "") -> SpecError:
        return SpecError(Problem(message, mark, hint, self.frames))

    def origin(self, path: str, step: Step) -> Origin:
        return Origin(path, step.at(), self.frames)


@dataclass
class Draft:
    """The graph as far as it is built, and what was wrong so far."""

    inputs: dict[str, TensorType] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    params: dict[str, ParamType] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    train_outputs: dict[str, str] = field(default_factory=dict)
    elements: int = 0
    steps: int = 0
    reports: int = 0
    problems: dict[object, Problem] = field(default_factory=dict)
    _copies: dict[str, int] = field(default_factory=dict)

    def count(self, mark: Mark) -> None:
        """One more step runs; raises LimitError where they never end."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            message = f"more than {MAX_STEPS:,} steps run, loops and blocks written out"
            raise LimitError(Problem(message, mark, "is a loop or a block's recursion longer than was meant?"))

    def report(self, error: SpecError, frames: tuple[Frame, ...]) -> None:
        """Keep the problems of one failed step; the same line in sixteen rounds of a loop is one problem.

        Raises LimitError where there are more than anybody reads.
        """
        for problem in error.problems:
            placed = _where_to_look(problem if problem.frames else replace(problem, frames=frames))
            way = tuple(str(f.mark) for f in placed.frames if not f.text.startswith((ROW, ROUND)))
            self.problems.setdefault((str(placed.mark), way), placed)
        self.reports += 1
        if len(self.problems) >= MAX_PROBLEMS or self.reports >= MAX_REPORTS:
            raise LimitError(self.problems.values())

    def unique(self, path: str) -> str:
        """The path, or the next free number: two parameters of one name are refused, two sums are not worth an error."""
        name = path
        while name in self.nodes or name in self.inputs:
            self._copies[path] = self._copies.get(path, 1) + 1
            name = f"{path}_{self._copies[path]}"
        return name

    def graph(self, name: str, outputs: Mapping[str, str]) -> Graph:
        return Graph(name, self.inputs, self.nodes, outputs, self.train_outputs)


def join(path: str, label: str) -> str:
    """`stage` and `0` give `stage.0`; an empty part adds nothing."""
    return f"{path}.{label}" if path and label else path or label


def brief(values: Mapping[str, object]) -> str:
    """`out=64, stride=1` for a frame; long values are cut."""
    text = ", ".join(f"{name}={_value(value)}" for name, value in values.items())
    return text if len(text) <= 90 else text[:87] + "..."


def _where_to_look(problem: Problem) -> Problem:
    """A mistake that shows inside the library is the caller's: point at the call, and list the way on into the library."""
    if problem.mark is None or not _is_library(problem.mark):
        return problem
    own = [place for place, frame in enumerate(problem.frames) if not _is_library(frame.mark)]
    if not own:
        return problem
    last = Frame("a step of the library", problem.mark)
    return replace(problem, mark=problem.frames[own[-1]].mark, frames=(*problem.frames, last))


def _is_library(mark: Mark) -> bool:
    return (mark.source.label or mark.file).startswith(LIBRARY_PREFIX)


def _value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        # A frame shows 90 characters: a long list need not be written out for each of 10,000 rounds.
        return "[" + ", ".join(_value(item) for item in value[:30]) + ("]" if len(value) <= 30 else ", ...")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = str(value)
    return text if len(text) <= 90 else text[:87] + "..."
