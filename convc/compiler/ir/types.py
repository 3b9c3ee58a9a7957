"""What a value and a parameter are: shape and element type. Everything here is immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import NamedTuple

from ..errors import ShapeError
from .dims import Dim, SymDim, at, product

Shape = tuple[Dim, ...]


class DType(Enum):
    """Element types of values; the name is ONNX's and numpy's."""

    float32 = "float32"
    float64 = "float64"
    float16 = "float16"
    int64 = "int64"
    bool = "bool"

    @property
    def bytes(self) -> int:
        return {"float32": 4, "float64": 8, "float16": 2, "int64": 8, "bool": 1}[self.value]


class TensorType(NamedTuple):
    """Shape and element type of a value. Images are (N, C, *spatial)."""

    shape: Shape
    dtype: DType = DType.float32

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def numel(self) -> Dim:
        return product(self.shape)

    @property
    def channels(self) -> int:
        """Axis 1; raises ShapeError where there is none or where it is dynamic."""
        if self.rank < 2:
            raise ShapeError(f"{self} has no channel axis (expected [N, C, ...])")
        channels = self.shape[1]
        if not isinstance(channels, int):
            raise ShapeError(f"the channels of {self} are dynamic: weights need a fixed number")
        return channels

    @property
    def spatial(self) -> Shape:
        """The axes behind batch and channels."""
        return self.shape[2:]

    def with_shape(self, *shape: Dim) -> TensorType:
        return TensorType(tuple(shape), self.dtype)

    def at(self, values: Mapping[str, int]) -> tuple[int, ...]:
        """The shape where each dynamic dimension has the given value."""
        return tuple(at(dim, values) for dim in self.shape)

    def symbols(self) -> frozenset[str]:
        """The names of the dynamic dimensions in the shape."""
        names = [dim.symbols() for dim in self.shape if isinstance(dim, SymDim)]
        return frozenset[str]().union(*names)

    def __str__(self) -> str:
        text = ", ".join(str(dim) for dim in self.shape)
        return f"[{text}]" if self.dtype is DType.float32 else f"{self.dtype.value}[{text}]"


@dataclass(frozen=True, slots=True)
class Init:
    """How a fresh parameter is filled.

    kind       value
    constant   every element
    normal     standard deviation
    uniform    half width around 0
    kaiming    normal with deviation value * sqrt(1 / fan_in): He et al., 2015, eq. 10 with value sqrt(2)
    xavier     uniform within sqrt(6 / (fan_in + fan_out)): Glorot and Bengio, 2010, eq. 16
    positive   value + 0.5 * uniform(0, 1): variances
    bilinear   the bilinear interpolation kernel on the channel diagonal (Long et al., 2015, section 3.3)
    """

    kind: str = "constant"
    value: float = 0.0


class ParamType(NamedTuple):
    """Shape and filling of a parameter; `trained` is false for statistics, which are not counted."""

    shape: tuple[int, ...]
    init: Init
    trained: bool = True

    @property
    def numel(self) -> int:
        return prod(self.shape)
