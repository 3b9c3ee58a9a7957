"""Pooling over all of space, whatever its size (Lin et al., 2013)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..ir.op import Op, Params, arg
from ..ir.types import TensorType
from .axes import spatial_rank
from .emit import without_spatial


@dataclass(frozen=True, kw_only=True)
class _GlobalPool(Op):
    """
    x       (N, C, *S)
    ->      (N, C), or (N, C, 1, ...) with keepdims
    """

    keepdims: bool = arg(False, kind="bool", doc="keep the spatial axes, as 1")

    def infer(self, *x: TensorType) -> TensorType:
        rank = spatial_rank(x[0], self.name)
        return x[0].with_shape(*x[0].shape[:2], *(1,) * (rank if self.keepdims else 0))


class GlobalAvgPool(_GlobalPool, name="global_avg_pool", group="pool"):
    """Mean over all spatial axes.

    x       (N, C, *S)
    ->      (N, C), or (N, C, 1, ...) with keepdims
    """

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0].mean(dim=tuple(range(2, x[0].ndim)), keepdim=self.keepdims)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        y = str(g.GlobalAveragePool(x[0]))
        return y if self.keepdims else without_spatial(g, y)


class GlobalMaxPool(_GlobalPool, name="global_max_pool", group="pool"):
    """Maximum over all spatial axes.

    x       (N, C, *S)
    ->      (N, C), or (N, C, 1, ...) with keepdims
    """

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0].amax(dim=tuple(range(2, x[0].ndim)), keepdim=self.keepdims)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        y = str(g.GlobalMaxPool(x[0]))
        return y if self.keepdims else without_spatial(g, y)
