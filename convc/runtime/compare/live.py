"""Two ONNX files run in turn on this machine, both loaded at once, with the same inputs where their inputs agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...compiler.errors import UsageError
from ..profile.feeds import random_feeds, shapes_for
from ..profile.graph import model_graph, read_model
from ..profile.placement import placed, require
from ..profile.runner import Runner
from ..profile.state import available_bytes, busy, state
from ..providers import Provider, resolve
from ..report import where
from ..session import Session
from ..signature import shown
from .interleave import Budget, interleave
from .report import Comparison, Side, noise_note
from .structure import of_model
from .verdict import Rule

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """A model file and what it is called."""

    label: str
    path: Path


@dataclass(frozen=True)
class Options:
    """Where and how: `provider` None takes the best that loads; batch 0 and size () are the models' own."""

    provider: str | None = None
    threads: int = 0
    batch: int = 0
    size: tuple[int, ...] = ()
    budget: Budget = field(default_factory=Budget)
    limit: float | None = None

    def rule(self) -> Rule:
        """A limit finer than the resolution asks for that resolution."""
        usual = Rule()
        return usual if self.limit is None else Rule(resolution=min(usual.resolution, self.limit))


def compare_models(a: Subject, b: Subject, options: Options, progress: Progress | None = None) -> Comparison:
    """Raises ModelError (a file), ProviderError (the device), UsageError (sizes that a model does not take)."""
    if options.budget.seconds <= 0:
        raise UsageError(f"--seconds is {options.budget.seconds:g}, expected more than 0")
    before = state()
    provider = resolve(options.provider)
    sides, runners = [], []
    for subject in (a, b):
        if progress is not None:
            progress(f"loading {subject.label}")
        side, runner = _loaded(subject, provider, options)
        sides.append(side)
        runners.append(runner)
    rule = options.rule()
    made = interleave(runners[0].run, runners[1].run, rule, options.budget, progress)
    notes = [*busy(before), *_unlike(sides), noise_note(made.verdict, options.limit)]
    threads = f", threads {options.threads}" if options.threads else ""
    return Comparison(
        sides[0],
        sides[1],
        made.verdict,
        made.pairs,
        live=True,
        where=where(provider) + threads,
        seconds=made.seconds,
        limit=options.limit,
        notes=tuple(note for note in notes if note),
    )


def _loaded(subject: Subject, provider: Provider, options: Options) -> tuple[Side, Runner]:
    # Threads that wait actively between runs would take the processor from the other model.
    session = Session(subject.path, provider, threads=options.threads, yielding=True)
    shapes = shapes_for(session.inputs, options.batch, options.size)
    require(provider, placed(session), model_graph(read_model(subject.path), shapes))
    feeds = random_feeds(session.inputs, shapes, options.budget.seed, available_bytes())
    side = Side(subject.label, subject.path.name, of_model(subject.path, shapes), shapes)
    return side, Runner(session, feeds)


def _unlike(sides: Sequence[Side]) -> list[str]:
    """Inputs of other sizes are fair to compare, but a reader must know."""
    given = [", ".join(shown(shape) for shape in side.inputs.values()) for side in sides]
    return [] if given[0] == given[1] else [f"A is fed {given[0]}, B {given[1]}"]
