"""Small things that ONNX lowerings say often: constants in the value's element type, and per-channel tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def number(g: Any, value: float, hint: str) -> str:
    """A scalar constant in the element type of the node's output."""
    return array(g, value, hint)


def array(g: Any, values: Any, hint: str) -> str:
    """A constant tensor in the element type of the node's output."""
    import numpy as np

    return str(g.const(np.array(values, g.output.dtype.value), hint))


def filled(g: Any, count: int, value: float, hint: str) -> str:
    """A vector of `count` equal numbers."""
    return array(g, [value] * count, hint)


def over_channels(g: Any, vector: str, spatial: int, hint: str) -> str:
    """A vector (C,) as (C, 1, ...), to be combined with (N, C, *S)."""
    return str(g.Reshape(vector, g.const([-1, *[1] * spatial], hint))) if spatial else vector


def torch_over_channels(vector: Any, spatial: int) -> Any:
    return vector.reshape(-1, *[1] * spatial)


def without_spatial(g: Any, y: str) -> str:
    """(N, C, 1, ...) -> (N, C)."""
    return str(g.Flatten(y, axis=1))


def weights(p: Mapping[str, str]) -> tuple[str, ...]:
    """The weight and, where there is one, the bias."""
    return tuple(p[role] for role in ("weight", "bias") if role in p)
