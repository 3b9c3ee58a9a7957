"""Arrays from and to files: `.npy`, `.npz` in; `.npz` out, all or nothing.

A header is believed only after its claim was compared with the bytes that are there: shape x item size = bytes left.
So a file of 100 bytes cannot ask for a terabyte, and a zip bomb is refused by its directory. Pickled objects are
never read.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from ..compiler.errors import ModelError, OutputError, UsageError
from .signature import Arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT_BYTES = 4 << 30


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file. Raises ModelError."""
    with _readable(path), path.open("rb") as stream:
        return _array(stream, path.stat().st_size, path.name)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` file by name. Raises ModelError."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > LIMIT_BYTES:
            raise ModelError(f"{path}: unpacks to {total} bytes; at most {LIMIT_BYTES} are read")
        found = {}
        for member in members:
            with archive.open(member) as stream:
                found[member.filename.removesuffix(".npy")] = _array(stream, member.file_size, member.filename)
        return found


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write the arrays beside `path`, then rename: the old file stays until the new one is whole.

    Raises UsageError (not a `.npz` name), OutputError (folder, permissions, full disk), ModelError (a name that would
    unpack outside a folder, an output that is not numeric).
    """
    if path.suffix != ".npz":
        raise UsageError(f"{path}: the output must be a .npz file")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is a pipe or a device", hint="an archive is written as a file")
    for name in arrays:
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            raise ModelError(f"output {name!r} cannot be the name of a file in an archive")
        if arrays[name].dtype.hasobject:
            raise ModelError(f"output {name!r} holds text or objects: only numbers are written")
    try:
        _replace(path, arrays)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _replace(path: Path, arrays: Arrays) -> None:
    import numpy as np

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            with zipfile.ZipFile(stream, "w") as archive:
                for name, array in arrays.items():
                    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, MemoryError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ModelError(f"{path}: cannot be read as arrays: {reason}") from error


def _array(stream: IO[bytes], size: int, name: str) -> NDArray[Any]:
    """One array in numpy's format, `size` bytes long with its header. Raises ModelError, ValueError, EOFError."""
    import numpy as np

    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ModelError(f"{name}: numpy format version {version[0]}.{version[1]} is not read")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ModelError(f"{name}: holds Python objects, which are never unpickled", hint="save a numeric array")
    claimed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if claimed != held:
        raise ModelError(f"{name}: claims {dtype} {list(shape)}, {claimed} bytes, and holds {held}: cut short?")
    if claimed == 0:
        return np.zeros(shape, dtype)
    flat = np.frombuffer(stream.read(claimed), dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
