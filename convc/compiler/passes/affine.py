"""An affine map per channel, y = scale x + shift, as a value: numbers that nobody has computed yet, along one axis.

    then        b(a(x))     scale = a.scale b.scale        shift = a.shift b.scale + b.shift
    picked      of some channels, in another order         placed     of some channels among others, which stay as they are

No scale is 1 and no shift 0. Without an axis one number serves all elements, along whatever axis it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..ir import Lazy, Param, Stored
from .layouts import taken

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Expressions are evaluated by recursion; a real network folds one batch norm into a node, which is 3 deep.
_DEEPEST = 100


@dataclass(frozen=True)
class Affine:
    """`scale` and `shift` are (n,) along `axis`; (1,) where that is None."""

    axis: int | None
    scale: Param | None = None
    shift: Param | None = None

    def then(self, other: Affine) -> Affine | None:
        """The other map behind this one; None where they go along two axes."""
        if self.axis is not None and other.axis is not None and self.axis != other.axis:
            return None
        axis = other.axis if self.axis is None else self.axis
        moved = _product(self.shift, other.scale)
        scale = other.scale if self.scale is None else _product(self.scale, other.scale)
        return Affine(axis, scale, _sum(moved, other.shift))

    def on(self, axis: int, size: int) -> Affine | None:
        """With `size` numbers along an axis; None where it goes along another."""
        if self.axis is not None and self.axis != axis:
            return None
        return Affine(axis, _wide(self.scale, size), _wide(self.shift, size))

    def along(self, axis: int | None) -> Affine:
        """The same numbers along an axis with another place."""
        return self if self.axis is None else replace(self, axis=axis)

    def picked(self, channels: Sequence[int]) -> Affine:
        """Of the channels given, in their order; -1 is one that stays as it is."""
        places = tuple(channels)
        # One number may stand for all channels beside a vector, as the -1 of t - x does.
        size = max(places, default=0) + 1
        scale, shift = (
            _wide(one, size) if one is not None and one.shape == (1,) else one for one in (self.scale, self.shift)
        )
        scale = None if scale is None else taken(scale, 0, places, 1.0)
        return replace(self, scale=scale, shift=None if shift is None else taken(shift, 0, places))

    def shifts(self) -> bool:
        """Whether a shift is not 0. Looks at the numbers."""
        return self.shift is not None and bool(self.shift.evaluate().any())

    def turns(self) -> bool:
        """Whether a scale is negative, so that the greatest becomes the least. Looks at the numbers."""
        return self.scale is not None and not bool((self.scale.evaluate() >= 0).all())


def _product(a: Param | None, b: Param | None) -> Param | None:
    """a b; None where there is no a, a where there is no b."""
    return a if a is None or b is None else a * b


def _sum(a: Param | None, b: Param | None) -> Param | None:
    return b if a is None else a if b is None else a + b


def _wide(vector: Param | None, size: int) -> Param | None:
    """(1,) -> (size,)"""
    if vector is None or vector.shape == (size,):
        return vector

    def repeat(values: NDArray[Any]) -> NDArray[Any]:
        return values.repeat(size)

    return vector.apply((size,), repeat, "repeated", size)


def flat(param: Param) -> Param:
    """The same, computed now (in float64, as it would be later) where it hangs on a long chain of folds into one node."""
    top: Param = param
    for _ in range(_DEEPEST):
        if not isinstance(top, Lazy):
            return param
        top = top.arguments[0]
    return Stored(param.as_float64())
