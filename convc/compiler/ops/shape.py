"""Operators that only rearrange axes: slice, flatten, reshape, transpose; and the arithmetic of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.dims import Dim, product
from ..ir.op import Op, Params, arg
from ..ir.types import Shape, TensorType
from .axes import axis_name, checked_axis
from .sizes import check_known, onnx_sizes, torch_sizes


def split_sizes(total: Dim, parts: int | Sequence[int]) -> tuple[int, ...]:
    """The sizes of a split of `total` elements into so many equal parts, or into the sizes given. Raises ShapeError."""
    if not isinstance(total, int):
        raise ShapeError(f"cannot split an axis of dynamic size {total}: its parts would be dynamic")
    if isinstance(parts, int):
        if parts < 1:
            raise ShapeError(f"cannot split into {parts} parts")
        if total % parts:
            raise ShapeError(f"cannot split {total} elements into {parts} equal parts; give `sizes:`")
        return (total // parts,) * parts
    sizes = tuple(parts)
    if not sizes or any(size < 1 for size in sizes):
        raise ShapeError(f"sizes {list(sizes)} must be whole numbers of at least 1")
    if sum(sizes) != total:
        raise ShapeError(f"sizes {list(sizes)} add up to {sum(sizes)}, but there are {total} elements")
    return sizes


@dataclass(frozen=True, kw_only=True)
class Slice(Op, name="slice", group="shape"):
    """Elements start, start + step, ... before end, along one axis. Negative numbers count from the back.

    x       (..., L, ...)
    ->      (..., ceil((end - start) / step), ...)
    """

    axis: int = arg(1, kind="int", doc="the axis that is cut; a negative one counts from the back")
    start: Dim = arg(0, kind="dim", doc="the first element")
    end: Dim | None = arg(None, kind="dim", doc="the element behind the last; the axis' end if left out")
    step: int = arg(1, kind="size", doc="distance between the elements taken")

    of: Shape = field(default=(), repr=False)

    def bind(self, *x: TensorType) -> Self:
        axis = checked_axis(self.axis, x[0])
        size = x[0].shape[axis]
        start = _place(self.start, size)
        end = None if self.end is None or self.end == size else _place(self.end, size)
        check_known((start, end or 0), x[0].shape)
        return replace(self, axis=axis, start=start, end=end, of=_needed((start, end or 0), x[0].shape))

    def infer(self, *x: TensorType) -> TensorType:
        axis = checked_axis(self.axis, x[0])
        size = x[0].shape[axis]
        name = axis_name(axis, x[0].rank)
        start, end = _counted(self.start, size), size if self.end is None else _counted(self.end, size)
        for what, place in (("start", start), ("end", end)):
            if _negative(place) or _negative(size - place):
                raise ShapeError(f"{what} {getattr(self, what)} lies outside the {size} elements of {name} in {x[0]}")
        count = (end - start + self.step - 1) // self.step
        if isinstance(count, int) and count < 1:
            raise ShapeError(f"the slice from {self.start} to {end} of {name} in {x[0]} is empty")
        return x[0].with_shape(*x[0].shape[:axis], count, *x[0].shape[axis + 1 :])

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        start, end = torch_sizes((self.start, self.end or 0), self.of, x[0])
        cut = slice(start, None if self.end is None else end, self.step)
        return x[0][(slice(None),) * self.axis + (cut,)]

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        start = onnx_sizes(g, [self.start], self.of, x[0], "start")
        end = onnx_sizes(g, [2**63 - 1 if self.end is None else self.end], self.of, x[0], "end")
        steps = [g.const([self.step], "step")] if self.step != 1 else []
        return str(g.Slice(x[0], start, end, g.const([self.axis], "axis"), *steps))


def _negative(size: Dim) -> bool:
    return isinstance(size, int) and size < 0


def _needed(dims: Sequence[Dim], shape: Shape) -> Shape:
    """The input's shape, where sizes have to be computed from it."""
    return () if all(isinstance(dim, int) for dim in dims) else shape


def _place(place: Dim, size: Dim) -> Dim:
    """A place on an axis: a number from the front, a negative one from the back where that is simpler, or a size."""
    behind = place if isinstance(place, int) else place - size
    return behind if isinstance(behind, int) and behind < 0 else place


def _counted(place: Dim, size: Dim) -> Dim:
    return size + place if isinstance(place, int) and place < 0 else place


@dataclass(frozen=True, kw_only=True)
class Flatten(Op, name="flatten", group="shape", arity=(1, 1), principal="start"):
    """Axes from `start` on become one.

    x       (N, C, *S)
    ->      (N, C * S ...) with start 1
    """

    start: int = arg(1, kind="int", doc="the first axis of those that become one")

    def bind(self, *x: TensorType) -> Self:
        return replace(self, start=checked_axis(self.start, x[0]))

    def infer(self, *x: TensorType) -> TensorType:
        start = checked_axis(self.start, x[0])
        return x[0].with_shape(*x[0].shape[:start], product(x[0].shape[start:]))

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.flatten(x[0], self.start)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        if self.start == 1:
            return str(g.Flatten(x[0], axis=1))
        return str(g.Reshape(x[0], g.const([0] * self.start + [-1], "shape")))


