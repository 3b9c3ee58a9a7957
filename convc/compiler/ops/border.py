"""Elements added around a value, or cut off: pad and crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.op import Op, Params, arg
from ..ir.types import Shape, TensorType
from .axes import axis_name, checked_axis, per_axis, spatial_rank
from .conv import Spatial, as_spatial
from .emit import number
from .padding import MODES
from .sizes import as_dims, check_known, onnx_sizes, torch_sizes

_ONNX_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@dataclass(frozen=True, kw_only=True)
class Pad(Op, name="pad", group="shape", arity=(1, 1), principal="padding"):
    """Elements before and after each of some axes.

    x       (N, C, *S)
    ->      the same with its axes grown; the spatial ones if `axes` is left out
    """

    padding: Dim | tuple[Dim, ...] = arg(kind="dims", doc="elements before and after: one number, one per axis, or two")
    value: float = arg(0.0, kind="number", doc="what mode zeros fills with")
    mode: str = arg("zeros", kind="word", choices=MODES, doc="what the new elements hold")
    axes: tuple[int, ...] | None = arg(None, kind="ints", doc="the axes that grow; the spatial ones if left out")
    of: Shape = field(default=(), repr=False)

    def bind(self, *x: TensorType) -> Self:
        if any(isinstance(amount, int) and amount < 0 for amount in as_dims(self.padding)):
            raise ShapeError(f"padding {list(as_dims(self.padding))} is negative: slice and crop cut off")
        axes = tuple(range(2, x[0].rank)) if self.axes is None else self.axes
        axes = tuple(checked_axis(axis, x[0]) for axis in axes)
        if not axes or len(set(axes)) < len(axes):
            raise ShapeError(f"axes {list(axes)} must name each axis of {x[0]} that grows once")
        if self.mode != "zeros" and self.value:
            raise ShapeError(f"value {self.value:g} goes with mode zeros, not with {self.mode}")
        if self.mode != "zeros" and axes != tuple(range(2, x[0].rank)):
            raise ShapeError(f"mode {self.mode} pads the spatial axes, not axes {list(axes)}")
        padding = _both(as_dims(self.padding), len(axes))
        check_known(padding, x[0].shape)
        dynamic = any(not isinstance(amount, int) for amount in padding)
        return replace(self, axes=axes, padding=padding, of=x[0].shape if dynamic else ())

    def infer(self, *x: TensorType) -> TensorType:
        shape = list(x[0].shape)
        for axis, (front, behind) in self._amounts(as_dims(self.padding)).items():
            checked_axis(axis, x[0])
            self._check_source(x[0], axis, front)
            self._check_source(x[0], axis, behind)
            shape[axis] = shape[axis] + front + behind
        return x[0].with_shape(*shape)

    def _check_source(self, x: TensorType, axis: int, amount: Dim) -> None:
        size = x.shape[axis]
        limit = {"reflect": size - 1, "circular": size}.get(self.mode, amount)
        spare = limit - amount
        if isinstance(spare, int) and spare < 0:
            name = axis_name(axis, x.rank)
            raise ShapeError(f"mode {self.mode} cannot take {amount} elements from {name} {size}")

    def _amounts(self, pads: Sequence[Any]) -> dict[int, tuple[Any, Any]]:
        """Elements in front and behind, by axis."""
        assert self.axes is not None
        count = len(self.axes)
        return {axis: (pads[i], pads[i + count]) for i, axis in enumerate(self.axes)}

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        amounts = self._amounts(torch_sizes(as_dims(self.padding), self.of, x[0]))
        first = min(amounts)
        # PyTorch lists the last axis first.
        flat = [n for axis in range(x[0].ndim - 1, first - 1, -1) for n in amounts.get(axis, (0, 0))]
        if self.mode == "zeros":
            return t.nn.functional.pad(x[0], flat, value=self.value)
        return t.nn.functional.pad(x[0], flat, mode=self.mode)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        if self.mode == "circular" and g.opset < 19:
            raise ShapeError(f"mode circular needs opset 19 or newer, not {g.opset}")
        if self.mode == "zeros" and g.opset >= 18:
            return self._onnx_axes(g, x[0])
        amounts = [self._amounts(as_dims(self.padding)).get(axis, (0, 0)) for axis in range(g.inputs[0].rank)]
        listed = [front for front, _ in amounts] + [behind for _, behind in amounts]
        pads = onnx_sizes(g, listed, self.of, x[0], "pads")
        fill = [number(g, self.value, "value")] if self.value else []
        return str(g.Pad(x[0], pads, *fill, mode=_ONNX_MODES[self.mode]))

    def _onnx_axes(self, g: Any, x: str) -> str:
        """With its axes named: ONNX Runtime takes zeros in front of a maximum for padding that never wins, but not these."""
        assert self.axes is not None
        pads = onnx_sizes(g, as_dims(self.padding), self.of, x, "pads")
        return str(g.Pad(x, pads, number(g, self.value, "value"), g.const(list(self.axes), "axes")))


@dataclass(frozen=True, kw_only=True)
class Crop(Op, name="crop", group="shape", arity=(1, 2), principal="size"):
    """A window of the spatial axes, as large as `size` or as the second value (`like`).

    x       (N, C, *S), and like (N', C', *S')
    ->      (N, C, *size) or (N, C, *S')
    """

    size: Dim | tuple[Dim, ...] | None = arg(
        None, kind="dims", doc="size of the window, where no second value gives it"
    )
    offset: Spatial | None = arg(None, kind="spatial0", doc="where the window begins; in the middle if left out")
    of: Shape = field(default=(), repr=False)

    def bind(self, *x: TensorType) -> Self:
        rank = spatial_rank(x[0], "crop")
        if (self.size is None) == (len(x) == 1):
            raise ShapeError("crop needs either a size or a second value to be as large as")
        offset = None if self.offset is None else per_axis(self.offset, rank, "offset")
        if self.size is None:
            return replace(self, offset=offset)
        size = sizes_per_axis(as_dims(self.size), rank)
        check_known(size, x[0].shape)
        return replace(self, size=size, offset=offset, of=x[0].shape)

    def infer(self, *x: TensorType) -> TensorType:
        if len(x) == 2 and x[1].rank != x[0].rank:
            raise ShapeError(f"cannot crop {x[0]} to the size of {x[1]}: they differ in their number of axes")
        sizes = x[1].spatial if len(x) == 2 else self._size
        for axis, (have, wanted) in enumerate(zip(x[0].spatial, sizes, strict=True)):
            first = 0 if self.offset is None else as_spatial(self.offset)[axis]
            spare = have - wanted - first
            if isinstance(spare, int) and spare < 0:
                name = axis_name(axis + 2, x[0].rank)
                place = f" from {first} on" if first else ""
                raise ShapeError(f"cannot crop {name} {have} to {wanted}{place}")
        return x[0].with_shape(*x[0].shape[:2], *sizes)

    @property
    def _size(self) -> tuple[Dim, ...]:
        assert self.size is not None
        return as_dims(self.size)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        sizes = x[1].shape[2:] if len(x) == 2 else torch_sizes(self._size, self.of, x[0])
        y = x[0]
        for axis, size in enumerate(sizes):
            middle = (y.shape[axis + 2] - size) // 2
            y = y.narrow(axis + 2, middle if self.offset is None else as_spatial(self.offset)[axis], size)
        return y

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        have, wanted = g.inputs[0].spatial, g.output.spatial
        axes = g.const(list(range(2, len(have) + 2)), "axes")
        if len(x) == 2:
            # Read from the second value itself: its sizes need not be told by the first's.
            sizes = onnx_sizes(g, wanted, g.inputs[1].shape, x[1], "size")
        else:
            sizes = onnx_sizes(g, wanted, g.inputs[0].shape, x[0], "size")
        if self.offset is not None:
            begins = g.const(list(as_spatial(self.offset)), "begins")
        elif all(isinstance(size, int) for size in (*have, *wanted)):
            begins = g.const([(a - b) // 2 for a, b in zip(have, wanted, strict=True)], "begins")
        else:
            spare = g.Sub(onnx_sizes(g, have, g.inputs[0].shape, x[0], "have"), sizes)
            begins = g.Div(spare, g.const([2] * len(have), "two"))
        return str(g.Slice(x[0], begins, g.Add(begins, sizes), axes))


def sizes_per_axis(sizes: Sequence[Dim], rank: int) -> tuple[Dim, ...]:
    """One size per spatial axis; a single one serves all. Raises ShapeError."""
    values = tuple(sizes) * rank if len(sizes) == 1 else tuple(sizes)
    if len(values) != rank:
        raise ShapeError(f"size {list(values)} has {len(values)} numbers, but the input has {rank} spatial axes")
    if any(isinstance(size, int) and size < 1 for size in values):
        raise ShapeError(f"size {list(values)} must be at least 1")
    return values


def _both(padding: Sequence[Dim], count: int) -> tuple[Dim, ...]:
    """Begins, then ends, for so many axes."""
    values = tuple(padding)
    if len(values) == 2 * count:
        return values
    if len(values) not in (1, count):
        raise ShapeError(
            f"padding {list(values)} has {len(values)} numbers: give 1, {count} or {2 * count} for {count} axes"
        )
    return (values * count if len(values) == 1 else values) * 2
