"""Axes and sizes as the field speaks of them: names, negative axes, broadcasting, values per spatial axis."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.types import Shape, TensorType

_SPATIAL = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def axis_name(axis: int, rank: int) -> str:
    """What axis `axis` of a value of this rank is called: batch, channels, height, ..."""
    if axis < 2:
        return ("batch size", "channels")[axis] if rank > 1 else "axis 0"
    return _SPATIAL[rank - 2][axis - 2] if rank - 2 in _SPATIAL else f"axis {axis}"


def differs(axis: int, rank: int, left: Dim, right: Dim) -> str:
    """`channels differ (64 and 32)`."""
    name = axis_name(axis, rank)
    return f"{name} {'differ' if name.endswith('channels') else 'differs'} ({left} and {right})"


def checked_axis(axis: int, x: TensorType, *, extra: int = 0) -> int:
    """The axis counted from the front; `extra` more axes may be meant (a new one). Raises ShapeError."""
    rank = x.rank + extra
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} does not exist in {x}")
    return axis % rank


def checked_axes(axes: Sequence[int], x: TensorType) -> tuple[int, ...]:
    """Axes counted from the front, in order; raises ShapeError for one that is missing or named twice."""
    found = tuple(checked_axis(axis, x) for axis in axes)
    if len(set(found)) < len(found):
        raise ShapeError(f"axes {list(axes)} name one axis twice in {x}")
    return tuple(sorted(found))


def spatial_rank(x: TensorType, what: str) -> int:
    """How many spatial axes `x` has: 1, 2 or 3. Raises ShapeError."""
    if not 3 <= x.rank <= 5:
        raise ShapeError(f"{what} needs [N, C, ...] with one, two or three spatial axes, but got {x}")
    return x.rank - 2


def per_axis(value: int | Sequence[int], rank: int, what: str) -> tuple[int, ...]:
    """One value per spatial axis; a single one, or a list of one, serves all. Raises ShapeError."""
    values = (value,) if isinstance(value, int) else tuple(value)
    if len(values) == 1:
        return values * rank
    if len(values) != rank:
        raise ShapeError(f"{what} {list(values)} has {len(values)} numbers, but the input has {_axes(rank)}")
    return values


def broadcast(verb: str, *types: TensorType) -> TensorType:
    """The common type of values combined element by element, by numpy's rule; raises ShapeError.

    [N, 64, 28, 28] and [N, 64, 1, 1]   ->   [N, 64, 28, 28]
    """
    result = types[0]
    for other in types[1:]:
        result = _pair(verb, result, other)
    return result


def _pair(verb: str, left: TensorType, right: TensorType) -> TensorType:
    same_types(verb, left, right)
    rank = max(left.rank, right.rank)
    pairs = zip(_padded(left, rank), _padded(right, rank), strict=True)
    return left.with_shape(*(_size(verb, (left, right), axis, rank, a, b) for axis, (a, b) in enumerate(pairs)))


def _size(verb: str, types: tuple[TensorType, TensorType], axis: int, rank: int, a: Dim, b: Dim) -> Dim:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    raise ShapeError(f"cannot {verb} {types[0]} and {types[1]}: {differs(axis, rank, a, b)}")


def same_types(verb: str, left: TensorType, right: TensorType) -> None:
    """Refuse values of two element types."""
    if left.dtype != right.dtype:
        raise ShapeError(f"cannot {verb} {left} and {right}: {left.dtype.value} and {right.dtype.value} do not mix")


def _padded(x: TensorType, rank: int) -> Shape:
    return (1,) * (rank - x.rank) + x.shape


def _axes(rank: int) -> str:
    return "1 spatial axis" if rank == 1 else f"{rank} spatial axes"
