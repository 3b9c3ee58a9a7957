"""Norms that need no running statistics: y = weight * (x - mean) / sqrt(var + eps) + bias.

layer_norm      mean and variance over the channels (or the last axis) at each place     Ba et al., 2016
instance_norm   over the places of each channel                                          Ulyanov et al., 2016
group_norm      over the places of a group of channels                                   Wu and He, 2018
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import Init, ParamType, TensorType
from .batch_norm import affine, check_eps
from .emit import filled, over_channels, torch_over_channels


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Op, name="layer_norm", group="norm"):
    """Layer normalisation over one axis of size C.

    x             (N, C, *S) with axis channel, (..., C) with axis last
    weight, bias  (C,)          if scale, if shift
    ->            the input's shape
    """

    eps: float = arg(1e-5, kind="number", doc="added to the variance")
    axis: str = arg("channel", kind="word", choices=("channel", "last"), doc="the axis that is normalised")
    scale: bool = arg(True, kind="bool", doc="learn a factor per element of the axis")
    shift: bool = arg(True, kind="bool", doc="learn an offset per element of the axis")
    init: Init | None = arg(None, kind="init", doc="how the fresh factors are filled; ones if left out")

    def bind(self, *x: TensorType) -> Self:
        check_eps(self.eps)
        return self

    def infer(self, *x: TensorType) -> TensorType:
        self._features(x[0])
        return x[0]

    def _features(self, x: TensorType) -> int:
        if self.axis == "channel":
            return x.channels
        if x.rank < 1 or not isinstance(x.shape[-1], int):
            raise ShapeError(f"the last axis of {x} must be a fixed number to be normalised")
        return x.shape[-1]

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return affine((self._features(x[0]),), self.scale, self.shift, self.init)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        value = x[0].movedim(1, -1) if self.axis == "channel" else x[0]
        y = t.nn.functional.layer_norm(value, value.shape[-1:], p.get("weight"), p.get("bias"), self.eps)
        return y.movedim(-1, 1) if self.axis == "channel" else y

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        rank = g.inputs[0].rank
        weight = p["weight"] if self.scale else filled(g, self._features(g.inputs[0]), 1.0, "weight")
        scale = (weight, p["bias"]) if self.shift else (weight,)
        if self.axis == "last" or rank == 2:
            return str(g.LayerNormalization(x[0], *scale, axis=-1, epsilon=self.eps))
        # ONNX normalises trailing axes only.
        value = g.Transpose(x[0], perm=[0, *range(2, rank), 1])
        y = g.LayerNormalization(value, *scale, axis=-1, epsilon=self.eps)
        return str(g.Transpose(y, perm=[0, rank - 1, *range(1, rank - 1)]))


@dataclass(frozen=True, kw_only=True)
class GroupNorm(Op, name="group_norm", group="norm", arity=(1, 1), principal="groups"):
    """Normalisation over the places and channels of each group.

    x             (N, C, *S)
    weight, bias  (C,)          if scale, if shift
    ->            (N, C, *S)
    """

    groups: int = arg(kind="size", doc="channels are cut into so many groups")
    eps: float = arg(1e-5, kind="number", doc="added to the variance")
    scale: bool = arg(True, kind="bool", doc="learn a factor per channel")
    shift: bool = arg(True, kind="bool", doc="learn an offset per channel")
    init: Init | None = arg(None, kind="init", doc="how the fresh factors are filled; ones if left out")

    def bind(self, *x: TensorType) -> Self:
        check_eps(self.eps)
        return self

    def infer(self, *x: TensorType) -> TensorType:
        if x[0].channels % self.groups:
            raise ShapeError(f"groups {self.groups} do not divide {x[0].channels} channels")
        return x[0]

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return affine((x[0].channels,), self.scale, self.shift, self.init)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.group_norm(x[0], self.groups, p.get("weight"), p.get("bias"), self.eps)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        # GroupNormalization itself needs opset 21: a group is an instance of one channel.
        grouped = g.Reshape(x[0], g.const([0, self.groups, -1], "groups"))
        ones, zeros = filled(g, self.groups, 1.0, "ones"), filled(g, self.groups, 0.0, "zeros")
        normal = g.InstanceNormalization(grouped, ones, zeros, epsilon=self.eps)
        y = g.Reshape(normal, g.Shape(x[0]))
        spatial = g.inputs[0].rank - 2
        y = g.Mul(y, over_channels(g, p["weight"], spatial, "weight_shape")) if self.scale else y
        return str(g.Add(y, over_channels(g, p["bias"], spatial, "bias_shape")) if self.shift else y)


@dataclass(frozen=True, kw_only=True)
class InstanceNorm(Op, name="instance_norm", group="norm"):
    """Normalisation of each channel of each image over its places.

    x             (N, C, *S)
    weight, bias  (C,)          if scale, if shift
    ->            (N, C, *S)
    """

    eps: float = arg(1e-5, kind="number", doc="added to the variance")
    scale: bool = arg(True, kind="bool", doc="learn a factor per channel")
    shift: bool = arg(True, kind="bool", doc="learn an offset per channel")
    init: Init | None = arg(None, kind="init", doc="how the fresh factors are filled; ones if left out")

    def bind(self, *x: TensorType) -> Self:
        check_eps(self.eps)
        return self

    def infer(self, *x: TensorType) -> TensorType:
        if x[0].rank < 3:
            raise ShapeError(f"instance_norm needs spatial axes, but got {x[0]}")
        return x[0]

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return affine((x[0].channels,), self.scale, self.shift, self.init)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        norm = t.nn.functional.instance_norm
        return norm(x[0], weight=p.get("weight"), bias=p.get("bias"), eps=self.eps)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        channels = g.inputs[0].channels
        weight = p["weight"] if self.scale else filled(g, channels, 1.0, "weight")
        bias = p["bias"] if self.shift else filled(g, channels, 0.0, "bias")
        return str(g.InstanceNormalization(x[0], weight, bias, epsilon=self.eps))


@dataclass(frozen=True, kw_only=True)
class Scale(Op, name="scale", group="norm", arity=(1, 1), principal="init"):
    """A learned factor per channel (layer scale: Touvron et al., 2021).

    x       (N, C, *S)
    weight  (C,)
    ->      (N, C, *S)
    """

    init: Init | None = arg(None, kind="init", doc="how the fresh factors are filled; ones if left out")

    def infer(self, *x: TensorType) -> TensorType:
        assert x[0].channels
        return x[0]

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return affine((x[0].channels,), True, False, self.init)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0] * torch_over_channels(p["weight"], x[0].ndim - 2)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Mul(x[0], over_channels(g, p["weight"], g.inputs[0].rank - 2, "weight_shape")))
