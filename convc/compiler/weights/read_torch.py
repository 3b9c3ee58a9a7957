"""Read .pth and .pt through torch.load, which here may load tensors and nothing else (`weights_only`).

A pickle is a program. torch's restricted reader runs none of it but the rebuilding of tensors and plain containers;
what it refuses is refused here with the name of the thing that the file wanted to call. Zip archives are mapped,
older files are read.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile

from ..errors import ProviderError, WeightsError
from .checkpoint import Array, Contents, Tensor, check_names, from_bfloat16, shown, unreadable
from .wrappers import unwrap

if TYPE_CHECKING:
    import torch

# torch's reader is written in Python, a few megabytes a second; the pickle of a large network has one.
_MOST_PICKLE_BYTES = 8 << 20
_NUMPY = {"float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"}


def check_torch_zip(path: Path, archive: ZipFile) -> None:
    """WeightsError: a TorchScript program, or an archive that torch did not write."""
    names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        raise WeightsError(
            f"{str(path)!r} is a TorchScript program, not a checkpoint",
            hint="save its weights: torch.save(module.state_dict(), 'weights.pth')",
        )
    for info in archive.infolist():
        if info.compress_type != ZIP_STORED:
            raise WeightsError(f"{str(path)!r}: {shown(info.filename)} is compressed, which torch.save never does")
        if info.filename.endswith("/data.pkl") and info.file_size > _MOST_PICKLE_BYTES:
            raise WeightsError(
                f"{str(path)!r}: its table of contents has {info.file_size} bytes; the limit is {_MOST_PICKLE_BYTES}",
                hint="save the state_dict alone, without optimizer and history",
            )


def read_torch(path: Path, *, mapped: bool) -> Contents:
    """The tensors of the file, wrappers peeled. `mapped`: it is a zip archive, so its numbers stay in the file.

    ProviderError: torch is not installed. WeightsError: pickled code, damaged, or nothing that holds tensors.
    """
    torch = _torch(path)
    content = _load(torch, path, mapped)
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{str(path)!r} holds a {type(content).__name__}, not a state_dict",
            hint="save torch.save(module.state_dict(), 'weights.pth')",
        )
    found, notes = unwrap(path, content, lambda value: isinstance(value, torch.Tensor))
    check_names(path, found)
    return {name: _tensor(torch, path, name, value) for name, value in found.items()}, notes


def _torch(path: Path) -> ModuleType:
    try:
        import torch
    except ImportError:
        raise ProviderError(
            f"reading {str(path)!r} needs torch, which is not installed",
            hint="pip install torch; or convert the file where torch is: "
            "safetensors.torch.save_file(torch.load(file, weights_only=True), 'weights.safetensors')",
        ) from None
    return torch


def _load(torch: ModuleType, path: Path, mapped: bool) -> Any:
    # Damaged pickles make torch raise nearly anything; none of it tells a person more than this does.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise _code(path, str(error)) or _damaged(path, error) from None
    except Exception as error:
        raise _damaged(path, error) from None


def _code(path: Path, message: str) -> WeightsError | None:
    """The refusal of pickled code, or None where torch complained of something else."""
    wanted = re.search(r"(?:GLOBAL|class|function|global:?) ([\w.]+\.\w+)", message)
    if wanted is None and "Unsupported" not in message and "unrecognized function" not in message:
        return None
    what = f" (it asks for {wanted[1]})" if wanted else ""
    return WeightsError(
        f"{str(path)!r} holds pickled code{what}, not only tensors; convc never runs code from a file",
        hint="where you trust the file, load it there and save the weights alone: "
        "torch.save(module.state_dict(), 'weights.pth'), or safetensors.torch.save_file",
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return WeightsError(
        f"{str(path)!r} cannot be read as a torch checkpoint: it is truncated or damaged ({reason[:160]})",
        hint="fetch it again, and compare its size or hash",
    )


def _tensor(torch: ModuleType, path: Path, name: str, value: torch.Tensor) -> Tensor:
    shape = tuple(int(size) for size in value.shape)
    dtype = str(value.dtype).removeprefix("torch.")
    plain = value.layout is torch.strided and not value.is_quantized and value.device.type == "cpu"
    if not plain or (dtype not in _NUMPY and dtype != "bfloat16"):
        kind = dtype if plain else f"{value.device.type} {value.layout} {dtype}"
        return Tensor(shape, kind, unreadable(path, name, kind))

    def read() -> Array:
        held = value.detach()
        array = from_bfloat16(held.view(torch.int16).numpy().view("uint16")) if dtype == "bfloat16" else held.numpy()
        array.flags.writeable = False
        return array

    return Tensor(shape, dtype, read)
