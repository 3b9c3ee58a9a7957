"""Golden files: what a library's own model gave for a known input with known weights (numpy only).

    normal(key) = RandomState(crc32(key)).standard_normal(shape)      input = RandomState(0).standard_normal(input_shape)

A tensor follows from its key and shape alone: a weight of two axes or more is  gain sqrt(2 / fan_in) normal ; of the vectors,
gains and variances stand about 1, the others about 0, a tenth wide; counters are 0. Of an expected output every value is kept.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "golden"
COUNTER = "num_batches_tracked"
Array = NDArray[Any]


@dataclass(frozen=True)
class Golden:
    """One golden file. `name` is the file's: the library, then the variant."""

    name: str
    data: dict[str, Any] = field(repr=False)

    @property
    def family(self) -> str:
        # timm keeps the names of an older release where a network's name says so.
        return "legacy" if self.variant.startswith("legacy_sere") else self.name.partition("_")[0]

    @property
    def variant(self) -> str:
        return self.name.partition("_")[2]

    @property
    def size(self) -> str:
        """As `--size` takes it."""
        return "x".join(str(n) for n in self.data["input_shape"][2:])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The checkpoint's tensors, in its order."""
        return {key: tuple(shape) for key, shape, *_ in self.data["keys"]}

    @property
    def bound(self) -> float:
        """Ten times what float32 costs in the library itself, in units of the output's spread, and a little."""
        output = self.data["output"]
        return float(10 * output["f32_f64_max_abs_diff"] / output["std"] + 1e-5)

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """One at a time: together they can be half a gigabyte."""
        for key, shape in self.shapes.items():
            yield key, _tensor(key, shape, self.data["gain"])

    def image(self) -> Array:
        normal: Array = np.random.RandomState(0).standard_normal(self.data["input_shape"])
        return normal.astype(np.float32)

    def distance(self, output: Array) -> float:
        """Largest difference from the expected output, in units of its spread."""
        expected = self.data["output"]
        assert list(output.shape) == expected["shape"]
        assert expected["step"] == 1
        return float(np.abs(output.astype(np.float64).ravel() - expected["values"]).max() / expected["std"])

    def save(self, path: Path) -> Path:
        """The checkpoint, in the format of the file's ending."""
        _WRITERS[path.suffix](path, self)
        return path


def golden(name: str) -> Golden:
    return Golden(name, json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def _tensor(key: str, shape: tuple[int, ...], gain: float) -> Array:
    last = key.rpartition(".")[2]
    if last == COUNTER:
        return np.zeros(shape, np.int64)
    normal = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if last == "weight" and len(shape) > 1:
        return np.asarray(normal * (gain * math.sqrt(2 / math.prod(shape[1:]))), np.float32)
    # 0.5 for what no rule names: a layer scale and the like.
    centre = {"weight": 1.0, "running_var": 1.0, "bias": 0.0, "running_mean": 0.0}.get(last, 0.5)
    return np.asarray(centre + 0.1 * (np.abs(normal) if last == "running_var" else normal), np.float32)


def _safetensors(path: Path, golden: Golden) -> None:
    """Eight bytes of length, a JSON header, then the values, tensor after tensor."""
    header: dict[str, dict[str, Any]] = {}
    at = 0
    for key, shape in golden.shapes.items():
        kind, width = ("I64", 8) if key.endswith(COUNTER) else ("F32", 4)
        end = at + width * math.prod(shape)
        header[key] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in golden.tensors():
            file.write(tensor.tobytes())


def _npz(path: Path, golden: Golden) -> None:
    np.savez(path, allow_pickle=False, **dict(golden.tensors()))


def _pth(path: Path, golden: Golden) -> None:
    import torch

    torch.save({key: torch.from_numpy(tensor) for key, tensor in golden.tensors()}, path)


_WRITERS = {".safetensors": _safetensors, ".npz": _npz, ".pth": _pth}
