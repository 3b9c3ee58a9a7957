"""Models whose numbers would let a wrong rewrite pass, made telling.

A batch norm with mean 0, variance 1, factor 1 and offset 0 divides by sqrt(1 + eps) and does nothing else: a pass that
forgets one of the four would not be noticed. So such a model is proven a second time, with other numbers in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..ir import Init, Model, Op, Param, Seeded
from ..ops.batch_norm import BatchNorm
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.linear import Linear
from ..ops.norm import GroupNorm, InstanceNorm, LayerNorm, Scale

# By role: the values that do nothing, and what takes their place.
_STATISTICS: Mapping[str, tuple[tuple[float, ...], Init]] = {
    "running_mean": ((0.0,), Init("normal", 0.5)),
    "running_var": ((1.0,), Init("positive", 0.5)),
    "weight": ((0.0, 1.0), Init("positive", 0.5)),
    "bias": ((0.0,), Init("normal", 0.5)),
}
_BIAS = {"bias": _STATISTICS["bias"]}
_FACTORS = {role: _STATISTICS[role] for role in ("weight", "bias")}
_NEUTRAL: Mapping[type[Op], Mapping[str, tuple[tuple[float, ...], Init]]] = {
    BatchNorm: _STATISTICS,
    Conv: _BIAS,
    ConvTranspose: _BIAS,
    Linear: _BIAS,
    LayerNorm: _FACTORS,
    GroupNorm: _FACTORS,
    InstanceNorm: _FACTORS,
    Scale: _FACTORS,
}


def randomised(model: Model, seed: int = 0) -> Model | None:
    """A copy with random numbers wherever a batch norm's, or a bias, say nothing; None where all of them tell."""
    found: dict[str, Param] = {}
    for node in model.graph:
        for role, (neutral, init) in _NEUTRAL.get(type(node.op), {}).items():
            name = node.params.get(role)
            if name is not None and name not in found and _says_nothing(model.params[name], neutral):
                found[name] = Seeded(model.params[name].shape, init, f"randomised {name}", seed)
    if not found:
        return None
    return Model(model.graph, MappingProxyType({**model.params, **found}), model.trained)


def _says_nothing(param: Param, neutral: tuple[float, ...]) -> bool:
    values = param.evaluate()
    return any(bool((values == value).all()) for value in neutral)
