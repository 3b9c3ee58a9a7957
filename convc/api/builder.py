"""`build`: spec and weights -> optimised, verified, deployable ONNX, all or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.artifacts import Sink, write_all
from ..compiler.errors import UsageError
from ..compiler.frontend.network import Network
from ..compiler.frontend.resolved import resolved_text
from .releases import Loads, versions

if TYPE_CHECKING:
    from ..compiler.compile import Compiled
    from ..compiler.ir import Model
    from ..compiler.lower.onnx_model import OnnxModel
    from ..compiler.tuning import Tuning
    from .verify import Verification
    from .weights import Numbers

MODEL = "model.onnx"
SPEC = "spec.resolved.yaml"
MANIFEST = "manifest.json"
Progress = Callable[[str], None]
TUNING = "tuning.json"
LEVELS = (0, 1, 2, 3)


@dataclass(frozen=True)
class BuildOptions:
    """Everything that changes what `build` writes, besides the spec's own parameters and sizes.

    weights  checkpoint file; None: parameters are filled from `seed`, and the model says so
    family   whose names the checkpoint has; None: detected
    opset, runtime   see releases.py
    level    0 no passes, 1 exact and always cheaper, 2 all exact that pays by the cost model, 3 as measured on this machine
    tuning   with level 3: a record of what was measured; None: it is measured now
    enable, disable  passes added to or taken from the level's
    target   "generic", or the runtime that the model is shaped for: "ort-cpu", "ort-cuda"
    cost_model  False: whatever is exact is done, whether it pays or not
    via      "direct" from our own graph, or "torch" through torch.onnx.export
    verify   prove every rewrite in float64, and compare the file in ONNX Runtime with the network in PyTorch
    """

    weights: str | Path | None = None
    family: str | None = None
    seed: int = 0
    opset: int | None = None
    runtime: str | None = None
    level: int = 2
    enable: Sequence[str] = ()
    disable: Sequence[str] = ()
    target: str = "generic"
    cost_model: bool = True
    tuning: str | Path | None = None
    via: str = "direct"
    verify: bool = True

    def __post_init__(self) -> None:
        if self.via not in ("direct", "torch"):
            raise UsageError(f"--via is {self.via!r}", hint="direct or torch")
        if self.level not in LEVELS:
            raise UsageError(f"-O is {self.level}", hint=f"one of {', '.join(map(str, LEVELS))}")
        if self.tuning is not None and self.level != 3:
            raise UsageError(f"a tuning record is for -O3, not -O{self.level}")
        versions(self.opset, self.runtime)


@dataclass(frozen=True)
class Build:
    """What a build made: the folder, the manifest, and what was seen on the way."""

    folder: Path
    network: Network
    compiled: Compiled
    numbers: Numbers
    manifest: Mapping[str, Any]
    verification: Verification
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The model file."""
        return self.folder / MODEL

    @property
    def report(self) -> str:
        """What was done, proven and written, for a person."""
        from .report import build_report

        return build_report(self)


@dataclass
class _Clock:
    """Seconds by stage; also tells the progress display which stage it is."""

    progress: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.perf_counter)
    _stage: str = ""

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._began
        self._began, self._stage = now, name
        if self.progress is not None and name:
            self.progress(name)


def build_network(
    network: Network,
    output: str | Path | None,
    options: BuildOptions,
    progress: Progress | None = None,
) -> Build:
    """Compile, prove, write. Raises ConvcError; on any error the folder is as it was before."""
    from ..compiler.compile import WITHOUT_PROOF, compile_model, emit, need_torch
    from .manifest import manifest_of, manifest_text
    from .verify import skipped, verify_file
    from .weights import load_model

    if options.verify:
        need_torch("the proof runs", WITHOUT_PROOF)

    folder = Path(output) if output is not None else Path("build") / network.graph.name
    loads = versions(options.opset, options.runtime)
    clock = _Clock(progress)
    clock.stage("weights")
    numbers = load_model(
        network, None if options.weights is None else Path(options.weights), options.family, options.seed
    )
    tuning = _tuning(numbers.model, options, clock)
    clock.stage("passes")
    compiled = compile_model(
        numbers.model,
        level=options.level,
        enable=options.enable,
        disable=options.disable,
        target=options.target,
        cost_model=options.cost_model,
        decisions=None if tuning is None else tuning.decisions,
    )
    proven = _proof(compiled, options)
    clock.stage("lowering")
    resolved = resolved_text(network, numbers.families)
    metadata = _metadata(network, numbers, resolved)
    onnx = emit(compiled.model, options.via, loads.opset, loads.ir_version, metadata, loads.lacking)
    made: dict[str, Any] = {}

    def manifest(sink: Sink) -> None:
        # The last file, and the commit point: what fails here leaves the folder as it was.
        clock.stage("proof")
        made["compiled"] = done = proven()
        clock.stage("verifying")
        path = sink.folder / MODEL
        seen = verify_file(path, network, done, progress) if options.verify else skipped("--no-verify")
        made["verification"] = seen
        clock.stage("writing")
        made["manifest"] = manifest_of(network, numbers, done, seen, loads, options, sink.written, resolved, tuning)
        sink.write(manifest_text(made["manifest"]))

    clock.stage("writing")
    write_all(folder, _files(onnx, resolved, tuning, manifest), keep=_inputs(network, options))
    clock.stage("")
    return Build(folder, network, made["compiled"], numbers, made["manifest"], made["verification"], clock.seconds)


def _proof(compiled: Compiled, options: BuildOptions) -> Callable[[], Compiled]:
    """The proof, begun beside the writing: it only reads the model. The call waits for it, and raises what it found."""
    from concurrent.futures import ThreadPoolExecutor

    from ..compiler.compile import prove

    if not options.verify:
        return lambda: compiled
    pool = ThreadPoolExecutor(1)
    future = pool.submit(prove, compiled, options.seed)
    pool.shutdown(wait=False)
    return future.result


def _files(
    onnx: OnnxModel, resolved: str, tuning: Tuning | None, manifest: Callable[[Sink], None]
) -> list[tuple[str, Callable[[Sink], object]]]:
    from ..compiler.lower.writer import model_files

    record = [] if tuning is None else [(TUNING, _bytes(tuning.text()))]
    return [
        *model_files(onnx),
        (SPEC, _bytes(resolved)),
        *record,
        (MANIFEST, manifest),
    ]


def _bytes(text: str) -> Callable[[Sink], object]:
    return lambda sink: sink.write(text.encode())


def _tuning(model: Model, options: BuildOptions, clock: _Clock) -> Tuning | None:
    """The record of a build with measurement: the one given, or a new one."""
    if options.level < 3:
        return None
    from ..compiler.passes import PASSES
    from ..compiler.tuning import read_tuning

    if options.tuning is not None:
        record = read_tuning(options.tuning, PASSES)
        record.require(model.graph, options.target)
        return record
    from .tune import tune

    clock.stage("measuring")
    return tune(model, options)


def _inputs(network: Network, options: BuildOptions) -> list[Path]:
    """Files that a build reads and must not replace."""
    given = [path for path in (options.weights, options.tuning) if path is not None]
    return [network.file.path, *map(Path, given)]


def _metadata(network: Network, numbers: Numbers, resolved: str) -> dict[str, str]:
    from .manifest import metadata_of

    return metadata_of(network, numbers, resolved)


__all__ = ["MANIFEST", "MODEL", "SPEC", "Build", "BuildOptions", "Loads", "build_network"]
