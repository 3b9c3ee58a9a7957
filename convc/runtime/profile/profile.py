"""`profile`: every point of a sweep measured in this process, into one record.

    for provider, for threads:  peak          once
        for case, for batch:    session -> placement -> first run -> warm-up -> samples -> throughput -> transfers -> layers

`worker.py` runs this in a child, so that a provider that dies takes no one with it.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...compiler.errors import ConvcError, ModelError, ProviderError, UsageError
from ...version import __version__
from ..faults import explain
from ..providers import DEFAULTS, Provider, resolve
from ..session import Session, check_source
from .feeds import check_memory, point_size, random_feeds, shapes_for
from .graph import ModelGraph, model_graph, read_model, with_names
from .layered import chosen, layered
from .measure import Budget, steady, throughput, transfers, warm
from .peaks import peak
from .placement import placed, require
from .plan import Case, Plan
from .record import LayerTable, ModelIdentity, Peak, Point, Profile, ProviderUse
from .runner import Runner
from .state import available_bytes, busy, drifted, state
from .stats import drift, latency

Tell = Callable[[str], None]
# p90 - p10 over p50 above which a median alone would mislead.
_WIDE = 0.2
_DRIFT = 0.05
# Share of the peak above which the peak was no peak: clocks differ by some percent from one second to the next.
_OVER = 1.1


@dataclass(frozen=True)
class Loaded:
    """A case's model: what sessions are made of, and the protobuf without external data (None without onnx)."""

    case: Case
    source: Path | bytes
    folder: Path
    proto: Any
    identity: ModelIdentity


def profile(plan: Plan, tell: Tell = lambda stage: None) -> Profile:
    """Measure the whole sweep. Raises ConvcError: see the docstrings of what it calls."""
    start = state()
    tell("loading")
    models = [load(case, plan.name) for case in plan.cases]
    points: list[Point] = []
    peaks: list[Peak] = []
    for name in plan.providers:
        sizes = len({case.size for case in plan.cases})
        many = sizes * len(plan.batches) > 1
        provider = resolve(name or None, many_shapes=many, tuning=plan.tuning)
        _check(plan, provider)
        for threads in plan.threads:
            best = _peak(plan, provider, threads, models, tell)
            peaks += [best] if best else []
            for model in models:
                for batch in plan.batches:
                    points.append(_Point(plan, model, provider, threads, batch, best, tell).measure())
    end = state()
    warnings = (*busy(start), *(f"{line}: not comparable throughout" for line in drifted(start, end)))
    return Profile(models[0].identity, start, end, tuple(points), tuple(peaks), warnings, plan.notes, __version__)


def _check(plan: Plan, provider: Provider) -> None:
    """What can be refused before anything is timed. Raises UsageError, ProviderError."""
    chosen(plan.layers, provider.name)
    if plan.tuning != DEFAULTS and not plan.on_gpu and provider.name == "cpu":
        raise UsageError(
            "--cudnn-search, --no-tf32, --nhwc, --cuda-graph and --gpu-memory are options of the GPU providers",
            hint=f"this runs on the CPU{f': {provider.why}' if provider.why else ', add --provider cuda'}",
        )


def load(case: Case, name: str = "") -> Loaded:
    """Read a model file. Raises ModelError."""
    path = Path(case.path)
    check_source(path, case.path)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    proto, source = _proto(path)
    said = {entry.key: entry.value for entry in proto.metadata_props} if proto is not None else {}
    opset = next((one.version for one in proto.opset_import if one.domain in ("", "ai.onnx")), None) if proto else None
    identity = ModelIdentity(
        name=name or said.get("convc.spec") or path.stem,
        file=path.name,
        sha256=digest,
        bytes=path.stat().st_size,
        spec=said.get("convc.spec", ""),
        spec_sha256=said.get("convc.spec_sha256", ""),
        weights=said.get("convc.weights", ""),
        opset=opset,
    )
    return Loaded(case, source, path.parent, proto, identity)


def _proto(path: Path) -> tuple[Any, Path | bytes]:
    """The protobuf, and what sessions are made of: the file, or the same with a name for every node."""
    try:
        proto = read_model(path)
    except ProviderError:
        return None, path
    except ModelError as error:
        raise _refused(path) or error from error
    if not with_names(proto):
        return proto, path
    try:
        return proto, proto.SerializeToString()
    except ValueError:
        # Over 2 GiB in one message; without names the layers are attributed by value alone.
        return proto, path


def _refused(path: Path) -> ConvcError | None:
    """What ONNX Runtime says of the file: one wording for `run` and `profile`."""
    try:
        Session(path, "cpu")
    except ConvcError as error:
        return error
    return None


def _peak(plan: Plan, provider: Provider, threads: int, models: list[Loaded], tell: Tell) -> Peak | None:
    if not plan.roofline or plan.layers == "none" or models[0].proto is None:
        return None
    tell(f"{provider.name}: measuring the machine's peak")
    return peak(provider, threads)