@dataclass(frozen=True, kw_only=True)
class Reshape(Op, name="reshape", group="shape", arity=(1, 1), principal="shape"):
    """The same elements in another shape: 0 keeps the size of the axis at that place, one -1 takes what is left.

    x       any shape
    ->      shape
    """

    shape: tuple[Dim, ...] = arg(kind="dims", doc="the new shape; 0 keeps an axis, -1 takes what is left")
    of: Shape = field(default=(), repr=False)

    def bind(self, *x: TensorType) -> Self:
        for dim in self.shape:
            if isinstance(dim, int) and dim < -1:
                raise ShapeError(f"shape {list(self.shape)}: {dim} is no size; 0 keeps an axis, -1 takes what is left")
        if sum(dim == -1 for dim in self.shape) > 1:
            raise ShapeError(f"shape {list(self.shape)} has more than one -1")
        kept = tuple(0 if _stays(i, dim, x[0].shape) else dim for i, dim in enumerate(self.shape))
        dynamic = [dim for dim in kept if not isinstance(dim, int)]
        if len(dynamic) == 1 and -1 not in kept:
            # What is left is the dynamic size; `infer` checks that it is.
            kept = tuple(dim if isinstance(dim, int) else -1 for dim in kept)
            dynamic = []
        check_known(dynamic, x[0].shape)
        bound = replace(self, shape=kept, of=_needed(kept, x[0].shape))
        if bound.infer(*x) != self.infer(*x):
            raise self._mismatch(x[0])
        return bound

    def infer(self, *x: TensorType) -> TensorType:
        wanted = self._kept(x[0])
        have = list(x[0].shape)
        left: list[Dim] = []
        # Equal sizes cancel first, so that a quotient of dynamic sizes stays a plain one.
        for dim in wanted:
            if dim in have:
                have.remove(dim)
            elif dim != -1:
                left.append(dim)
        if -1 not in wanted:
            if product(have) != product(left):
                raise self._mismatch(x[0])
            return x[0].with_shape(*wanted)
        rest = self._quotient(x[0], product(have), product(left))
        return x[0].with_shape(*(rest if dim == -1 else dim for dim in wanted))

    def _quotient(self, x: TensorType, total: Dim, known: Dim) -> Dim:
        try:
            rest = total // known
        except ShapeError as error:
            raise self._mismatch(x) from error
        if rest * known != total:
            raise self._mismatch(x)
        return rest

    def _kept(self, x: TensorType) -> Shape:
        for i, dim in enumerate(self.shape):
            if dim == 0 and i >= x.rank:
                raise ShapeError(f"shape {list(self.shape)}: 0 at place {i} keeps an axis that {x} does not have")
        return tuple(x.shape[i] if dim == 0 else dim for i, dim in enumerate(self.shape))

    def _mismatch(self, x: TensorType) -> ShapeError:
        return ShapeError(
            f"cannot reshape {x} to {list(self.shape)}: {x.numel} elements do not make {list(self._kept(x))}"
        )

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        sizes = torch_sizes(self.shape, self.of, x[0])
        return x[0].reshape([x[0].shape[i] if dim == 0 else sizes[i] for i, dim in enumerate(self.shape)])

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Reshape(x[0], onnx_sizes(g, self.shape, self.of, x[0], "shape")))


def _stays(place: int, dim: Dim, shape: Shape) -> bool:
    return not isinstance(dim, int) and place < len(shape) and shape[place] == dim


@dataclass(frozen=True, kw_only=True)
class Transpose(Op, name="transpose", group="shape", arity=(1, 1), principal="perm"):
    """Axes in another order: axis i of the output is axis perm[i] of the input.

    x       (N, C, H, W)
    ->      (N, H, W, C) with perm [0, 2, 3, 1]
    """

    perm: tuple[int, ...] = arg(kind="ints", doc="the input's axes in their new order")

    def bind(self, *x: TensorType) -> Self:
        perm = tuple(checked_axis(axis, x[0]) for axis in self.perm)
        if sorted(perm) != list(range(x[0].rank)):
            raise ShapeError(f"perm {list(self.perm)} must name each of the {x[0].rank} axes of {x[0]} once")
        return replace(self, perm=perm)

    def infer(self, *x: TensorType) -> TensorType:
        if len(self.perm) != x[0].rank:
            raise ShapeError(f"perm {list(self.perm)} must name each of the {x[0].rank} axes of {x[0]} once")
        return x[0].with_shape(*(x[0].shape[axis] for axis in self.perm))

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0].permute(self.perm)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Transpose(x[0], perm=list(self.perm)))
