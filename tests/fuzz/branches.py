"""Several branches on one value: what merges into one convolution, and what differs from it in one number."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from convc.compiler.errors import ShapeError
from tests.fuzz.layers import Piece, avg_pool, batch_norm, conv, curve, divisor, pointwise, widths
from tests.fuzz.sketch import Sketch


def _branch(s: Sketch, x: str, out: int, groups: int, stride: int) -> str:
    """A linear branch that fits into a 3 x 3 one; now and then it does not quite."""
    axes = s.axes(x)
    same = out == s.channels(x) and stride == 1
    kind = s.one(["large", "large", "point", "flat", "pool", "norm" if same else "point", "dilated", "shifted"])
    given: dict[str, Any] = {"out": out, "groups": groups, "stride": stride, "dilation": 1}
    if kind == "norm":
        return batch_norm(s, x) if s.chance(0.6) else x
    if kind == "point":
        return conv(s, x, **given, kernel=(1,) * axes, padding=0)
    if kind == "flat" and axes == 2:
        size = s.one([(1, 3), (3, 1)])
        return conv(s, x, **given, kernel=size, padding=tuple(k // 2 for k in size) * 2)
    if kind == "pool":
        y = conv(s, x, **given | {"stride": 1}, kernel=(1,) * axes, padding=0)
        padding = 1 if s.chance(0.7) else 0
        return s.put("avg_pool", y, kernel=3, stride=stride, padding=padding, count_include_pad=s.chance(0.6))
    if kind == "dilated":
        return conv(s, x, **given | {"dilation": 2}, kernel=(3,) * axes, padding=2)
    if kind == "shifted":
        # As large as the others, one element to the side.
        return conv(s, x, **given, kernel=(3,) * axes, padding=(0,) * axes + (2,) * axes)
    return conv(s, x, **given, kernel=(3,) * axes, padding=1)


def rep_block(s: Sketch, x: str) -> str:
    """Parallel linear branches, each with its batch norm or without, then a sum; rarely a difference, maximum or product."""
    out = s.channels(x) if s.chance(0.7) else widths(s)
    groups = s.channels(x) if out == s.channels(x) and s.chance(0.3) else divisor(s, s.channels(x), out)
    stride = s.one([1, 1, 1, 2])
    ends = []
    for _ in range(s.one([2, 2, 3, 3, 4])):
        end = _branch(s, x, out, groups if s.chance(0.85) else 1, stride)
        end = batch_norm(s, end) if s.chance(0.5) and end != x else end
        ends.append(curve(s, end) if s.chance(0.08) else end)
    if s.chance(0.1) and ends[0] in s.nodes:
        ends.append(s.put("add", ends[0], ends[-1]))  # a branch with a second reader
    return _joined(s, ends)


def _joined(s: Sketch, ends: list[str]) -> str:
    luck = s.random.random()
    if luck < 0.35:
        return s.put("add", *ends)
    y = ends[0]
    for other in ends[1:]:
        name = s.one(["add"] * 6 + ["sub"] * 2 + ["max", "mul"]) if luck > 0.6 else "add"
        y = s.put(name, *(s.one([(y, other), (other, y)])))
    return y


def nested(s: Sketch, x: str) -> str:
    """Branches of one value or two, with strangers among them, in a tree of sums and differences."""
    groups = divisor(s, s.channels(x)) if s.chance(0.2) else 1
    other = curve(s, x)
    ends = [_branch(s, x, s.channels(x), groups, 1) for _ in range(s.one([2, 2, 3]))]
    ends += [s.one([x, other, curve(s, x), _branch(s, other, s.channels(x), 1, 1)]) for _ in range(s.one([1, 2, 3]))]
    s.random.shuffle(ends)
    while len(ends) > 1:
        at = s.random.randrange(len(ends) - 1)
        ends[at : at + 2] = [s.put(s.one(["add", "add", "sub"]), *ends[at : at + 2])]
    return ends[0]


def mobile_one(s: Sketch, x: str) -> str:
    """Depthwise copies, a 1 x 1 and an identity, each behind its batch norm."""
    axes = s.axes(x)
    ends = [batch_norm(s, depthwise_same(s, x, 3)) for _ in range(s.one([1, 2, 3]))]
    ends.append(batch_norm(s, depthwise_same(s, x, 1)))
    if s.chance(0.7):
        ends.append(batch_norm(s, x))
    y = _joined(s, ends)
    return conv(s, s.put("relu", y), kernel=(1,) * axes, padding=0) if s.chance(0.4) else y


def depthwise_same(s: Sketch, x: str, size: int) -> str:
    return s.put("conv", x, out=s.channels(x), groups=s.channels(x), kernel=size, padding=size // 2, bias=s.chance(0.3))


def residual(s: Sketch, x: str) -> str:
    """x + f(x), or x - f(x); f is linear, or not."""
    groups = divisor(s, s.channels(x)) if s.chance(0.3) else 1
    y = conv(s, x, out=s.channels(x), stride=1, dilation=1, kernel=(3,) * s.axes(x), padding=1, groups=groups)
    if s.chance(0.3):
        y = batch_norm(s, y)
    if s.chance(0.3):
        y = curve(s, y)
    return s.put(s.one(["add", "add", "add", "sub"]), *s.one([(x, y), (y, x)]))


def siblings(s: Sketch, x: str) -> str:
    """Convolutions of one value that agree in all but their width, or in all but one thing; concatenated or read apart."""
    first = conv(s, x, groups=1)
    ends = [first]
    for _ in range(s.one([1, 1, 2, 3])):
        changes: dict[str, Any] = {"out": widths(s), "bias": s.chance(0.6)}
        if s.chance(0.15):
            changes |= s.one([{"padding": 0}, {"dilation": 2}, {"kernel": 1, "padding": 0}, {"stride": 2}])
        ends.append(s.put("conv", x, **(dict(s.nodes[first].op.arguments()) | changes)))
    if s.chance(0.3):
        ends = [curve(s, end) for end in ends]
    if s.chance(0.7):
        return s.put("concat", *ends)
    return s.put("add", *(pointwise(s, end, out=4, groups=1) for end in ends))


def over_concat(s: Sketch, x: str) -> str:
    """concat -> batch norm -> conv, along the channels or, rarely, another axis."""
    ends = [conv(s, x, stride=1, dilation=1, kernel=(3,) * s.axes(x), padding=1) for _ in range(s.one([1, 2]))]
    ends.append(x if s.chance(0.6) else curve(s, x))
    s.random.shuffle(ends)
    if s.chance(0.15):
        ends.append(ends[0])
    if s.chance(0.2) and len({s.channels(end) for end in ends}) == 1:
        y = s.put("concat", *ends, axis=2)
    else:
        y = s.put("concat", *ends)
    if s.chance(0.6):
        y = batch_norm(s, y)
    if s.chance(0.3):
        y = curve(s, y)
    return conv(s, y) if s.chance(0.7) else y


def split(s: Sketch, x: str) -> str:
    """Slices of the channels, some of them changed, put together again: in order, or in another."""
    channels = s.channels(x)
    if channels < 2:
        raise ShapeError("nothing to split")
    places = sorted({0, channels, *(s.random.randrange(1, channels) for _ in range(s.one([1, 1, 2])))})
    if s.chance(0.15):
        places = places[1:]  # the first channels are read by nobody
    parts = [s.put("slice", x, start=a, end=b) for a, b in pairwise(places)]
    parts = [s.one([curve, batch_norm])(s, p) if s.chance(0.35) else p for p in parts]
    if s.chance(0.2):
        s.random.shuffle(parts)
    y = s.put("concat", *parts)
    return batch_norm(s, y) if s.chance(0.3) else y


def duplicates(s: Sketch, x: str) -> str:
    """The same expression twice, with the same parameters, or with others, or with one argument changed."""
    first = conv(s, x, stride=1, dilation=1)
    changes: dict[str, Any] = (
        {} if s.chance(0.7) else s.one([{"bias": False}, {"padding_mode": "replicate"}, {"padding": 2}])
    )
    second = s.again(first, **changes) if s.chance(0.75) else s.put("conv", x, **dict(s.nodes[first].op.arguments()))
    ends = [first, second]
    if s.chance(0.5):
        ends = [s.put("relu", end) for end in ends]
    if s.chance(0.3):
        ends = [s.put("avg_pool", end, kernel=2) for end in ends]
    if s.type(ends[0]) == s.type(ends[1]):
        return s.put(s.one(["add", "mul", "max", "concat"]), *ends)
    return s.put("concat", *ends, axis=2) if s.axes(x) == 1 else pointwise(s, ends[1])


def shared(s: Sketch, x: str) -> str:
    """One weight in two places: what one of them folds must not reach the other."""
    first = conv(s, x, out=s.channels(x), stride=1, dilation=1, kernel=(3,) * s.axes(x), padding=1, groups=1)
    share = ("weight",) if s.chance(0.4) else ()
    y = batch_norm(s, first) if s.chance(0.7) else first
    y = curve(s, y) if s.chance(0.5) else y
    norm = next((n for n in s.nodes if n == y and s.nodes[n].op.name == "batch_norm"), "")
    z = s.put("conv", y, like=first, share=share, **dict(s.nodes[first].op.arguments()))
    if norm and s.chance(0.5):
        z = s.again(norm, z)
    return s.put("add", z, x) if s.chance(0.3) else z


def ghost(s: Sketch, x: str) -> str:
    """Half the channels by a 1 x 1, half by a depthwise convolution of those; then a stride, or a shortcut (Han et al., 2020)."""
    first = s.put("relu", batch_norm(s, pointwise(s, x, out=s.one([2, 4]), groups=1)))
    y = s.put("concat", first, batch_norm(s, depthwise_same(s, first, 3)))
    if s.chance(0.5):
        return s.put("conv", y, out=s.channels(y), groups=s.channels(y), stride=2, bias=s.chance(0.5))
    other = s.put("concat", *(pointwise(s, x, out=s.channels(y) // 2, groups=1) for _ in range(2)))
    return s.put("add", y, other)


def pooled_branch(s: Sketch, x: str) -> str:
    """Inception's pool branch: a pool and a 1 x 1, in either order, beside a convolution."""
    y = pointwise(s, avg_pool(s, x)) if s.chance(0.5) else avg_pool(s, pointwise(s, x))
    z = conv(s, x, stride=1, dilation=1, kernel=(3,) * s.axes(x), padding=1)
    return s.put("concat", y, z) if s.type(y).spatial == s.type(z).spatial else y


BRANCHES: tuple[tuple[int, Piece], ...] = (
    (10, rep_block), (4, nested), (3, mobile_one), (5, residual), (5, siblings), (5, over_concat), (4, split), (4, duplicates),
    (4, shared), (3, pooled_branch), (2, ghost),
)  # fmt: skip
