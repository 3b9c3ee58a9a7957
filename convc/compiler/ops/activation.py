"""Activations: a row each where there is nothing to say, a class where there are arguments.

Every one maps elements to elements: the output's type is the input's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import pi, sqrt
from typing import Any, Self

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import Init, ParamType, TensorType
from .axes import checked_axis
from .emit import number, over_channels, torch_over_channels

TorchRow = Callable[[Any, Any], Any]
OnnxRow = Callable[[Any, str], Any]


class Elementwise(Op):
    """An operator that maps each element by itself: any shape -> the same."""

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]


def elementwise(name: str, doc: str, *, torch: TorchRow, onnx: OnnxRow, group: str = "activation") -> type[Elementwise]:
    """An operator of one value and no arguments, as a row."""

    def run(self: Op, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return torch(t, x[0])

    def emit(self: Op, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(onnx(g, x[0]))

    title = "".join(part.title() for part in name.split("_"))
    body = {"torch": run, "onnx": emit, "__doc__": f"{doc}\n\n    x       any shape\n    ->      the same\n    "}
    return type(title, (Elementwise,), {**body, "__module__": __name__}, name=name, group=group)


def _mish(g: Any, x: str) -> Any:
    return g.Mish(x) if g.opset >= 18 else g.Mul(x, g.Tanh(g.Softplus(x)))


Relu = elementwise("relu", "max(x, 0).", torch=lambda t, x: t.relu(x), onnx=lambda g, x: g.Relu(x))
Relu6 = elementwise(
    "relu6",
    "min(max(x, 0), 6) (MobileNet).",
    torch=lambda t, x: t.clamp(x, 0, 6),
    onnx=lambda g, x: g.Clip(x, number(g, 0.0, "min"), number(g, 6.0, "max")),
)
Sigmoid = elementwise("sigmoid", "1 / (1 + exp(-x)).", torch=lambda t, x: t.sigmoid(x), onnx=lambda g, x: g.Sigmoid(x))
Tanh = elementwise("tanh", "Hyperbolic tangent.", torch=lambda t, x: t.tanh(x), onnx=lambda g, x: g.Tanh(x))
Silu = elementwise(
    "silu",
    "x * sigmoid(x), also called swish (Ramachandran et al., 2017).",
    torch=lambda t, x: t.nn.functional.silu(x),
    onnx=lambda g, x: g.Mul(x, g.Sigmoid(x)),
)
Mish = elementwise(
    "mish", "x * tanh(softplus(x)) (Misra, 2019).", torch=lambda t, x: t.nn.functional.mish(x), onnx=_mish
)
Hardswish = elementwise(
    "hardswish",
    "x * relu6(x + 3) / 6 (Howard et al., 2019).",
    torch=lambda t, x: t.nn.functional.hardswish(x),
    onnx=lambda g, x: g.HardSwish(x),
)
Softplus = elementwise(
    "softplus", "log(1 + exp(x)).", torch=lambda t, x: t.nn.functional.softplus(x), onnx=lambda g, x: g.Softplus(x)
)


@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Elementwise, name="leaky_relu", group="activation", principal="slope"):
    """x where it is positive, else slope * x (Maas et al., 2013).

    x       any shape
    ->      the same
    """

    slope: float = arg(0.01, kind="number", doc="factor of negative values")

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.leaky_relu(x[0], self.slope)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.LeakyRelu(x[0], alpha=self.slope))


@dataclass(frozen=True, kw_only=True)
class Prelu(Elementwise, name="prelu", group="activation"):
    """Leaky ReLU with a learned slope (He et al., 2015).

    x       (N, C, *S)
    weight  (C,), or (1,) if shared
    ->      (N, C, *S)
    """

    shared: bool = arg(False, kind="bool", doc="one slope for all channels")
    init: Init | None = arg(None, kind="init", doc="how fresh slopes are filled; 0.25 if left out")

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return {"weight": ParamType((1 if self.shared else x[0].channels,), self.init or Init("constant", 0.25))}

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        slope = torch_over_channels(p["weight"], x[0].ndim - 2)
        return t.where(x[0] >= 0, x[0], slope * x[0])

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.PRelu(x[0], over_channels(g, p["weight"], g.inputs[0].rank - 2, "slope_shape")))


@dataclass(frozen=True, kw_only=True)
class Elu(Elementwise, name="elu", group="activation", principal="alpha"):
    """x where it is positive, else alpha * (exp(x) - 1) (Clevert et al., 2015).

    x       any shape
    ->      the same
    """

    alpha: float = arg(1.0, kind="number", doc="the value that large negative inputs approach, negated")

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.elu(x[0], self.alpha)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Elu(x[0], alpha=self.alpha))


@dataclass(frozen=True, kw_only=True)
class Gelu(Elementwise, name="gelu", group="activation", principal="approximate"):
    """x * Phi(x), Phi the normal distribution (Hendrycks and Gimpel, 2016).

    none    x / 2 * (1 + erf(x / sqrt(2)))
    tanh    x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))

    x       any shape
    ->      the same
    """

    approximate: str = arg("none", kind="word", choices=("none", "tanh"), doc="the exact form, or the one with tanh")

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.gelu(x[0], approximate=self.approximate)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        if g.opset >= 20:
            return str(g.Gelu(x[0], approximate=self.approximate))
        inner = g.Erf(g.Div(x[0], number(g, sqrt(2), "sqrt_2"))) if self.approximate == "none" else self._tanh(g, x[0])
        doubled = g.Mul(x[0], g.Add(inner, number(g, 1.0, "one")))
        return str(g.Mul(doubled, number(g, 0.5, "half")))

    def _tanh(self, g: Any, x: str) -> Any:
        cube = g.Mul(g.Mul(g.Mul(x, x), x), number(g, 0.044715, "cubic"))
        return g.Tanh(g.Mul(g.Add(x, cube), number(g, sqrt(2 / pi), "slope")))


@dataclass(frozen=True, kw_only=True)
class Hardsigmoid(Elementwise, name="hardsigmoid", group="activation"):
    """min(max(alpha * x + beta, 0), 1); by default relu6(x + 3) / 6 (Howard et al., 2019).

    x       any shape
    ->      the same
    """

    alpha: float = arg(1 / 6, kind="number", doc="slope")
    beta: float = arg(0.5, kind="number", doc="value at 0")

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.clamp(x[0] * self.alpha + self.beta, 0, 1)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.HardSigmoid(x[0], alpha=self.alpha, beta=self.beta))


@dataclass(frozen=True, kw_only=True)
class Clip(Elementwise, name="clip", group="activation"):
    """min(max(x, min), max); either limit may be left out.

    x       any shape
    ->      the same
    """

    min: float | None = arg(None, kind="number", doc="the least value")
    max: float | None = arg(None, kind="number", doc="the greatest value")

    def bind(self, *x: TensorType) -> Self:
        if self.min is None and self.max is None:
            raise ShapeError("clip needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ShapeError(f"clip: min {self.min:g} is above max {self.max:g}")
        return self

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.clamp(x[0], self.min, self.max)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        low = "" if self.min is None else number(g, self.min, "min")
        limits = (low,) if self.max is None else (low, number(g, self.max, "max"))
        return str(g.Clip(x[0], *limits))


@dataclass(frozen=True, kw_only=True)
class Softmax(Op, name="softmax", group="activation", arity=(1, 1), principal="axis"):
    """exp(x) over its sum along an axis.

    x       any shape
    ->      the same
    """

    axis: int = arg(1, kind="int", doc="the axis that sums to 1; a negative one counts from the back")

    def bind(self, *x: TensorType) -> Self:
        return replace(self, axis=checked_axis(self.axis, x[0]))

    def infer(self, *x: TensorType) -> TensorType:
        checked_axis(self.axis, x[0])
        return x[0]

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.softmax(x[0], dim=self.axis)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Softmax(x[0], axis=self.axis))
