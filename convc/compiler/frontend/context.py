"""What a step knows while it is elaborated: where its names go, what it can read, and the way that led to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..errors import Frame, Mark, Origin, Problem, SpecError
from ..ir import Graph, Node, ParamType, TensorType
from .document import Map
from .library import File
from .steps import Step
from .values import Env, Scope

# Limits of an elaboration. They are stated in the messages; a real network stays far below.
MAX_NODES = 50_000
MAX_DEPTH = 64
MAX_ELEMENTS = 2**31 - 1
MAX_VALUE = 2**34
MAX_PROBLEMS = 20
MAX_ROUNDS = 20_000


@dataclass(frozen=True)
class Defaults:
    """The `defaults:` of a file, with what their expressions may read."""

    calls: Mapping[str, Map]
    env: Env


@dataclass(frozen=True)
class Context:
    """`path` names nodes, `params_path` names their parameters; they differ only where weights are shared."""

    path: str
    params_path: str
    scope: Scope
    env: Env
    file: File
    defaults: tuple[Defaults, ...] = ()
    frames: tuple[Frame, ...] = ()
    labels: Mapping[tuple[int, str], str] = field(default_factory=dict)
    train_only: bool = False

    def at(self, label: str) -> Context:
        """The same, one name deeper; an empty label adds nothing."""
        return replace(self, path=join(self.path, label), params_path=join(self.params_path, label)) if label else self

    def called(self, text: str, mark: Mark) -> Context:
        if len(self.frames) >= MAX_DEPTH:
            message = f"blocks, loops and branches are nested deeper than {MAX_DEPTH}"
            hint = "a block that calls itself needs a `when:` that ends it"
            raise SpecError(Problem(message, mark, hint, self.frames[:4]))
        return replace(self, frames=(*self.frames, Frame(text, mark)))

    def problem(self, message: str, mark: Mark, hint: str = "") -> SpecError:
        return SpecError(Problem(message, mark, hint, self.frames))

    def origin(self, path: str, step: Step) -> Origin:
        return Origin(path, step_mark(step), self.frames)


@dataclass
class Draft:
    """The graph as far as it is built, and what was wrong so far."""

    inputs: dict[str, TensorType] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    params: dict[str, ParamType] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    train_outputs: dict[str, str] = field(default_factory=dict)
    elements: int = 0
    problems: dict[tuple[str, str], Problem] = field(default_factory=dict)

    def report(self, error: SpecError, frames: tuple[Frame, ...]) -> None:
        """Keep the problems of one failed step; the same line in sixteen rounds of a loop is one problem."""
        for problem in error.problems:
            placed = problem if problem.frames else replace(problem, frames=frames)
            self.problems.setdefault((str(placed.mark), placed.message.split(":")[0]), placed)
        if len(self.problems) >= MAX_PROBLEMS:
            raise SpecError(self.problems.values())

    def graph(self, name: str, outputs: Mapping[str, str]) -> Graph:
        return Graph(name, self.inputs, self.nodes, outputs, self.train_outputs)


def join(path: str, label: str) -> str:
    """`stage` and `0` give `stage.0`; an empty part adds nothing."""
    return f"{path}.{label}" if path and label else path or label


def step_mark(step: Step) -> Mark:
    """Where a step stands; `source:` (written by convc in spec.resolved.yaml) is honoured."""
    if step.source is None:
        return step.mark
    file, _, line = step.source.rpartition(":")
    if not line.isdigit():
        return step.mark
    source = replace(step.mark.source, name=file, lines=(), label=file)
    return Mark(source, int(line), 1)


def brief(values: Mapping[str, object]) -> str:
    """`out=64, stride=1` for a frame; long values are cut."""
    parts = [f"{name}={_value(value)}" for name, value in values.items()]
    text = ", ".join(parts)
    return text if len(text) <= 90 else text[:87] + "..."


def _value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
