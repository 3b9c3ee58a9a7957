"""Arithmetic, element by element; values of different shapes broadcast as numpy's do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

from ..ir.op import Op, Params, arg
from ..ir.types import TensorType
from .activation import Elementwise, elementwise
from .axes import broadcast
from .emit import number


class Combine(Op):
    """Values combined element by element.

    a, b, ...   shapes that broadcast
    ->          the common shape
    """

    verb: ClassVar[str]
    torch_name: ClassVar[str]
    onnx_name: ClassVar[str]

    def __init_subclass__(cls, verb: str, torch: str, onnx: str, **rest: Any) -> None:
        super().__init_subclass__(group="arithmetic", **rest)
        cls.verb, cls.torch_name, cls.onnx_name = verb, torch, onnx

    def infer(self, *x: TensorType) -> TensorType:
        return broadcast(self.verb, *x)

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return reduce(getattr(t, self.torch_name), x)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        # A chain rather than one Sum: runtimes fuse an Add into the convolution before it.
        return reduce(getattr(g, self.onnx_name), x) if len(x) > 1 else str(g.Identity(x[0]))


class Add(Combine, name="add", arity=(1, None), verb="add", torch="add", onnx="Add"):
    """Sum of values.

    a, b, ...   shapes that broadcast
    ->          the common shape
    """


class Sub(Combine, name="sub", arity=(2, 2), verb="subtract", torch="sub", onnx="Sub"):
    """The first value minus the second.

    a, b    shapes that broadcast
    ->      the common shape
    """


class Mul(Combine, name="mul", arity=(1, None), verb="multiply", torch="mul", onnx="Mul"):
    """Product of values.

    a, b, ...   shapes that broadcast
    ->          the common shape
    """


class Div(Combine, name="div", arity=(2, 2), verb="divide", torch="div", onnx="Div"):
    """The first value divided by the second.

    a, b    shapes that broadcast
    ->      the common shape
    """


class Max(Combine, name="max", arity=(1, None), verb="take the maximum of", torch="maximum", onnx="Max"):
    """The greatest of values.

    a, b, ...   shapes that broadcast
    ->          the common shape
    """


class Min(Combine, name="min", arity=(1, None), verb="take the minimum of", torch="minimum", onnx="Min"):
    """The least of values.

    a, b, ...   shapes that broadcast
    ->          the common shape
    """


Sqrt = elementwise(
    "sqrt", "Square root.", group="arithmetic", torch=lambda t, x: t.sqrt(x), onnx=lambda g, x: g.Sqrt(x)
)
Exp = elementwise("exp", "exp(x).", group="arithmetic", torch=lambda t, x: t.exp(x), onnx=lambda g, x: g.Exp(x))
Abs = elementwise("abs", "|x|.", group="arithmetic", torch=lambda t, x: t.abs(x), onnx=lambda g, x: g.Abs(x))
Neg = elementwise("neg", "-x.", group="arithmetic", torch=lambda t, x: t.neg(x), onnx=lambda g, x: g.Neg(x))


@dataclass(frozen=True, kw_only=True)
class Pow(Elementwise, name="pow", group="arithmetic", principal="exponent"):
    """x to a fixed power.

    x       any shape
    ->      the same
    """

    exponent: float = arg(kind="number", doc="the power")

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.pow(x[0], self.exponent)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Pow(x[0], number(g, self.exponent, "exponent")))
