"""What merges compute, in plain numpy: here they are applied where they do not hold.

weights     (out, C / groups, *kernel)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tests.near_misses.case import Array, Held


def norm(p: Held, name: str, eps: float = 1e-5) -> tuple[Array, Array]:
    """Factor and offset of a batch norm."""
    factor = p[f"{name}.weight"] / np.sqrt(p[f"{name}.running_var"] + eps)
    return factor, p[f"{name}.bias"] - p[f"{name}.running_mean"] * factor


def over(vector: Array, like: Array, axis: int = 0) -> Array:
    """A vector along one axis of an array."""
    shape = [1] * like.ndim
    shape[axis] = -1
    return np.asarray(vector).reshape(shape)


def behind(p: Held, conv: str, factor: Array, offset: Array | float, to: str = "") -> Mapping[str, Array]:
    """conv -> factor * y + offset, as one conv."""
    weight, bias = p[f"{conv}.weight"], p.get(f"{conv}.bias", np.zeros(1))
    return {f"{to or conv}.weight": weight * over(factor, weight), f"{to or conv}.bias": bias * factor + offset}


def before(p: Held, conv: str, factor: Array, offset: Array, groups: int = 1) -> Mapping[str, Array]:
    """factor * x + offset -> conv, as one conv: exact where no border is padded."""
    weight, bias = p[f"{conv}.weight"], p.get(f"{conv}.bias", np.zeros(1))
    factors, offsets = (_by_group(v, weight, groups) for v in (factor, offset))
    spatial = tuple(range(1, weight.ndim))
    return {f"{conv}.weight": weight * factors, f"{conv}.bias": bias + (weight * offsets).sum(spatial)}


def _by_group(vector: Array, weight: Array, groups: int) -> Array:
    """A value per input channel, as each output channel's group sees it: (out, C / groups, 1, ...)."""
    rows = np.asarray(vector).reshape(groups, -1).repeat(weight.shape[0] // groups, 0)
    return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))


def pair(p: Held, first: str, second: str, to: str) -> Mapping[str, Array]:
    """Two convolutions as one, dense ones, whatever stands between them; the border is not thought of."""
    a, b = p[f"{first}.weight"], p[f"{second}.weight"]
    kernel = [m + n - 1 for m, n in zip(a.shape[2:], b.shape[2:], strict=True)]
    weight = np.zeros((b.shape[0], a.shape[1], *kernel))
    for place in np.ndindex(*b.shape[2:]):
        part = np.einsum("om,mi...->oi...", b[(slice(None), slice(None), *place)], a)
        weight[(slice(None), slice(None), *(slice(u, u + k) for u, k in zip(place, a.shape[2:], strict=True)))] += part
    inner = p.get(f"{first}.bias", np.zeros(a.shape[0]))
    bias = b.sum(tuple(range(2, b.ndim))) @ inner + p.get(f"{second}.bias", np.zeros(1))
    return {f"{to}.weight": weight, f"{to}.bias": bias}


def embedded(weight: Array, kernel: Sequence[int]) -> Array:
    """A kernel in the middle of a larger one."""
    front = [(k - n) // 2 for k, n in zip(kernel, weight.shape[2:], strict=True)]
    behind = [k - n - f for k, n, f in zip(kernel, weight.shape[2:], front, strict=True)]
    return np.pad(weight, [(0, 0), (0, 0), *zip(front, behind, strict=True)])


def summed(p: Held, *convs: str, to: str, signs: Sequence[int] = ()) -> Mapping[str, Array]:
    """Parallel convolutions as one with the largest kernel, each in its middle."""
    kernel = [max(sizes) for sizes in zip(*(p[f"{c}.weight"].shape[2:] for c in convs), strict=True)]
    parts = [embedded(p[f"{c}.weight"], kernel) for c in convs]
    biases = [p.get(f"{c}.bias", np.zeros(parts[0].shape[0])) for c in convs]
    factors = signs or [1] * len(convs)
    return {
        f"{to}.weight": np.asarray(sum(s * part for s, part in zip(factors, parts, strict=True))),
        f"{to}.bias": np.asarray(sum(s * bias for s, bias in zip(factors, biases, strict=True))),
    }


def stacked(p: Held, *convs: str, to: str) -> Mapping[str, Array]:
    """Convolutions of one value as one with all their channels."""
    return {
        f"{to}.weight": np.concatenate([p[f"{c}.weight"] for c in convs]),
        f"{to}.bias": np.concatenate([p[f"{c}.bias"] for c in convs]),
    }


def joined(p: Held, *convs: str, to: str) -> Mapping[str, Array]:
    """Convolutions of several values as one of their concat, each in the middle of the largest kernel."""
    kernel = [max(sizes) for sizes in zip(*(p[f"{c}.weight"].shape[2:] for c in convs), strict=True)]
    return {
        f"{to}.weight": np.concatenate([embedded(p[f"{c}.weight"], kernel) for c in convs], 1),
        f"{to}.bias": np.asarray(sum(p[f"{c}.bias"] for c in convs)),
    }


def dirac(channels: int, kernel: Sequence[int]) -> Array:
    """The identity as a kernel."""
    return embedded(np.eye(channels).reshape(channels, channels, *[1] * len(kernel)), kernel)


def uniform(channels: int, kernel: Sequence[int]) -> Array:
    """The mean of a window as a kernel."""
    eye = np.eye(channels).reshape(channels, channels, *[1] * len(kernel))
    return eye * np.full(tuple(kernel), 1 / np.prod(kernel))
