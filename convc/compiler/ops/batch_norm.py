"""Batch normalisation (Ioffe and Szegedy, 2015): y = weight * (x - mean) / sqrt(var + eps) + bias, per channel.

In training, mean and variance are the batch's; after it, the running ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import Init, ParamType, TensorType
from .emit import filled
from .init import ONES, ZEROS

# Fresh statistics are not 0 and 1, or every folding of them would look right.
_MEAN = Init("normal", 0.1)
_VARIANCE = Init("positive", 0.75)


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Op, name="batch_norm", group="norm"):
    """Batch normalisation over all axes but the channels.

    x             (N, C, *S)
    weight, bias  (C,)          if scale, if shift
    running_mean  (C,)
    running_var   (C,)
    ->            (N, C, *S)
    """

    eps: float = arg(1e-5, kind="number", doc="added to the variance")
    momentum: float = arg(0.1, kind="number", doc="weight of the newest batch in the running statistics")
    scale: bool = arg(True, kind="bool", doc="learn a factor per channel")
    shift: bool = arg(True, kind="bool", doc="learn an offset per channel")
    init: Init | None = arg(None, kind="init", doc="how the fresh factors are filled; ones if left out")

    def bind(self, *x: TensorType) -> Self:
        check_eps(self.eps)
        if not 0 <= self.momentum <= 1:
            raise ShapeError(f"momentum {self.momentum:g} must lie between 0 and 1")
        return self

    def infer(self, *x: TensorType) -> TensorType:
        assert x[0].channels
        return x[0]

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        shape = (x[0].channels,)
        return {
            **affine(shape, self.scale, self.shift, self.init),
            "running_mean": ParamType(shape, _MEAN, trained=False),
            "running_var": ParamType(shape, _VARIANCE, trained=False),
        }

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        mean, var = p["running_mean"], p["running_var"]
        norm = t.nn.functional.batch_norm
        return norm(x[0], mean, var, p.get("weight"), p.get("bias"), training, self.momentum, self.eps)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        channels = g.inputs[0].channels
        weight = p["weight"] if self.scale else filled(g, channels, 1.0, "weight")
        bias = p["bias"] if self.shift else filled(g, channels, 0.0, "bias")
        return str(g.BatchNormalization(x[0], weight, bias, p["running_mean"], p["running_var"], epsilon=self.eps))


def check_eps(eps: float) -> None:
    """Refuse what would let a root or a quotient fail."""
    if eps <= 0:
        raise ShapeError(f"eps {eps:g} must be positive")


def affine(shape: tuple[int, ...], scale: bool, shift: bool, init: Init | None) -> dict[str, ParamType]:
    """The learned factor and offset of a norm."""
    factors = {"weight": ParamType(shape, init or ONES)} if scale else {}
    return factors | ({"bias": ParamType(shape, ZEROS)} if shift else {})
