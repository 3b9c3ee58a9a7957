"""Checkpoints made on the spot, and families with a small evaluator for their expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from convc.compiler.errors import ShapeError, WeightsError
from convc.compiler.ir import Init, ParamType
from convc.compiler.weights import Evaluate, Family, read_checkpoint

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@pytest.fixture
def arrays() -> Arrays:
    """A convolution with its batch norm and a linear layer, under our names."""
    rng = np.random.default_rng(0)
    return {
        "stem.conv.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "stem.bn.running_var": rng.random(4).astype(np.float32),
        "linear.weight": rng.standard_normal((10, 4)).astype(np.float32),
        "linear.bias": rng.standard_normal(10).astype(np.float32),
    }


@pytest.fixture
def wanted(arrays: Arrays) -> dict[str, ParamType]:
    return {name: ParamType(array.shape, Init()) for name, array in arrays.items()}


@pytest.fixture
def evaluate() -> Evaluate:
    """Python's own evaluator without its names: the language's is the frontend's, and is tested there."""

    def value(text: str, numbers: Mapping[str, int]) -> object:
        try:
            return eval(text, {"__builtins__": {}}, {"sum": sum, "depths": [2, 3], **numbers})
        except Exception as error:
            raise ShapeError(str(error)) from None

    return value


@pytest.fixture
def family(evaluate: Evaluate) -> Callable[..., Family]:
    def make(name: str, names: Iterable[tuple[object, object]], **more: Any) -> Family:
        return Family.compile(name, names, evaluate, **more)

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, Mapping[str, Any]], Path]:
    """Write arrays as the suffix says; .pth through torch, whose tensors they become, wherever they lie."""

    def write(name: str, content: Mapping[str, Any]) -> Path:
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file(dict(content), path)
        elif path.suffix == ".npz":
            np.savez(path, **content)
        else:
            import torch

            torch.save(_tensors(content), path, _use_new_zipfile_serialization=path.stem != "legacy")
        return path

    return write


@pytest.fixture
def refused() -> Callable[[Path], str]:
    """The one message a bad checkpoint gives, opened and read to its last number."""

    def message(path: Path) -> str:
        with pytest.raises(WeightsError) as caught:
            _read_all(path)
        text = str(caught.value)
        assert str(path) in text
        assert "Traceback" not in text
        return text

    return message


def _read_all(path: Path) -> None:
    for tensor in read_checkpoint(path).tensors.values():
        tensor.read()


def _tensors(value: Any) -> Any:
    import torch

    if isinstance(value, Mapping):
        return {key: _tensors(inner) for key, inner in value.items()}
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
