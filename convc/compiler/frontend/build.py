"""An elaborated network and numbers make a Model: from a checkpoint where it has them, else seeded by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..ir import Model, Param, Seeded
from .network import Network


def to_model(network: Network, values: Mapping[str, Param] | None = None, seed: int = 0) -> Model:
    """The model of a network. Parameters without a value are filled from `seed` and their own name, in any order alike."""
    given = values or {}
    params = {
        name: given[name] if name in given else Seeded(type_.shape, type_.init, name, seed)
        for name, type_ in network.param_types.items()
    }
    trained = frozenset(name for name, type_ in network.param_types.items() if type_.trained)
    return Model(network.graph, MappingProxyType(params), trained)
