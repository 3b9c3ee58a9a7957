"""Elements added around a value, or cut off: pad and crop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, arg
from ..ir.types import TensorType
from .axes import axis_name, checked_axis, per_axis, spatial_rank
from .conv import Spatial, as_spatial, as_tuple
from .emit import number
from .padding import MODES, Padding, explicit

_ONNX_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@dataclass(frozen=True, kw_only=True)
class Pad(Op, name="pad", group="shape", arity=(1, 1), principal="padding"):
    """Elements before and after each of some axes.

    x       (N, C, *S)
    ->      the same with its axes grown; the spatial ones if `axes` is left out
    """

    padding: Padding = arg(kind="padding", doc="elements before and after each axis: one number, or begins, then ends")
    value: float = arg(0.0, kind="number", doc="what mode zeros fills with")
    mode: str = arg("zeros", kind="word", choices=MODES, doc="what the new elements hold")
    axes: tuple[int, ...] | None = arg(None, kind="ints", doc="the axes that grow; the spatial ones if left out")

    def bind(self, *x: TensorType) -> Self:
        if isinstance(self.padding, str):
            raise ShapeError(f"pad needs numbers, not the word {self.padding}: it has no kernel")
        axes = tuple(range(2, x[0].rank)) if self.axes is None else self.axes
        axes = tuple(checked_axis(axis, x[0]) for axis in axes)
        if not axes or len(set(axes)) < len(axes):
            raise ShapeError(f"axes {list(axes)} must name each axis of {x[0]} that grows once")
        if self.mode != "zeros" and self.value:
            raise ShapeError(f"value {self.value:g} goes with mode zeros, not with {self.mode}")
        if self.mode != "zeros" and axes != tuple(range(2, x[0].rank)):
            raise ShapeError(f"mode {self.mode} pads the spatial axes, not axes {list(axes)}")
        return replace(self, axes=axes, padding=explicit(self.padding, len(axes)))

    def infer(self, *x: TensorType) -> TensorType:
        shape = list(x[0].shape)
        for axis, (front, behind) in self._amounts().items():
            size = checked_axis(axis, x[0])
            self._check_source(x[0], axis, max(front, behind))
            shape[size] = shape[axis] + front + behind
        return x[0].with_shape(*shape)

    def _check_source(self, x: TensorType, axis: int, amount: int) -> None:
        size = x.shape[axis]
        limit = {"reflect": size - 1, "circular": size}.get(self.mode)
        if isinstance(limit, int) and amount > limit:
            name = axis_name(axis, x.rank)
            raise ShapeError(f"mode {self.mode} cannot take {amount} elements from {name} {size}")

    def _amounts(self) -> dict[int, tuple[int, int]]:
        """Elements in front and behind, by axis."""
        assert self.axes is not None
        pads, count = as_tuple(self.padding), len(self.axes)
        return {axis: (pads[i], pads[i + count]) for i, axis in enumerate(self.axes)}

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        amounts = self._amounts()
        first = min(amounts)
        # PyTorch lists the last axis first.
        flat = [n for axis in range(x[0].ndim - 1, first - 1, -1) for n in amounts.get(axis, (0, 0))]
        if self.mode == "zeros":
            return t.nn.functional.pad(x[0], flat, value=self.value)
        return t.nn.functional.pad(x[0], flat, mode=self.mode)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        if self.mode == "circular" and g.opset < 19:
            raise ShapeError(f"mode circular needs opset 19 or newer, not {g.opset}")
        amounts = [self._amounts().get(axis, (0, 0)) for axis in range(g.inputs[0].rank)]
        pads = g.const([front for front, _ in amounts] + [behind for _, behind in amounts], "pads")
        fill = [number(g, self.value, "value")] if self.value else []
        return str(g.Pad(x[0], pads, *fill, mode=_ONNX_MODES[self.mode]))


@dataclass(frozen=True, kw_only=True)
class Crop(Op, name="crop", group="shape", arity=(1, 2), principal="size"):
    """A window of the spatial axes, as large as `size` or as the second value (`like`).

    x       (N, C, *S), and like (N', C', *S')
    ->      (N, C, *size) or (N, C, *S')
    """

    size: Spatial | None = arg(None, kind="spatial", doc="size of the window, where no second value gives it")
    offset: Spatial | None = arg(None, kind="spatial0", doc="where the window begins; in the middle if left out")

    def bind(self, *x: TensorType) -> Self:
        rank = spatial_rank(x[0], "crop")
        if (self.size is None) == (len(x) == 1):
            raise ShapeError("crop needs either a size or a second value to be as large as")
        size = None if self.size is None else per_axis(self.size, rank, "size")
        offset = None if self.offset is None else per_axis(self.offset, rank, "offset")
        return replace(self, size=size, offset=offset)

    def infer(self, *x: TensorType) -> TensorType:
        if len(x) == 2 and x[1].rank != x[0].rank:
            raise ShapeError(f"cannot crop {x[0]} to the size of {x[1]}: they differ in their number of axes")
        sizes = x[1].spatial if len(x) == 2 else as_spatial(self._size)
        for axis, (have, wanted) in enumerate(zip(x[0].spatial, sizes, strict=True)):
            first = 0 if self.offset is None else as_spatial(self.offset)[axis]
            if isinstance(have, int) and isinstance(wanted, int) and first + wanted > have:
                name = axis_name(axis + 2, x[0].rank)
                place = f" from {first} on" if first else ""
                raise ShapeError(f"cannot crop {name} {have} to {wanted}{place}")
        return x[0].with_shape(*x[0].shape[:2], *sizes)

    @property
    def _size(self) -> Spatial:
        assert self.size is not None
        return self.size

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        sizes = tuple(x[1].shape[2:]) if len(x) == 2 else as_spatial(self._size)
        y = x[0]
        for axis, size in enumerate(sizes):
            middle = (y.shape[axis + 2] - size) // 2
            y = y.narrow(axis + 2, middle if self.offset is None else as_spatial(self.offset)[axis], size)
        return y

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        rank = g.inputs[0].rank
        axes = g.const(list(range(2, rank)), "axes")
        starts = self._static_offsets(g.inputs[0].spatial, g.output.spatial)
        if starts is not None and all(isinstance(size, int) for size in g.output.spatial):
            ends = [start + size for start, size in zip(starts, g.output.spatial, strict=True)]
            return str(g.Slice(x[0], g.const(starts, "starts"), g.const(ends, "ends"), axes))
        sizes = (
            self._onnx_sizes(g, x[1], rank, "like") if len(x) == 2 else g.const(list(as_spatial(self._size)), "size")
        )
        if starts is not None:
            begin = g.const(starts, "starts")
        else:
            spare = g.Sub(self._onnx_sizes(g, x[0], rank, "x"), sizes)
            begin = g.Div(spare, g.const([2] * (rank - 2), "two"))
        return str(g.Slice(x[0], begin, g.Add(begin, sizes), axes))

    def _static_offsets(self, have: tuple[Dim, ...], sizes: tuple[Dim, ...]) -> list[int] | None:
        if self.offset is not None:
            return list(as_spatial(self.offset))
        offsets = [(a - b) // 2 for a, b in zip(have, sizes, strict=True)]
        return [n for n in offsets if isinstance(n, int)] if all(isinstance(n, int) for n in offsets) else None

    def _onnx_sizes(self, g: Any, x: str, rank: int, hint: str) -> str:
        return str(g.Slice(g.Shape(x), g.const([2], f"{hint}_first"), g.const([rank], f"{hint}_last")))
