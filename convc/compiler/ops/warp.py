"""Warping: a value read at displaced places.

y[n, c, p] = x[n, c, p + d[n, g(c), p]]        d = (down, right), in elements; bilinear between elements, 0 outside

It is a deformable convolution with one tap of weight 1 for each channel (Dai et al., 2017, section 2.1), and runs as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ShapeError
from ..ir.op import Op, Params
from ..ir.types import TensorType
from .deform_conv import DeformConv
from .emit import array


@dataclass(frozen=True, kw_only=True)
class Warp(Op, name="warp", group="shape", arity=(2, 2)):
    """The first value read where the second one says.

    x             (N, C, H, W)
    displacement  (N, 2 G, H, W)     down, then right, for each of G groups of C / G channels
    ->            (N, C, H, W)
    """

    def infer(self, *x: TensorType) -> TensorType:
        value, displacement = x
        if value.rank != 4 or displacement.rank != 4:
            raise ShapeError(f"warp moves [N, C, H, W] by [N, 2 G, H, W], but got {value} and {displacement}")
        channels = displacement.channels
        if channels % 2 or value.channels % (channels // 2):
            raise ShapeError(
                f"displacement {displacement} needs 2 channels, or 2 for each of several equal groups of the"
                f" {value.channels} channels of {value}"
            )
        return self._plain(value, channels).infer(value, displacement)

    @staticmethod
    def _plain(value: TensorType, moved: int) -> DeformConv:
        channels = value.channels
        bare = DeformConv(out=channels, kernel=1, padding=0, groups=channels, offset_groups=moved // 2, bias=False)
        return bare.bind(value)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        plain = self._plain(TensorType(tuple(x[0].shape)), x[1].shape[1])
        return plain.torch(t, *x, p={"weight": x[0].new_ones(x[0].shape[1], 1, 1, 1)})

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        channels = g.inputs[0].channels
        ones = array(g, [[[[1.0]]]] * channels, "ones")
        return self._plain(g.inputs[0], g.inputs[1].channels).onnx(g, *x, p={"weight": ones})
