"""What only matters in training: at inference these hand their input on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import TensorType


class _Passing(Op):
    identity_at_inference: ClassVar[bool] = True

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Identity(x[0]))


class Identity(_Passing, name="identity", group="activation"):
    """The value itself.

    x       any shape
    ->      the same
    """

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return x[0]


@dataclass(frozen=True, kw_only=True)
class Dropout(_Passing, name="dropout", group="training only", principal="p"):
    """In training, each element is 0 with probability p, and the others are divided by 1 - p (Srivastava et al., 2014).

    x       any shape
    ->      the same
    """

    p: float = arg(0.5, kind="number", doc="probability that an element is dropped")

    def bind(self, *x: TensorType) -> Self:
        _check_probability(self.p)
        return self

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.dropout(x[0], self.p, training)


@dataclass(frozen=True, kw_only=True)
class DropPath(_Passing, name="drop_path", group="training only", principal="p"):
    """In training, each image's values are all 0 with probability p, or divided by 1 - p (Huang et al., 2016).

    x       (N, ...)
    ->      the same
    """

    p: float = arg(kind="number", doc="probability that an image's branch is dropped")

    def bind(self, *x: TensorType) -> Self:
        _check_probability(self.p)
        return self

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        if not training or self.p == 0:
            return x[0]
        shape = (x[0].shape[0], *[1] * (x[0].ndim - 1))
        kept = t.rand(shape, dtype=x[0].dtype, device=x[0].device) >= self.p
        return x[0] * kept / (1 - self.p)


def _check_probability(p: float) -> None:
    if not 0 <= p < 1:
        raise ShapeError(f"p {p:g} is a probability: at least 0 and below 1")
