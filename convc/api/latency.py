"""`profile`: a spec, a variant, a build folder or an ONNX file -> latency on this machine, as a record.

A spec is built first, unproven, into a folder that goes away: once per size that is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import zoo
from ..compiler.errors import ModelError, ProviderError, ThresholdError, UsageError
from ..runtime.profile.layers import SpecLayer
from ..runtime.profile.plan import Case, Plan
from ..runtime.providers import Tuning
from .builder import MODEL, SPEC, BuildOptions, build_network
from .net import Net, load, read_size

if TYPE_CHECKING:
    from ..compiler.errors import Origin
    from ..compiler.ir import Node
    from ..runtime.profile.record import Profile

Progress = Callable[[str], None]
Sizes = int | str | Sequence[int | str | Sequence[int]] | None


@dataclass(frozen=True)
class ProfileOptions:
    """The options of `convc profile`; a list is a sweep.

    provider    names, or None: the best that loads                  batch, threads   None, 0: the model's own, automatic
    size        224, "192x256", or a list of those                   duration_s       most time for the samples of a point
    layers      auto | profile | kernels | bracketed | none          io_binding       inputs and outputs bound once
    fallback    measure although nodes land on another provider      set              parameters of a spec
    """

    provider: str | Sequence[str] | None = None
    batch: int | Sequence[int] | None = None
    size: Sizes = None
    threads: int | Sequence[int] = 0
    duration_s: float = 3.0
    iterations: int = 0
    warmup_ms: float | None = None
    io_binding: bool = True
    layers: str = "auto"
    roofline: bool = True
    fallback: bool = False
    weights: str | Path | None = None
    family: str | None = None
    seed: int = 0
    set: Mapping[str, Any] = field(default_factory=dict)
    root: Path | None = None
    tuning: Tuning = field(default_factory=Tuning)


def profile(what: str | Path, options: ProfileOptions, progress: Progress | None = None) -> Profile:
    """Measure; see the module's docstring and `ProfileOptions`.

    Raises UsageError and ModelError (what was given), SpecError, ProviderError (a provider that does not load, dies, or leaves
    nodes elsewhere).
    """
    from ..runtime.profile.worker import measure

    tell = progress or (lambda stage: None)
    providers = tuple(_listed(options.provider, "")) or ("",)
    # Checked before anything is built: a wrong word or a missing library should not cost a build.
    plan = _plan(options, (Case(""),), "", providers)
    _must_load(providers)
    with ExitStack() as stack:
        name, cases = _cases(Path(what), str(what), options, stack, tell)
        return measure(_plan(options, cases, name, plan.providers), progress)


def require_latency(found: Profile, limit_ms: float | None) -> None:
    """Raises ThresholdError where a point's median is over the limit."""
    if limit_ms is None:
        return
    over = [point for point in found.points if point.latency.p50_ms > limit_ms]
    if over:
        worst = max(over, key=lambda point: point.latency.p50_ms)
        raise ThresholdError(
            f"{worst.label}: the median is {worst.latency.p50_ms:.3f} ms, over --max-latency-ms {limit_ms:g}"
            + (f" ({len(over)} of {len(found.points)} points are over it)" if len(found.points) > 1 else "")
        )


def spec_layers(net: Net) -> tuple[SpecLayer, ...]:
    """Every layer of a spec, with the line that wrote it and the line of the spec itself that led there."""
    return tuple(_layer(node) for node in net.network.graph)


def _layer(node: Node) -> SpecLayer:
    origin = node.origins[0] if node.origins else None
    return SpecLayer(node.name, node.op.name, origin.place if origin else "", _caller(origin), node.train_only)


def _caller(origin: Origin | None) -> str:
    """The innermost line of the spec's own file on the way to a layer that a block of another file wrote."""
    marks = [frame.mark for frame in origin.frames] if origin else []
    own = [mark for mark in marks if mark.source == marks[0].source]
    return f"{own[-1].source.label or own[-1].file}:{own[-1].line}" if own else ""


