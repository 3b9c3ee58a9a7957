"""Linear maps: with learned weights over the last axis, and products of two values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import Init, ParamType, TensorType
from .axes import broadcast, same_types
from .conv import static
from .emit import weights
from .init import LECUN, ZEROS


@dataclass(frozen=True, kw_only=True)
class Linear(Op, name="linear", group="convolution", arity=(1, 1), principal="out"):
    """Fully connected layer over the last axis: y = x W^T + b.

    x       (..., F)
    weight  (out, F)
    bias    (out,)       if bias
    ->      (..., out)
    """

    out: int | None = arg(None, kind="size", doc="output features; the incoming ones if left out")
    bias: bool = arg(True, kind="bool", doc="add a learned number to each output feature")
    init: Init | None = arg(None, kind="init", doc="how fresh weights are filled; normal, 1 / sqrt(F), if left out")

    def bind(self, *x: TensorType) -> Self:
        features = _features(x[0])
        return self if self.out is not None else replace(self, out=features)

    def infer(self, *x: TensorType) -> TensorType:
        assert self.out is not None
        _features(x[0])
        return x[0].with_shape(*x[0].shape[:-1], self.out)

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        assert self.out is not None
        weight = {"weight": ParamType((self.out, _features(x[0])), self.init or LECUN)}
        return weight | ({"bias": ParamType((self.out,), ZEROS)} if self.bias else {})

    def macs(self, y: TensorType, *x: TensorType) -> int:
        return static(y.numel) * _features(x[0])

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.linear(x[0], p["weight"], p.get("bias"))

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        if g.inputs[0].rank == 2:
            return str(g.Gemm(x[0], *weights(p), transB=1))
        # ORT folds the transposed weight when it loads the model.
        y = g.MatMul(x[0], g.Transpose(p["weight"], perm=[1, 0]))
        return str(g.Add(y, p["bias"]) if self.bias else y)


def _features(x: TensorType) -> int:
    if x.rank < 2:
        raise ShapeError(f"linear needs [N, ..., features], but got {x}")
    features = x.shape[-1]
    if not isinstance(features, int):
        raise ShapeError(
            f"the last axis of {x} is dynamic: weights need a fixed number (flatten or pool before linear)"
        )
    return features


class MatMul(Op, name="matmul", group="arithmetic", arity=(2, 2)):
    """Matrix product over the last two axes; the axes before them broadcast.

    a, b    (..., n, k), (..., k, m)
    ->      (..., n, m)
    """

    def infer(self, *x: TensorType) -> TensorType:
        a, b = x
        if a.rank < 2 or b.rank < 2:
            raise ShapeError(f"matmul needs matrices, but got {a} and {b}")
        same_types("multiply", a, b)
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"cannot multiply {a} and {b}: the first has {a.shape[-1]} columns, the second {b.shape[-2]} rows"
            )
        batch = broadcast("multiply", a.with_shape(*a.shape[:-2]), b.with_shape(*b.shape[:-2]))
        return a.with_shape(*batch.shape, a.shape[-2], b.shape[-1])

    def attention_macs(self, y: TensorType, *x: TensorType) -> int:
        return static(y.numel) * static(x[0].shape[-1])

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.matmul(*x)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.MatMul(*x))
