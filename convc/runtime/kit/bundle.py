"""Makes a kit out of a build folder: everything that another machine needs to verify and measure the model.

    KIT/model.onnx, its data    as they were built
    KIT/inputs.npz              seeded random inputs
    KIT/expected.npz            what ONNX Runtime gives for them here, on the CPU, unoptimised
    KIT/run.py                  runner.py and what it needs, see assemble.py
    KIT/kit.json                bounds, identity and sha256 of each file; written last

The bound of an output is the one that the build was proven with. A build without a proof has none to hand on: then it is
`UNPROVEN`, and the kit says so.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...compiler.artifacts import Sink, write_all
from ...compiler.errors import ModelError, UsageError, VerifyError
from ...version import __version__
from ..parity import compare
from ..profile.feeds import Shapes, random_feeds, shapes_for
from ..profile.graph import model_graph
from ..profile.placement import sums_of_sizes
from ..profile.plan import Case
from ..profile.profile import load
from ..profile.state import available_bytes
from ..session import Session
from ..signature import Value, shown
from .assemble import assembled
from .layers import skeleton

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL, MANIFEST = "model.onnx", "manifest.json"
RUNNER, INPUTS, EXPECTED, KIT = "run.py", "inputs.npz", "expected.npz", "kit.json"
SCHEMA_VERSION = 1
# In units of an output's spread.
UNPROVEN = 1e-4
_PIECE = 1 << 22
Arrays = Mapping[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Kit:
    """What was written."""

    folder: Path
    files: Mapping[str, str]
    bytes: int
    bounds: Mapping[str, float]
    inputs: Mapping[str, tuple[int, ...]]
    proven: bool

    def text(self) -> str:
        """For a person: where it is, and what to do with it."""
        fed = ", ".join(f"{name} {shown(shape)}" for name, shape in self.inputs.items())
        bounds = ", ".join(f"{name} {bound:.1e}" for name, bound in self.bounds.items())
        of = "as proven at the build" if self.proven else "the build was not verified: a bound of experience"
        return "\n".join([
            f"{self.folder}: {len(self.files)} files, {self.bytes / 1e6:.1f} MB",
            f"  inputs  {fed}",
            f"  bounds  {bounds} of the output's spread ({of})",
            f"  on the other machine: python {RUNNER}  (numpy and onnxruntime)",
            "  then here:            convc profile --from result.json",
        ])  # fmt: skip

    def data(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "folder": str(self.folder),
            "files": dict(self.files),
            "bytes": self.bytes,
            "bounds": dict(self.bounds),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "proven": self.proven,
        }


def bundle(
    folder: str | Path,
    kit: str | Path | None = None,
    *,
    batch: int | None = None,
    size: tuple[int, ...] = (),
    seed: int = 0,
) -> Kit:
    """Write a kit, all or nothing.

    batch, size   of the inputs, where the model leaves them open: 2 and 224
    Raises ModelError (no build folder, a file that is not the built one), VerifyError (the model does not give the same
    optimised and unoptimised here), UsageError, OutputError, ProviderError (onnxruntime is missing).
    """
    source = Path(folder)
    manifest = _manifest(source)
    _check_files(source, manifest)
    target = Path(kit) if kit is not None else source.with_name(f"{source.resolve().name}-kit")
    if target.exists() and source.resolve() == target.resolve():
        raise UsageError(f"{target}: is the build folder itself", hint="choose another folder with -o")
    if (target / MANIFEST).exists():
        raise UsageError(
            f"{target}: is a build folder, whose model would be replaced", hint="choose another folder with -o"
        )
    plain = Session(source / MODEL, "cpu", level="off", spinning=False)
    shapes = shapes_for(plain.inputs, batch or _batch(plain.inputs), size)
    feeds = random_feeds(plain.inputs, shapes, seed, available_bytes())
    expected = plain.run(feeds)
    bounds, proven = _bounds(manifest, list(expected))
    parity = compare(expected, Session(source / MODEL, "cpu", spinning=False).run(feeds), bounds)
    if not parity.ok:
        raise VerifyError(f"{source}: the optimised model differs here: {parity.complaint()}", hint="build it again")
    writers = _writers(source, manifest, feeds, expected, bounds, proven, shapes)
    files = write_all(target, writers)
    total = sum((target / name).stat().st_size for name in files)
    return Kit(target, files, total, bounds, shapes, proven)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "bundle takes the folder that `convc build` wrote"
        raise ModelError(f"{folder}: is no build folder: {path.name}: {error.strerror or error}", hint=hint) from error
    except ValueError as error:
        raise ModelError(f"{path}: is no JSON: {error}", hint="build it again") from error
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict) or MODEL not in found["files"]:
        raise ModelError(f"{path}: is no manifest of a build", hint="build it again")
    return found


def _check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    for name in _model_files(manifest):
        path = folder / name
        digest = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                while piece := stream.read(_PIECE):
                    digest.update(piece)
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror or error}", hint="build it again") from error
        if digest.hexdigest() != manifest["files"][name]:
            raise ModelError(f"{path}: is not the file that was built: its sha256 differs", hint="build it again")


def _model_files(manifest: Mapping[str, Any]) -> list[str]:
    """The data before the model that reads it, as a build writes them."""
    names = [name for name in manifest["files"] if name == MODEL or name.endswith(".onnx.data")]
    if bad := [name for name in names if Path(name).name != name]:
        raise ModelError(f"the manifest names a file outside its folder: {bad[0]!r}", hint="build it again")
    return sorted(names, key=lambda name: name == MODEL)


def _batch(inputs: tuple[Value, ...]) -> int:
    """Two images where the batch is open: the other machine should see that it may vary."""
    return 0 if any(one.shape and isinstance(one.shape[0], int) for one in inputs) else 2


def _bounds(manifest: Mapping[str, Any], outputs: list[str]) -> tuple[dict[str, float], bool]:
    """The largest bound that the build allowed each output, and whether there was one."""
    try:
        cases = manifest.get("verification", {}).get("cases", [])
        seen = {name: [float(case["outputs"][name]["bound"]) for case in cases] for name in outputs}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the manifest does not say how the build was verified: {error!r}", hint="build it again"
        ) from error
    found = {name: max(values, default=0.0) for name, values in seen.items()}
    proven = bool(cases) and all(found.values())
    return (found, True) if proven else (dict.fromkeys(outputs, UNPROVEN), False)


def _writers(
    source: Path,
    manifest: Mapping[str, Any],
    feeds: Arrays,
    expected: Arrays,
    bounds: Mapping[str, float],
    proven: bool,
    shapes: Shapes,
) -> list[tuple[str, Callable[[Sink], object]]]:
    loaded = load(Case(str(source / MODEL)), manifest.get("name", ""))
    graph = model_graph(loaded.proto, shapes) if loaded.proto is not None else None
    on_host = sorted(sums_of_sizes(graph)) if graph is not None else []

    def kit(sink: Sink) -> None:
        from ..profile.codec import encode

        told = {
            "schema_version": SCHEMA_VERSION,
            "kind": "convc.kit",
            "convc": __version__,
            "model": encode(loaded.identity),
            "bounds": dict(bounds),
            "proven": proven,
            "graph": skeleton(loaded.proto) if loaded.proto is not None else "",
            "on_host": on_host,
            "files": dict(sink.written),
        }
        sink.write((json.dumps(told, indent=1) + "\n").encode())

    models = [(name, _copier(source / name)) for name in _model_files(manifest)]
    runner = assembled().encode()
    return [
        *models,
        (INPUTS, lambda sink: sink.write(_npz(feeds))),
        (EXPECTED, lambda sink: sink.write(_npz(expected))),
        (RUNNER, lambda sink: sink.write(runner)),
        (KIT, kit),
    ]


def _copier(path: Path) -> Callable[[Sink], object]:
    def copy(sink: Sink) -> None:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                sink.write(piece)

    return copy


def _npz(arrays: Arrays) -> bytes:
    import numpy as np

    memory = io.BytesIO()
    save: Any = np.savez
    save(memory, **arrays)
    return memory.getvalue()
