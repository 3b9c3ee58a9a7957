"""convc: architecture specs of convolutional networks, compiled to verified ONNX.

net = convc.load("resnet50", classes=10)
build = net.build("out/", weights="checkpoint.safetensors")
print(build.report)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .api import Net, build, bundle, check, compare, doctor, load, profile, run, verify_model
    from .compiler.errors import (
        ConvcError,
        ModelError,
        OutputError,
        PassError,
        ProviderError,
        ShapeError,
        SpecError,
        ThresholdError,
        UsageError,
        VerifyError,
        WeightsError,
    )

_API = ("Net", "build", "bundle", "check", "compare", "doctor", "load", "profile", "run", "verify_model")
_ERRORS = (
    "ConvcError", "ModelError", "OutputError", "PassError", "ProviderError", "ShapeError", "SpecError", "ThresholdError",
    "UsageError", "VerifyError", "WeightsError",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imported on use, so that `import convc` costs nothing."""
    from importlib import import_module

    if name in _API:
        return getattr(import_module(".api", __name__), name)
    if name in _ERRORS:
        return getattr(import_module(".compiler.errors", __name__), name)
    raise AttributeError(f"module 'convc' has no attribute {name!r}")


__all__ = [
    "ConvcError", "ModelError", "Net", "OutputError", "PassError", "ProviderError", "ShapeError", "SpecError",
    "ThresholdError", "UsageError", "VerifyError", "WeightsError", "__version__", "build", "bundle", "check",
    "compare", "doctor", "load", "profile", "run", "verify_model",
]  # fmt: skip
