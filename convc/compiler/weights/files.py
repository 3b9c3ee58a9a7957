"""Open a checkpoint: what it is, is read from its bytes; its name only earns a remark.

begins with                            is
8 bytes of length, `{`                 .safetensors
PK 03 04, entries `*.npy`              .npz
PK 03 04, an entry `*/data.pkl`        .pth, mapped
80                                     .pth of before torch 1.6, read
anything else                          refused, with what it is where that is known
"""

from __future__ import annotations

import stat
from pathlib import Path

from ..errors import WeightsError
from .checkpoint import Checkpoint, Contents, shown
from .read_npz import read_npz
from .read_safetensors import looks_like_safetensors, read_safetensors
from .read_torch import check_torch_zip, read_torch
from .zips import open_zip

_FORMATS = "convc reads .safetensors, .npz, .pth and .pt"
_SUFFIXES = {".safetensors": "safetensors", ".npz": "npz", ".pth": "torch", ".pt": "torch"}
_SAVE_AGAIN = "save the weights with safetensors, numpy.savez or torch.save(module.state_dict(), file)"

# What people really pass instead of weights: the first bytes, what it is, what to do.
_STRANGERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights", "run `git lfs pull` where the file came from"),
    (b"<!doctype html", "a web page, not weights", "the download failed: fetch the file itself, not its page"),
    (b"<html", "a web page, not weights", "the download failed: fetch the file itself, not its page"),
    (b"<?xml", "an XML answer, not weights", "the download failed: read the file, it says why"),
    (b"\x93numpy", "one .npy array without a name", "give the tensors names: numpy.savez(file, **{name: array, ...})"),
    (b"\x89hdf", "an HDF5 file (Keras)", _SAVE_AGAIN),
    (b"gguf", "a GGUF file", _SAVE_AGAIN),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first: gunzip FILE"),
    (b"\xfd7zxz", "compressed with xz", "unpack it first: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first: unzstd FILE"),
)


def read_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint; numbers are read when they are asked for.

    WeightsError: not there, not a file, not a checkpoint, truncated, damaged, or with pickled code in it.
    ProviderError: a .pth file, and torch is not installed.
    """
    head = _head(path)
    _refuse_strangers(path, head)
    try:
        kind, (tensors, notes) = _read(path, head)
    except OSError as error:
        raise WeightsError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except MemoryError:
        raise WeightsError(f"{str(path)!r} does not fit into memory") from None
    expected = _SUFFIXES.get(path.suffix.lower())
    if expected not in (None, kind):
        notes = (f"{shown(path.name)} is a {kind} file, whatever its name says", *notes)
    return Checkpoint(path, tensors, notes)


def _read(path: Path, head: bytes) -> tuple[str, Contents]:
    if looks_like_safetensors(head):
        return "safetensors", read_safetensors(path)
    if head.startswith(b"PK\x03\x04"):
        return _read_zip(path)
    if head.startswith(b"\x80"):
        return "torch", read_torch(path, mapped=False)
    if head.startswith(b"PK\x05\x06"):
        raise WeightsError(f"{str(path)!r} is an empty zip archive: it holds no tensors")
    raise _unknown(path, head)


def _read_zip(path: Path) -> tuple[str, Contents]:
    with open_zip(path) as archive:
        names = archive.namelist()
        torch_made = any(name.endswith("/data.pkl") and name.count("/") == 1 for name in names)
        if torch_made:
            check_torch_zip(path, archive)
    if torch_made:
        return "torch", read_torch(path, mapped=True)
    if any(name.endswith(".npy") for name in names):
        return "npz", read_npz(path)
    raise WeightsError(
        f"{str(path)!r} is a zip archive without a checkpoint in it: it holds {', '.join(map(shown, names[:3]))}",
        hint=f"unpack it and pass the file inside; {_FORMATS}",
    )


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; opening a pipe would wait for ever, so the kind is looked at first."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise WeightsError(f"{str(path)!r} is a folder, not a checkpoint", hint=_FORMATS)
        if not stat.S_ISREG(status.st_mode):
            raise WeightsError(f"{str(path)!r} is not a regular file (a pipe, a socket or a device)", hint=_FORMATS)
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise WeightsError(f"there is no checkpoint {str(path)!r}", hint=_nearby(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise WeightsError(f"cannot read the checkpoint {str(path)!r}: {reason}") from None
    if not head:
        raise WeightsError(f"{str(path)!r} is empty (0 bytes)", hint="fetch or save it again")
    return head


def _nearby(path: Path) -> str:
    from difflib import get_close_matches

    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in _SUFFIXES]
    except OSError:
        return ""
    close = get_close_matches(path.name, names, 1)
    return f"did you mean {str(path.with_name(close[0]))!r}?" if close else ""


def _refuse_strangers(path: Path, head: bytes) -> None:
    start = head.lstrip(b" \t\r\n\xef\xbb\xbf")[:64].lower()
    for magic, what, hint in _STRANGERS:
        if start.startswith(magic):
            raise WeightsError(f"{str(path)!r} is {what}", hint=hint)
    if head[257:262] == b"ustar":
        raise WeightsError(
            f"{str(path)!r} is a tar archive", hint=f"unpack it and pass the checkpoint inside; {_FORMATS}"
        )


def _unknown(path: Path, head: bytes) -> WeightsError:
    if path.suffix.lower() == ".onnx":
        return WeightsError(f"{str(path)!r} is an ONNX model, not a checkpoint", hint=_FORMATS)
    if path.suffix.lower() in _SUFFIXES:
        return WeightsError(
            f"{str(path)!r} is truncated, damaged, or no {path.suffix} file: it begins with {head[:8]!r}",
            hint=f"fetch or save it again; {_FORMATS}",
        )
    return WeightsError(f"{str(path)!r} is no checkpoint that convc knows: it begins with {head[:8]!r}", hint=_FORMATS)
