"""The one door to the `onnxruntime` package: absent, broken or doubly installed, it is said in words.

`onnxruntime` and `onnxruntime-gpu` install the same folder. With both, the last one written wins; with one of them
removed again, files are missing. So no wheel is a dependency of convc: they are the extras `cpu` and `gpu`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from pathlib import Path
from types import ModuleType

from ..compiler.errors import ProviderError
from .capture import captured

CPU_WHEEL = "onnxruntime"
GPU_WHEEL = "onnxruntime-gpu"
INSTALL = "pip install 'convc[gpu]' for an NVIDIA GPU (CUDA 13), or pip install 'convc[cpu]' otherwise"
CONFLICT = (
    "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
    "pip uninstall -y onnxruntime onnxruntime-gpu, then install one of them again"
)


def load() -> ModuleType:
    """The module, imported without its start-up noise.

    Raises ProviderError where it is missing, does not import, or is half removed.
    """
    try:
        with captured():
            module = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise _absent(error) from error
    if not hasattr(module, "InferenceSession"):
        raise ProviderError("the installed onnxruntime is incomplete", hint=CONFLICT)
    return module


def version(distribution: str) -> str:
    """The installed version, or the empty string."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def doubled() -> bool:
    """True where both wheels claim the package folder."""
    return bool(version(CPU_WHEEL) and version(GPU_WHEEL))


def cuda_major(default: int) -> int:
    """The major CUDA version that the installed wheel was built for, read without importing it."""
    root = location()
    text = _text(Path(root) / "capi" / "build_and_package_info.py") if root else ""
    found = re.search(r"""^cuda_version\s*=\s*["'](\d+)""", text, re.MULTILINE)
    return int(found.group(1)) if found else default


def location() -> str:
    """The package folder of onnxruntime, not imported; the empty string where there is none."""
    try:
        spec = importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return ""
    return next(iter(spec.submodule_search_locations or ()), "") if spec else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _absent(error: ImportError) -> ProviderError:
    if doubled():
        return ProviderError(f"onnxruntime does not import: {error}", hint=CONFLICT)
    if version(CPU_WHEEL) or version(GPU_WHEEL):
        return ProviderError(f"onnxruntime is installed but does not import: {error}", hint=f"reinstall it: {INSTALL}")
    return ProviderError("onnxruntime is not installed: it is what runs a model", hint=INSTALL)