def _plan(options: ProfileOptions, cases: tuple[Case, ...], name: str, providers: tuple[str, ...]) -> Plan:
    return Plan(
        cases=cases,
        name=name,
        providers=providers,
        threads=tuple(_listed(options.threads, 0)),
        batches=tuple(_listed(options.batch, 0)) or (0,),
        duration_s=options.duration_s,
        iterations=options.iterations,
        warmup_ms=options.warmup_ms,
        io_binding=options.io_binding,
        layers=options.layers,
        roofline=options.roofline,
        fallback=options.fallback,
        seed=options.seed,
        tuning=options.tuning,
    )


def _must_load(providers: Sequence[str]) -> None:
    """Raises ProviderError for a provider that does not load: tried in a child, where its driver may crash."""
    from ..runtime.trial import ask

    for name in providers:
        if name in ("", "cpu"):
            continue
        answer = ask("provider", name)
        if not answer.get("loads"):
            raise ProviderError(
                f"provider {name} cannot be used: {answer.get('cause') or 'it gave no reason'}",
                hint=str(answer.get("mend") or "convc doctor says what loads here"),
            )


def _cases(
    path: Path, given: str, options: ProfileOptions, stack: ExitStack, tell: Progress
) -> tuple[str, tuple[Case, ...]]:
    sizes = _sizes(options.size)
    # A folder may happen to be called like a network that ships; one with a model in it is meant.
    if path.is_dir() and ((path / MODEL).is_file() or given not in zoo.variants()):
        _without_spec_options(options, given)
        return _folder(path, sizes)
    if path.suffix == ".onnx" or (path.is_file() and path.suffix not in (".yaml", ".yml")):
        _without_spec_options(options, given)
        return "", tuple(Case(str(path), size) for size in sizes)
    return _built(given, sizes, options, stack, tell)


def _folder(path: Path, sizes: Sequence[tuple[int, ...]]) -> tuple[str, tuple[Case, ...]]:
    """A build folder: its model, and every layer that its resolved spec names."""
    model, spec = path / MODEL, path / SPEC
    if not model.is_file():
        raise ModelError(f"{path}: holds no {MODEL}: not a build folder", hint="name the .onnx file in it")
    layers = spec_layers(load(spec)) if spec.is_file() else ()
    return "", tuple(Case(str(model), size, layers) for size in sizes)


def _built(
    spec: str, sizes: Sequence[tuple[int, ...]], options: ProfileOptions, stack: ExitStack, tell: Progress
) -> tuple[str, tuple[Case, ...]]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convc-")))
    chosen = BuildOptions(weights=options.weights, family=options.family, seed=options.seed, verify=False)
    cases, name = [], ""
    for size in sizes:
        net = load(spec, size=list(size) or None, root=options.root, **dict(options.set))
        label = "x".join(map(str, size))
        tell(f"building {net.name}{f' at {label}' if label else ''}")
        made = build_network(net.network, folder / (label or "model"), chosen)
        cases.append(Case(str(made.path), size, spec_layers(net)))
        name = net.name
    return name, tuple(cases)


def _without_spec_options(options: ProfileOptions, given: str) -> None:
    if options.set or options.weights or options.family:
        raise UsageError(
            f"--set, --weights and --family shape a spec; {given} is a model", hint="name the spec instead"
        )


def _sizes(given: Sizes) -> tuple[tuple[int, ...], ...]:
    """Each size of the sweep as numbers; one empty one where none is asked for. Raises UsageError."""
    if given is None:
        return ((),)
    entries: Iterable[Any] = (
        given.split(",") if isinstance(given, str) else [given] if isinstance(given, int) else given
    )
    found = []
    for entry in entries:
        size = read_size(entry.strip() if isinstance(entry, str) else entry)
        if size is None or isinstance(size, str):
            raise UsageError(f"--size is {entry!r}: a measurement needs numbers", hint="e.g. --size 192,224x320")
        found.append(tuple(int(number) for number in size))
    return tuple(dict.fromkeys(found))


def _listed(given: Any, nothing: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, (str, int)):
        return [given]
    return list(dict.fromkeys(nothing if one is None else one for one in given))


__all__ = ["ProfileOptions", "profile", "require_latency", "spec_layers"]
