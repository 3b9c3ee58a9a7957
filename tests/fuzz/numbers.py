"""Parameters for random graphs: numbers under which a wrong rewrite shows.

    weights                normal with deviation 1 / sqrt(fan in), so that forty layers neither swell nor vanish
    factors                away from 0, of either sign; now and then all positive, or all 1
    variances              0.2 to 2, rarely 1 throughout
    biases, means          normal; now and then 0 throughout, which is what some rewrites wait for
    some channels          are exactly 0, now and then

Everything follows from the parameter's name and a seed.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from types import MappingProxyType
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from convc.compiler.ir import Model, Op, Param, Stored
from convc.compiler.ir.types import ParamType
from convc.compiler.ops.conv_transpose import ConvTranspose

_FACTORS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "scale", "c4_batch_norm")


def filled(name: str, op: Op, role: str, kind: ParamType, seed: int) -> Param:
    """The numbers of a parameter, in float32 as a checkpoint has them."""
    rng = np.random.default_rng([crc32(name.encode()), seed])
    return Stored(_values(rng, op, role, kind.shape).astype(np.float32))


def telling(model: Model) -> Model:
    """The model with parameters away from 0, of either sign; variances above it."""
    return replace(model, params=MappingProxyType({name: _away(name, p.shape) for name, p in model.params.items()}))


def _away(name: str, shape: tuple[int, ...]) -> Param:
    rng = np.random.default_rng(crc32(name.encode()))
    sizes = rng.uniform(0.4, 1.6, shape)
    return Stored(sizes if name.endswith("running_var") else sizes * rng.choice([-1.0, 1.0], shape))


def _values(rng: np.random.Generator, op: Op, role: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    luck = rng.random()
    if role == "running_var":
        return np.ones(shape) if luck < 0.05 else rng.uniform(0.2, 2, shape)
    if role in ("bias", "running_mean"):
        return np.zeros(shape) if luck < 0.15 else rng.normal(0, 0.5, shape)
    if role == "weight" and op.name in _FACTORS:
        return _factors(rng, shape, luck)
    if role == "weight" and op.name != "prelu":
        weight = rng.normal(0, _fan_in(op, shape) ** -0.5, shape)
        return _some_zero(rng, weight) if luck < 0.1 else weight
    return rng.normal(0, 0.5, shape)


def _factors(rng: np.random.Generator, shape: tuple[int, ...], luck: float) -> NDArray[np.float64]:
    if luck < 0.05:
        return np.ones(shape)
    sizes = rng.uniform(0.4, 1.4, shape)
    signed = sizes if luck < 0.3 else sizes * rng.choice([-1.0, 1.0], shape)
    return _some_zero(rng, signed) if luck > 0.92 else signed


def _some_zero(rng: np.random.Generator, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """With about a third of what lies along the first axis set to 0."""
    values[rng.random(values.shape[0]) < 0.3] = 0
    return values


def _fan_in(op: Op, shape: tuple[int, ...]) -> int:
    if isinstance(op, ConvTranspose):
        return max(1, shape[0] // op.groups)
    return max(1, prod(shape[1:]))
