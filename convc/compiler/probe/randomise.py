"""Models whose numbers would let a wrong rewrite pass, made telling.

A batch norm with mean 0, variance 1, factor 1 and offset 0 divides by sqrt(1 + eps) and does nothing else: a pass that
forgets one of the four would not be noticed. So such a model is proven a second time, with other numbers in their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ..ir import Init, Lazy, Model, Op, Param, Region, Seeded
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


def with_numbers(regions: Iterable[Region], known: dict[int, Param]) -> list[Region]:
    """The regions with other numbers: each parameter whose identity `known` has is that, in expressions too.

    `known` grows by every expression met; what it is asked about must live as long as it.
    """

    def changed(params: Mapping[str, Param]) -> dict[str, Param]:
        return {name: exchanged(param, known) for name, param in params.items()}

    return [replace(r, params_before=changed(r.params_before), params_after=changed(r.params_after)) for r in regions]


def exchanged(param: Param, known: dict[int, Param]) -> Param:
    """A parameter with others in place of those that it is computed from."""
    if id(param) not in known:
        known[id(param)] = param
        if isinstance(param, Lazy):
            arguments = tuple(exchanged(one, known) for one in param.arguments)
            if any(new is not old for new, old in zip(arguments, param.arguments, strict=True)):
                known[id(param)] = replace(param, arguments=arguments)
    return known[id(param)]


def _says_nothing(param: Param, neutral: tuple[float, ...]) -> bool:
    values = param.evaluate()
    return any(bool((values == value).all()) for value in neutral)
