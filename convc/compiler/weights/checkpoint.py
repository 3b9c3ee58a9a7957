"""What a checkpoint file holds: named tensors whose shapes are known before any number is read.

    Checkpoint = path + {name: Tensor} + notes          Tensor = shape + dtype + read()

`read` hands out a view of the mapped file where the format allows it, so that a file costs its pages once and no copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError

Array = NDArray[Any]
Contents = tuple[dict[str, "Tensor"], tuple[str, ...]]

# What a hostile file may cost before it is refused; real checkpoints stay far below.
MOST_TENSORS = 100_000
MOST_HEADER_BYTES = 16 << 20
LONGEST_NAME = 1_000


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file. `dtype` is numpy's or torch's name for what is stored; bfloat16 is read as float32.

    `read` raises WeightsError where the bytes are damaged or of a type that numpy does not know.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was opened: `notes` say what was taken out of it, and how."""

    path: Path
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """The hash of the file's bytes, in hexadecimal. WeightsError: it cannot be read any more."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WeightsError(f"cannot read {str(self.path)!r}: {error.strerror}") from None


def unreadable(path: Path, name: str, dtype: str) -> Callable[[], Array]:
    """A `read` for a type that numpy does not know: it raises only when the network needs the tensor."""

    def read() -> Array:
        raise WeightsError(
            f"{str(path)!r}: tensor {shown(name)} is stored as {dtype}, which convc does not read",
            hint="save the checkpoint in float32, float16, bfloat16 or float64",
        )

    return read


def from_bfloat16(bits: Array) -> Array:
    """float32 values of bfloat16 bits (uint16): bfloat16 is the upper half of a float32, so this is exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def shown(name: str) -> str:
    """A tensor's name for a message: as it is where it prints, quoted and cut where it does not."""
    return name if name.isprintable() and 0 < len(name) <= 200 else repr(name[:200])


def shape_text(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def check_names(path: Path, names: Mapping[str, object] | list[str]) -> None:
    """WeightsError: there are no tensors, more than any network has, or a name that is no name."""
    if not names:
        raise WeightsError(f"{str(path)!r} holds no tensors")
    if len(names) > MOST_TENSORS:
        raise WeightsError(f"{str(path)!r} claims {len(names)} tensors; the limit is {MOST_TENSORS}")
    for name in names:
        if len(name) > LONGEST_NAME:
            raise WeightsError(
                f"{str(path)!r}: a tensor's name has {len(name)} characters; the limit is {LONGEST_NAME}"
            )
