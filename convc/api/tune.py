"""`--tune`: decide by measuring. Each pass that may lose is tried as the cost model has it, always, and never.

One pass after the other, in the order in which they run; what was decided for one holds while the next is tried. The forms of
a model are run in turns in ONNX Runtime, on the machine at hand; another form than the cost model's is taken where its time is
less by 2 % in the median over the rounds, and less in three rounds of four.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..compiler.compile import Compiled, compile_model
from ..compiler.ir import Model
from ..compiler.ir.text import to_text
from ..compiler.passes import PASSES, pays_always
from ..compiler.passes.worth import sizes
from ..compiler.tuning import DECISIONS, Decision, Tuning, graph_sha256

if TYPE_CHECKING:
    from .builder import BuildOptions

ROUNDS = 15
_LESS = 0.98
_OF_ROUNDS = 0.75

# Seconds of each form in each round.
Measure = Callable[[Sequence[Model]], Sequence[Sequence[float]]]


def tune(model: Model, options: BuildOptions, measure: Measure | None = None) -> Tuning:
    """Measure and decide. Raises ProviderError where ONNX Runtime, or the target's device, is not there."""
    measure = measure or _on_this_machine(options)
    decisions: dict[str, Decision] = {}
    measured: list[Mapping[str, Any]] = []
    ran = {record.name for record in _compiled(model, options, {}).records}
    for name in (name for name in PASSES if name in ran and not pays_always(name)):
        forms = _forms(model, options, decisions, name)
        if len(forms) < 2:
            continue
        seconds = dict(zip(forms, measure(list(forms.values())), strict=True))
        chosen = _chosen(seconds)
        measured.append({"pass": name, "decision": chosen, "ratios": _ratios(seconds)})
        if chosen != "model":
            decisions[name] = chosen
    return Tuning(graph_sha256(model.graph), options.target, decisions, _machine(), tuple(measured))


def _forms(model: Model, options: BuildOptions, decided: Mapping[str, Decision], name: str) -> dict[Decision, Model]:
    """The forms that the decisions about a pass lead to, each once."""
    forms: dict[Decision, Model] = {}
    seen: set[str] = set()
    for decision in DECISIONS:
        made = _compiled(model, options, {**decided, name: decision}).model
        if (text := to_text(made.graph)) not in seen:
            seen.add(text)
            forms[decision] = made
    return forms


def _compiled(model: Model, options: BuildOptions, decisions: Mapping[str, Decision]) -> Compiled:
    return compile_model(
        model,
        level=options.level,
        enable=options.enable,
        disable=options.disable,
        target=options.target,
        cost_model=options.cost_model,
        decisions=decisions,
    )


def _chosen(seconds: Mapping[Decision, Sequence[float]]) -> Decision:
    """The fastest form, if it is clearly faster than the cost model's."""
    base = seconds["model"]
    best: Decision = "model"
    least = _LESS
    for decision, times in seconds.items():
        ratios = [t / b for t, b in zip(times, base, strict=True)]
        if statistics.median(ratios) < least and sum(r < 1 for r in ratios) >= _OF_ROUNDS * len(ratios):
            best, least = decision, statistics.median(ratios)
    return best


def _ratios(seconds: Mapping[Decision, Sequence[float]]) -> dict[str, float]:
    base = seconds["model"]
    return {
        decision: round(statistics.median(t / b for t, b in zip(times, base, strict=True)), 4)
        for decision, times in seconds.items()
    }


def _on_this_machine(options: BuildOptions) -> Measure:
    """Runs models in ONNX Runtime, in turns; the opset is the build's."""
    from ..runtime.providers import resolve
    from .releases import versions

    provider = resolve("cuda" if options.target == "ort-cuda" else "cpu")
    loads = versions(options.opset, options.runtime)

    def measure(models: Sequence[Model]) -> list[list[float]]:
        from ..compiler.lower.to_onnx import to_onnx
        from ..compiler.lower.writer import serialize
        from ..runtime.session import Session

        sessions = [
            Session(serialize(to_onnx(one, opset=loads.opset, ir_version=loads.ir_version)), provider) for one in models
        ]
        feeds = _feeds(models[0])
        seconds: list[list[float]] = [[] for _ in sessions]
        for turn in range(-1, ROUNDS):
            for k in range(len(sessions)):
                i = (k + max(turn, 0)) % len(sessions)
                sessions[i].run(feeds)
                spent = _median_of_three(partial(sessions[i].run, feeds))
                if turn >= 0:  # the first turn warms up
                    seconds[i].append(spent)
        return seconds

    return measure


def _median_of_three(run: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _feeds(model: Model) -> dict[str, Any]:
    """Random images at the sizes that prices are counted at."""
    from .verify import random_feeds

    return dict(random_feeds(model.graph, sizes(model.graph.inputs)))


def _machine() -> dict[str, Any]:
    """What the figures hang on; no name of a host or user."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {"architecture": platform.machine(), "cores": os.cpu_count()}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
