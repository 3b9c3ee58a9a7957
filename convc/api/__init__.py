"""One public function for each verb; the command line calls these and prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .net import Net, as_params, load

if TYPE_CHECKING:
    from ..runtime.compare.report import Comparison
    from ..runtime.doctor import Doctor
    from ..runtime.kit.bundle import Kit
    from ..runtime.profile.record import Profile
    from ..runtime.report import RunReport, VerifyReport
    from .builder import Build
    from .latency import ProfileOptions

_HOME = {
    "BuildOptions": "builder",
    "build_network": "builder",
    "Build": "builder",
    "build_report": "report",
    "build_data": "report",
    "check_line": "tables",
    "network_data": "tables",
    "operator_text": "tables",
    "block_text": "tables",
    "listing": "tables",
    "names_table": "tables",
    "pass_text": "passes",
    "family_rows": "weights",
    "ProfileOptions": "latency",
    "require_latency": "latency",
    "new_spec": "new",
    "schema": "new",
    "read_limit": "side_by_side",
    "read_result": "side_by_side",
    "Tuning": "..runtime.providers",
    "profile_text": "..runtime.profile.text",
    "profile_trace": "..runtime.views.trace",
}


def __getattr__(name: str) -> Any:
    """What a verb needs is imported when it is asked for: `check` must answer before torch would have loaded."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(name)
    home = _HOME[name] if _HOME[name].startswith(".") else f".{_HOME[name]}"
    return getattr(import_module(home, __name__), name)


def build(spec: str | Path, output: str | Path | None = None, **options: Any) -> Build:
    """Compile a spec to ONNX; options as in BuildOptions, and `set`, `batch`, `size` as in `load`."""
    from .builder import BuildOptions, build_network

    params = dict(options.pop("set", {}))
    net = load(spec, batch=options.pop("batch", None), size=options.pop("size", None), **params)
    return build_network(net.network, output, BuildOptions(**options))


def check(spec: str | Path, **options: Any) -> Net:
    """Read, elaborate and infer shapes; raises SpecError with every independent problem."""
    return load(spec, **options)


def network_summary(net: Net) -> dict[str, Any]:
    """What `check --json` says of a good spec."""
    costs = net.costs()
    outputs = {name: str(net.network.graph.type_of(node)) for name, node in net.network.graph.outputs.items()}
    totals = {"nodes": len(costs.rows), "params": costs.params, "macs": costs.macs}
    return {"ok": True, "name": net.name, **totals, "outputs": outputs}


def notes(net: Net) -> list[str]:
    """What `-v` says of a spec: blocks that hide others of their name."""
    return [line for file in (net.network.file, *net.network.file.imports) for line in file.shadowed()]


def verify_model(
    net: Net,
    model: str | Path,
    weights: str | Path | None = None,
    family: str | None = None,
    seed: int = 0,
    provider: str | None = None,
) -> VerifyReport:
    """Compare an ONNX file with a network and its weights; the report names the first value that differs."""
    from ..compiler.compile import compile_model, need_torch
    from ..runtime.providers import resolve
    from .verify import compare_file
    from .weights import load_model

    need_torch("the network to compare with runs")
    numbers = load_model(net.network, None if weights is None else Path(weights), family, seed)
    compiled = compile_model(numbers.model)
    return compare_file(Path(model), net.network, compiled, resolve(provider, exact=True), shown=str(model))


def run(
    model: str | Path,
    source: str | Path,
    output: str | Path | None = None,
    *,
    provider: str | None = None,
    threads: int = 0,
) -> RunReport:
    """One inference on a file; see `convc run`."""
    from ..runtime.run import run as run_file

    return run_file(model, source, output, provider=provider, threads=threads)


def compare(a: str | Path, b: str | Path, **options: Any) -> Comparison:
    """B against A: structure, cost, and latency with a verdict; options as in side_by_side.compare."""
    from .side_by_side import compare as compare_two

    return compare_two(a, b, **options)


def bundle(
    folder: str | Path,
    kit: str | Path | None = None,
    *,
    batch: int | None = None,
    size: int | str | Sequence[int] | None = None,
    seed: int = 0,
) -> Kit:
    """A kit out of a build folder, for a machine without convc; see runtime/kit."""
    from ..compiler.errors import UsageError
    from ..runtime.kit.bundle import bundle as bundle_folder
    from .net import read_size

    spatial = read_size(size)
    if isinstance(spatial, str):
        raise UsageError("a kit holds inputs of one size", hint="e.g. --size 224")
    return bundle_folder(folder, kit, batch=batch, size=tuple(spatial or ()), seed=seed)


def profile(
    what: str | Path,
    *,
    provider: str | Sequence[str] | None = None,
    batch: int | Sequence[int] | None = None,
    size: Any = None,
    threads: int | Sequence[int] = 0,
    **options: Any,
) -> Profile:
    """Latency of a spec, an ONNX file or a build folder on this machine; a list is a sweep. See `ProfileOptions` for the rest."""
    from .latency import ProfileOptions

    return measure(what, ProfileOptions(provider, batch, size, threads, **options))


def measure(what: str | Path, options: ProfileOptions, progress: Callable[[str], None] | None = None) -> Profile:
    """`profile` with its options as one value, and a call for each stage."""
    from .latency import profile as measured

    return measured(what, options, progress)


def doctor() -> Doctor:
    """What this machine can run."""
    from ..runtime.doctor import examine

    return examine()


__all__: Sequence[str] = [
    "Net",
    "ProfileOptions",
    "as_params",
    "build",
    "bundle",
    "check",
    "compare",
    "doctor",
    "load",
    "measure",
    "notes",
    "profile",
    "run",
    "verify_model",
    *_HOME,
]