@dataclass(frozen=True)
class _Point:
    plan: Plan
    model: Loaded
    provider: Provider
    threads: int
    batch: int
    best: Peak | None
    tell: Tell

    def session(self, provider: Provider | None = None, trace: Path | str = "", saved: Path | str = "") -> Session:
        bytes_in = isinstance(self.model.source, bytes)
        return Session(
            self.model.source,
            provider or self.provider,
            threads=self.threads,
            folder=self.model.folder if bytes_in else None,
            trace=trace,
            optimised=saved,
            what=self.plan.name or self.model.case.path,
        )

    def measure(self) -> Point:
        plan = self.plan
        self.tell(f"{self.provider.name}: creating the session")
        start = time.perf_counter()
        session = self.session()
        session_ms = (time.perf_counter() - start) * 1e3
        shapes = shapes_for(session.inputs, self.batch, self.model.case.size)
        batch, size = point_size(session.inputs, shapes)
        graph = model_graph(self.model.proto, shapes) if self.model.proto is not None else None
        nodes = placed(session)
        if not plan.fallback:
            require(self.provider, nodes, graph)
        free = available_bytes()
        if graph is not None and self.provider.name == "cpu":
            check_memory(graph, free)
        feeds = random_feeds(session.inputs, shapes, plan.seed, free)
        with _running(session):
            self.tell(f"{self.provider.name} batch {batch}: first run and warm-up")
            runner = Runner(session, feeds, plan.io_binding)
            budget = Budget(plan.duration_s, plan.iterations, plan.warmup_ms)
            warmup = warm(runner, budget)
            self.tell(f"{self.provider.name} batch {batch}: measuring")
            samples, stopped = steady(runner.timed, budget)
            figures = latency(samples)
            rate = throughput(runner, batch, figures.p50_ms, plan.duration_s)
            moves = transfers(runner, figures.p50_ms)
            layers, notes = self._layers(runner, graph, feeds)
        point = Point(
            provider=self._use(session),
            batch=batch,
            size=size,
            threads=self.threads,
            inputs=shapes,
            session_ms=session_ms,
            first_run_ms=runner.first_run_ms,
            warmup=warmup,
            samples_ms=tuple(samples),
            latency=figures,
            stopped=stopped,
            io_binding=plan.io_binding,
            model_sha256=self.model.identity.sha256,
            throughput=rate,
            transfers=moves,
            layers=layers,
        )
        return replace(point, warnings=(*notes, *_warnings(point)))

    def _use(self, session: Session) -> ProviderUse:
        one = self.provider
        why = (f"chosen because {one.why}",) if one.why else ()
        return ProviderUse(one.name, one.engine, one.options, session.placement(), (*why, *one.notes))

    def _layers(
        self, runner: Runner, graph: ModelGraph | None, feeds: dict[str, Any]
    ) -> tuple[LayerTable | None, tuple[str, ...]]:
        if self.plan.layers == "none":
            return None, ()
        if graph is None:
            return None, ("no layers: onnx is not installed (pip install onnx)",)
        self.tell(f"{self.provider.name}: layers")
        with tempfile.TemporaryDirectory(prefix="convc-") as folder:
            return layered(
                self.plan.layers, runner, graph, self.model.proto, self.model.case.spec, self.best, Path(folder),
                min(self.plan.duration_s, 3.0), lambda provider, trace, saved: Runner(
                    self.session(provider, trace, saved), feeds, self.plan.io_binding
                ),
            )  # fmt: skip


@contextmanager
def _running(session: Session) -> Iterator[None]:
    """A failure while timing is told as one while running: the device's, or the model's."""
    try:
        yield
    except ConvcError:
        raise
    except MemoryError as error:
        raise ModelError(f"{session.what}: not enough memory to run it", hint="use a smaller batch or size") from error
    except Exception as error:
        # A bound run raises RuntimeError where a plain one raises ONNX Runtime's own classes.
        if type(error) is RuntimeError or type(error).__module__.startswith("onnxruntime"):
            raise explain(error, session.what, "run") from error
        raise


def _over_the_roof(table: LayerTable | None) -> float | None:
    """The largest share of the peak, where it is more than any machine has; layers that hardly take time are passed over."""
    rows = [row for row in table.rows if row.time_ms >= 0.01 * table.sum_ms] if table else []
    most = max((row.roofline_share for row in rows if row.roofline_share is not None), default=0.0)
    return most if most > _OVER else None


def _warnings(point: Point) -> Iterator[str]:
    figures = point.latency
    ordered = sorted(point.samples_ms)
    low = ordered[len(ordered) // 10]
    if (spread := (figures.p90_ms - low) / figures.p50_ms) > _WIDE:
        yield f"the samples spread widely: (p90 - p10) / p50 is {spread:.0%}"
    if (moved := drift(point.samples_ms)) > _DRIFT:
        yield f"latency drifted by {moved:.0%} between quarters of the measurement"
    if not point.warmup.stable:
        yield "runs were still getting faster when the warm-up ended"
    if over := _over_the_roof(point.layers):
        yield f"layers reach {over:.0%} of the measured peak: other work slowed the machine while it was taken; measure again"
    enqueue, compute = point.transfers.enqueue_ms, point.transfers.compute_ms
    if enqueue and compute and enqueue > 0.9 * compute:
        yield f"launch-bound: handing over the work takes {enqueue:.2f} of {compute:.2f} ms; try --cuda-graph"
