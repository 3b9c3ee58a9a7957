"""The CUDA libraries that ONNX Runtime's CUDA provider needs: where they are, and loading them first.

The provider's shared object names its libraries without a folder, so the loader finds those of `pip install
nvidia-...` only if somebody has loaded them before. `onnxruntime.preload_dlls` looks beside its own package folder;
here every `nvidia/*/lib` that this interpreter can import is looked at, then the loader's own search path.
"""

from __future__ import annotations

import ctypes
import importlib.util
from dataclasses import dataclass
from pathlib import Path

# The driver's own library comes with the driver; the rest comes with CUDA, cuDNN apart.
DRIVER = "libcuda.so.1"
CUDNN = "libcudnn.so.9"
DEFAULT_MAJOR = 13

_FFT = {12: 11, 13: 12}


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library by its soname; `found` is its path, `system` (the loader knew it) or empty."""

    name: str
    found: str = ""


def sonames(major: int = DEFAULT_MAJOR) -> tuple[str, ...]:
    """The libraries of CUDA `major`, in an order in which each finds those it needs."""
    return (
        DRIVER,
        f"libcudart.so.{major}",
        f"libcublasLt.so.{major}",
        f"libcublas.so.{major}",
        "libcurand.so.10",
        f"libcufft.so.{_FFT.get(major, 12)}",
        f"libnvrtc.so.{major}",
        CUDNN,
    )


def preload(major: int = DEFAULT_MAJOR) -> tuple[Library, ...]:
    """Load every library that can be found, for the whole process, and say where each was."""
    places = folders()
    return tuple(Library(name, _load(name, places)) for name in sonames(major))


def folders() -> tuple[Path, ...]:
    """The `lib` folders of the installed `nvidia-*` packages."""
    try:
        spec = importlib.util.find_spec("nvidia")
    except (ImportError, ValueError):
        return ()
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    return tuple(sorted(folder for root in roots for folder in root.glob("*/lib") if folder.is_dir()))


def _load(name: str, places: tuple[Path, ...]) -> str:
    for path in (folder / name for folder in places):
        if path.is_file() and _opens(str(path)):
            return str(path)
    return "system" if _opens(name) else ""


def _opens(name: str) -> bool:
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
