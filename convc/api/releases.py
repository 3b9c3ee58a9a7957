"""Which opset and IR version an ONNX Runtime release loads, for `--runtime ort==1.19`.

From ONNX Runtime's compatibility table (docs, "ONNX Runtime compatibility") and ONNX's own version table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..compiler.errors import UsageError

LEAST_OPSET = 17
MOST_OPSET = 22


class Loads(NamedTuple):
    """The newest a release reads, and the operators of that opset for which it has no kernel."""

    opset: int
    ir_version: int
    lacking: frozenset[str] = frozenset()


# Minor releases of 1.x.
RELEASES: Mapping[int, Loads] = {
    12: Loads(17, 8),
    13: Loads(17, 8),
    14: Loads(18, 8),
    15: Loads(19, 9),
    16: Loads(19, 9),
    17: Loads(20, 9),
    18: Loads(21, 10),
    19: Loads(21, 10),
    20: Loads(21, 10),
    21: Loads(22, 10),
    22: Loads(22, 10),
}
# Operators that came to the runtime long after they came to ONNX: the first minor release with a kernel.
KERNELS: Mapping[str, int] = {"DeformConv": 25}
# The IR version that came with each opset: no file needs a newer one than its opset's.
DEFAULT_OPSET = 20
DEFAULT_IR = 10


def versions(opset: int | None, runtime: str | None) -> Loads:
    """The opset and IR version to write. `runtime` lowers both to what that release loads; raises UsageError."""
    wanted = DEFAULT_OPSET if opset is None else opset
    if not LEAST_OPSET <= wanted <= MOST_OPSET:
        raise UsageError(f"--opset is {wanted}, expected {LEAST_OPSET} to {MOST_OPSET}")
    if runtime is None:
        return Loads(wanted, DEFAULT_IR)
    loads = _release(runtime)
    if opset is not None and opset > loads.opset:
        raise UsageError(f"{runtime} loads opset {loads.opset} at most, --opset asks for {opset}")
    return loads._replace(opset=min(wanted, loads.opset), ir_version=min(DEFAULT_IR, loads.ir_version))


def _release(runtime: str) -> Loads:
    name, _, version = runtime.replace("onnxruntime", "ort").partition("==")
    major, _, rest = version.strip().partition(".")
    minor = rest.split(".")[0]
    if name.strip() != "ort" or major != "1" or not minor.isdigit():
        raise UsageError(f"--runtime is {runtime!r}", hint="e.g. --runtime ort==1.19")
    if int(minor) < min(RELEASES):
        raise UsageError(f"{runtime} is older than what convc writes for", hint=f"ort==1.{min(RELEASES)} or newer")
    loads = RELEASES.get(int(minor), RELEASES[max(RELEASES)])
    return loads._replace(lacking=frozenset(op for op, first in KERNELS.items() if int(minor) < first))
