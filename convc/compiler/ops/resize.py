"""Interpolation to another spatial size.

nearest     y[i] = x[floor(i * S / S')]
nearest_exact   y[i] = x[floor((i + 1/2) S / S')], the nearest centre, as image libraries have it
linear      between the nearest elements, centres of pixels aligned: x at (i + 1/2) S / S' - 1/2
            with align_corners: x at i (S - 1) / (S' - 1)
cubic       Keys' kernel with a = -0.75
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, arg
from ..ir.types import Shape, TensorType
from .axes import axis_name, spatial_rank
from .border import sizes_per_axis
from .sizes import as_dims, check_known, onnx_sizes, torch_sizes

_NEAREST = ("nearest", "nearest_exact")
_TORCH_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True, kw_only=True)
class Resize(Op, name="resize", group="shape", arity=(1, 2), principal="scale"):
    """Up- or downsampling of the spatial axes, by a factor, to a size, or to that of a second value (`like`).

    x       (N, C, *S), and like (N', C', *S')
    ->      (N, C, *(floor(S * scale)))  or  (N, C, *size)  or  (N, C, *S')
    """

    scale: tuple[float, ...] | None = arg(None, kind="numbers", doc="factor, or one per axis")
    size: Dim | tuple[Dim, ...] | None = arg(None, kind="dims", doc="output size")
    mode: str = arg(
        "nearest",
        kind="word",
        choices=("nearest", "nearest_exact", "linear", "bilinear", "cubic", "bicubic"),
        doc="how",
    )
    align_corners: bool = arg(False, kind="bool", doc="map corner pixels onto corner pixels (linear and cubic)")
    of: Shape = field(default=(), repr=False)

    def bind(self, *x: TensorType) -> Self:
        rank = spatial_rank(x[0], "resize")
        if (self.scale is not None) + (self.size is not None) + (len(x) - 1) != 1:
            raise ShapeError("resize needs one of scale, size and a second value to be as large as")
        if self.align_corners and self.mode in _NEAREST:
            raise ShapeError(f"align_corners has no meaning with mode {self.mode}")
        if self.mode in ("cubic", "bicubic") and rank != 2:
            raise ShapeError(f"mode {self.mode} is for two spatial axes, but got {x[0]}")
        if self.mode == "bilinear" and rank != 2:
            raise ShapeError(f"mode bilinear is for two spatial axes, but got {x[0]}; write linear")
        if self.size is not None:
            size = sizes_per_axis(as_dims(self.size), rank)
            check_known(size, x[0].shape)
            return replace(self, size=size, of=x[0].shape)
        return self if self.scale is None else replace(self, scale=_scales(self.scale, rank))

    def infer(self, *x: TensorType) -> TensorType:
        if len(x) == 2 and x[1].rank != x[0].rank:
            raise ShapeError(f"cannot resize {x[0]} to the size of {x[1]}: they differ in their number of axes")
        sizes = self._sizes(x[0].spatial, x[1].spatial if len(x) == 2 else None)
        for axis, size in enumerate(sizes):
            if isinstance(size, int) and size < 1:
                name = axis_name(axis + 2, x[0].rank)
                raise ShapeError(f"the output would be empty: {name} {x[0].spatial[axis]} scaled by {self.scale}")
        return x[0].with_shape(*x[0].shape[:2], *sizes)

    def _sizes(self, spatial: Sequence[Any], like: Sequence[Any] | None) -> tuple[Any, ...]:
        if like is not None:
            return tuple(like)
        if self.size is not None:
            return as_dims(self.size)
        assert self.scale is not None
        ratios = [_ratio(scale) for scale in self.scale]
        return tuple(size * r.numerator // r.denominator for size, r in zip(spatial, ratios, strict=True))

    @property
    def _kind(self) -> str:
        return {"bilinear": "linear", "bicubic": "cubic", "nearest_exact": "nearest"}.get(self.mode, self.mode)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        sizes = self._sizes(x[0].shape[2:], x[1].shape[2:] if len(x) == 2 else None)
        sizes = tuple(torch_sizes(sizes, self.of, x[0])) if self.size is not None else sizes
        if self.mode == "nearest_exact":
            return t.nn.functional.interpolate(x[0], size=sizes, mode="nearest-exact")
        if self._kind == "nearest":
            return t.nn.functional.interpolate(x[0], size=sizes, mode="nearest")
        mode = "bicubic" if self._kind == "cubic" else _TORCH_LINEAR[x[0].ndim - 2]
        return t.nn.functional.interpolate(x[0], size=sizes, mode=mode, align_corners=self.align_corners)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        attributes: dict[str, Any] = {"mode": self._kind}
        if self.mode == "nearest_exact":
            attributes |= {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
        elif self._kind == "nearest":
            attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        else:
            corners = "align_corners" if self.align_corners else "half_pixel"
            attributes |= {"coordinate_transformation_mode": corners}
        if self._kind == "cubic":
            attributes["cubic_coeff_a"] = -0.75
        whole = self.scale is not None and all(float(scale).is_integer() for scale in self.scale)
        if whole and self.scale is not None:
            import numpy as np

            scales = g.const(np.array([1, 1, *self.scale], np.float32), "scales")
            return str(g.Resize(x[0], "", scales, **attributes))
        return str(g.Resize(x[0], "", "", self._onnx_sizes(g, *x), **attributes))

    def _onnx_sizes(self, g: Any, x: str, like: str = "") -> str:
        """The whole output shape, from the run-time shape where it is dynamic."""
        images = g.Slice(g.Shape(x), g.const([0], "first"), g.const([2], "second"))
        kind, source = (g.inputs[1], like) if like else (g.inputs[0], x)
        return str(g.Concat(images, onnx_sizes(g, g.output.spatial, kind.shape, source, "size"), axis=0))


def _scales(scale: float | Sequence[float], rank: int) -> tuple[float, ...]:
    values = (scale,) if isinstance(scale, int | float) else tuple(scale)
    values = values * rank if len(values) == 1 else values
    if len(values) != rank:
        raise ShapeError(f"scale {list(values)} has {len(values)} numbers, but the input has {rank} spatial axes")
    if min(values) <= 0:
        raise ShapeError(f"scale {list(values)} must be positive")
    return values


def _ratio(scale: float) -> Fraction:
    """1.5 is 3 / 2 and 0.3333333 is 1 / 3: a size is a whole number, and rounding must not lose one."""
    return Fraction(scale).limit_denominator(1024)
