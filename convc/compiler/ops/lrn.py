"""Local response normalisation over neighbouring channels (Krizhevsky et al., 2012, section 3.3).

y = x / (k + alpha / size * sum of squares of `size` neighbours)^beta       as Caffe, PyTorch and ONNX have it
y = x / (k + alpha * sum of squares)^beta                                   the paper: divide_by_size false
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import TensorType


@dataclass(frozen=True, kw_only=True)
class Lrn(Op, name="lrn", group="norm", arity=(1, 1), principal="size"):
    """Local response normalisation.

    x       (N, C, *S)
    ->      (N, C, *S)
    """

    size: int = arg(5, kind="size", doc="how many neighbouring channels, an odd number")
    alpha: float = arg(1e-4, kind="number", doc="factor of the sum of squares")
    beta: float = arg(0.75, kind="number", doc="exponent")
    k: float = arg(1.0, kind="number", doc="added to the sum")
    divide_by_size: bool = arg(True, kind="bool", doc="whether alpha is divided by size; the paper's is not")

    def bind(self, *x: TensorType) -> Self:
        if self.size % 2 == 0:
            raise ShapeError(f"size {self.size} must be odd, so that a channel has as many neighbours on either side")
        if self.k <= 0 or self.alpha < 0:
            raise ShapeError(f"k {self.k:g} must be positive and alpha {self.alpha:g} not negative")
        return self

    def infer(self, *x: TensorType) -> TensorType:
        if x[0].rank < 3:
            raise ShapeError(f"lrn needs [N, C, ...] with spatial axes, but got {x[0]}")
        return x[0]

    @property
    def _alpha(self) -> float:
        return self.alpha if self.divide_by_size else self.alpha * self.size

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.local_response_norm(x[0], self.size, self._alpha, self.beta, self.k)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        settings = {"size": self.size, "alpha": self._alpha, "beta": self.beta, "bias": self.k}
        if g.inputs[0].rank == 4:
            return str(g.LRN(x[0], **settings))
        # ORT has a kernel for four axes only, and places do not touch each other here.
        flat = g.Reshape(x[0], g.const([0, 0, -1, 1], "flat"))
        return str(g.Reshape(g.LRN(flat, **settings), g.Shape(x[0])))
