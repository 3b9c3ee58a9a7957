"""A batch norm in inference as y = s x + t, lazily:  s = gamma / sqrt(var + eps),  t = beta - mean s."""

from __future__ import annotations

from collections.abc import Mapping

from ..ir import Param, constant


def scale_of(norm: Mapping[str, Param], eps: float) -> Param:
    """s, (C,)"""
    var = norm["running_var"]
    gamma = norm.get("weight", constant(1.0, var.shape))
    return gamma / (var + eps).sqrt()


def shift_of(bias: Param | None, norm: Mapping[str, Param], scale: Param) -> Param:
    """(b - mean) s + beta, (C,): what a bias b in front of the norm becomes; t without one."""
    mean = norm["running_mean"]
    shift = (-mean if bias is None else bias - mean) * scale
    return shift + norm["bias"] if "bias" in norm else shift
