"""Per-channel affine maps in every spelling, and activations written out; beside each, what only looks like it."""

from __future__ import annotations

from typing import Any

from convc.compiler.errors import ShapeError
from tests.fuzz.layers import Piece, batch_norm, conv, conv_transpose, curve, pointwise
from tests.fuzz.sketch import Sketch


def numbers(s: Sketch, *shape: int) -> Any:
    """Nested lists, away from 0."""
    if not shape:
        return s.one([-1, 1]) * s.random.uniform(0.4, 1.4)
    return [numbers(s, *shape[1:]) for _ in range(shape[0])]


def factor(s: Sketch, x: str) -> str:
    """A constant or learned value that broadcasts against x: per channel mostly, a single number, or along another axis."""
    type_ = s.type(x)
    wide = (1,) * (type_.rank - 2)
    last = type_.shape[-1]
    shapes: list[tuple[int, ...]] = [(type_.channels, *wide), (1, type_.channels, *wide), (), (1,)]
    # Along the width: no channel factor, however much it looks like one where the two sizes agree.
    near = [(last,)] if isinstance(last, int) else []
    shape = s.one(near) if near and s.chance(0.12) else s.one(shapes)
    if shape and s.chance(0.4):
        return s.put("parameter", shape=shape)
    if s.chance(0.1):  # a constant that has to be computed
        return s.put(s.one(["add", "mul"]), s.constant(numbers(s, *shape)), s.constant(numbers(s)))
    return s.constant(numbers(s, *shape))


def arithmetic(s: Sketch, x: str) -> str:
    """One step with a constant, on either side."""
    name = s.one(["add", "mul", "mul", "sub", "div", "neg", "scale"])
    if name == "scale":
        return s.put("scale", x)
    if name == "neg":
        return s.put("neg", x)
    c = factor(s, x)
    if name == "div":
        if s.nodes[c].op.name != "constant":
            raise ShapeError("a divisor may come close to 0")
        return s.put("div", x, c)
    return s.put(name, *(s.one([(x, c), (c, x)])))


def affine(s: Sketch, x: str) -> str:
    """Two or three of them in a row, batch norms among them."""
    for _ in range(s.one([1, 2, 2, 3])):
        x = batch_norm(s, x) if s.chance(0.45) else arithmetic(s, x)
    return x


def affine_behind(s: Sketch, x: str) -> str:
    """conv -> affine, with a second reader or a curve between now and then."""
    y = conv_transpose(s, x) if s.chance(0.2) else conv(s, x)
    z = affine(s, curve(s, y) if s.chance(0.2) else y)
    return s.put("add", z, y) if s.chance(0.15) else z


def affine_before(s: Sketch, x: str) -> str:
    """affine -> conv, whose border is zero padding now and then."""
    y = affine(s, x)
    z = pointwise(s, y) if s.chance(0.4) else conv(s, y)
    return s.put("concat", z, pointwise(s, y)) if s.chance(0.1) and s.type(y).spatial == s.type(z).spatial else z


def standardised(s: Sketch, x: str) -> str:
    """(x - mean) / std -> conv."""
    wide = (1,) * s.axes(x)
    mean, std = (s.constant(numbers(s, s.channels(x), *wide)) for _ in range(2))
    return conv(s, s.put("div", s.put("sub", x, mean), std), kernel=(3,) * s.axes(x), padding=s.one([0, 0, 1]))


def scaled_curve(s: Sketch, x: str) -> str:
    """relu -> scale -> conv, or scale -> relu: a factor passes a relu where it is positive."""
    y = s.put("relu", x) if s.chance(0.5) else x
    y = s.put("mul", y, factor(s, y))
    return pointwise(s, y) if s.chance(0.5) else curve(s, y)


def hard_sigmoid(s: Sketch, x: str) -> str:
    """clip(x + 3, 0, 6) / 6, or with numbers that make it something else."""
    shift = s.one([3.0, 3.0, 3.0, 2.0])
    moved = s.put("add", *s.one([(x, c := s.constant(shift)), (c, x)]))
    if s.chance(0.5):
        cut = s.put("relu6", moved)
    else:
        cut = s.put("clip", moved, min=0.0, max=s.one([6.0, 6.0, 6.0, 5.0]))
    if s.chance(0.4):
        return s.put("mul", cut, s.constant(1 / 6))
    return s.put("div", cut, s.constant(s.one([6.0, 6.0, 3.0])))


def hard_swish(s: Sketch, x: str) -> str:
    """x * hard_sigmoid(x), the division before or after the product, or of another value."""
    if s.chance(0.4):
        return s.put("mul", *s.one([(x, g := hard_sigmoid(s, x)), (g, x)]))
    cut = s.put("relu6", s.put("add", x, s.constant(3.0)))
    other = s.put("neg", x) if s.chance(0.15) else x
    return s.put("div", s.put("mul", other, cut), s.constant(6.0))


def swish(s: Sketch, x: str) -> str:
    """x * sigmoid(x), or of something near x."""
    inner = s.put("mul", x, s.constant(1.702)) if s.chance(0.2) else x
    gate = s.put("sigmoid", inner)
    return s.put("mul", *s.one([(x, gate), (gate, x)]))


def gelu(s: Sketch, x: str) -> str:
    """x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))"""
    cube = s.put("pow", x, exponent=3.0)
    inner = s.put("add", x, s.put("mul", cube, s.constant(s.one([0.044715, 0.044715, 0.05]))))
    curved = s.put("tanh", s.put("mul", inner, s.constant(0.7978845608028654)))
    return s.put("mul", s.put("mul", x, s.constant(0.5)), s.put("add", curved, s.constant(1.0)))


def mish(s: Sketch, x: str) -> str:
    return s.put("mul", x, s.put("tanh", s.put("softplus", x)))


def gate(s: Sketch, x: str) -> str:
    """Squeeze and excite: a factor per channel that is no constant."""
    if s.chance(0.4):  # a whole block of channels
        x = conv(s, x, out=16, groups=1)
    pooled = s.put("global_avg_pool", x, keepdims=True)
    inner = s.put("relu", pointwise(s, pooled, out=2, groups=1))
    up = pointwise(s, inner, out=s.channels(x), groups=1)
    level = hard_sigmoid(s, up) if s.chance(0.5) else s.put(s.one(["sigmoid", "hardsigmoid"]), up)
    y = s.put("mul", x, level)
    return pointwise(s, y) if s.chance(0.4) else y


AFFINE: tuple[tuple[int, Piece], ...] = (
    (4, arithmetic), (5, affine), (6, affine_behind), (6, affine_before), (2, standardised), (3, scaled_curve),
    (2, hard_sigmoid), (2, hard_swish), (2, swish), (1, gelu), (1, mish), (3, gate),
)  # fmt: skip
