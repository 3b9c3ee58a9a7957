"""Read .npz: a zip of .npy files. Headers are read first; an array's numbers only when the network wants them.

    entry "stem.weight.npy" = magic + header (shape, dtype, order) + numbers

Nothing is unpickled. A compressed archive may claim any size: an array is inflated only after its header agreed with
the entry's size, and only where its shape is that of a tensor of the network, so it cannot cost more than the network
itself.
"""

from __future__ import annotations

import warnings
from math import prod
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

from ..errors import WeightsError
from .checkpoint import Array, Contents, Tensor, check_names, shown, unreadable
from .zips import open_zip

_READABLE = "fiub"


def read_npz(path: Path) -> Contents:
    """The arrays of the archive, each read when asked for. WeightsError: damaged, or an array that is not numbers."""
    archive = open_zip(path)
    entries = {
        info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename.endswith(".npy")
    }
    check_names(path, entries)
    others = [info.filename for info in archive.infolist() if not info.filename.endswith(".npy")]
    notes = (f"left out what is no array: {', '.join(map(shown, others[:5]))}",) if others else ()
    return {name: _tensor(path, archive, name, info) for name, info in entries.items()}, notes


def _tensor(path: Path, archive: ZipFile, name: str, info: ZipInfo) -> Tensor:
    shape, dtype, length = _header(path, archive, name, info)
    if dtype.hasobject:
        raise WeightsError(
            f"{str(path)!r}: array {shown(name)} holds pickled Python objects, not numbers; convc never unpickles them",
            hint="save plain arrays: numpy.savez(file, **{name: array, ...})",
        )
    expected = length + prod(shape) * dtype.itemsize
    if info.file_size != expected:
        raise _damaged(path, name, f"its entry has {info.file_size} bytes, and its header promises {expected}")
    if dtype.kind not in _READABLE or dtype.itemsize > 8:
        return Tensor(shape, str(dtype), unreadable(path, name, str(dtype)))

    def read() -> Array:
        return _read(path, archive, name, info)

    return Tensor(shape, dtype.name, read)


def _header(
    path: Path, archive: ZipFile, name: str, info: ZipInfo
) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    # numpy's header parser and the inflater raise whatever the bytes lead them to.
    try:
        with archive.open(info) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = npy.read_magic(file)
            parse = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, _, dtype = parse(file)
            length = file.tell()
    except Exception as error:
        raise _damaged(path, name, _first_line(error)) from None
    if not all(0 <= size < 1 << 48 for size in shape):
        raise _damaged(path, name, "its shape is impossible")
    return tuple(int(size) for size in shape), dtype, length


def _read(path: Path, archive: ZipFile, name: str, info: ZipInfo) -> Array:
    try:
        with archive.open(info) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = npy.read_array(file, allow_pickle=False)
            # The checksum is compared at the end of the entry.
            file.read(1)
    except Exception as error:
        raise _damaged(path, name, _first_line(error)) from None
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    values.flags.writeable = False
    return values


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__


def _damaged(path: Path, name: str, why: str) -> WeightsError:
    return WeightsError(
        f"{str(path)!r} is a damaged .npz file: array {shown(name)}: {why}",
        hint="fetch or save it again",
    )
