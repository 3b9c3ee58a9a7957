"""The sizes at which a region is run: small, yet with an interior and a border, and telling about strides and pads.

A spatial axis of a border input may have any size at which both sides still infer and their parameters still fit. So the
sizes recorded in the network, 224 say, give way to about twice the kernel's extent. A rewrite must be exact there too, or
say otherwise (Editor.fix_sizes): a pad too few that no window reaches at 224 is a mistake. Two sizes are chosen per axis:

    fits    the last window just fits: with one element less there would be one window less
    adds    with one element more there would be one window more

A pad that is off by one changes the number of windows at one of the two, whatever the stride. The axes take turns, so a
rewrite that swaps them is seen as well. Where the operators insist on their sizes (a reshape, a linear over flattened axes),
the recorded ones are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, cast

from ..errors import ShapeError
from ..ir import Dim, Node, Op, Param, Region, SymDim, TensorType
from ..ir.dims import Symbol
from ..ops.conv_transpose import ConvTranspose
from ..ops.sizes import TorchSizes, compute

Types = Mapping[str, TensorType]

# What one side of a region may cost at a size, in multiply-accumulates.
_BUDGET = 400_000_000
_MOST_ELEMENTS = 1 << 22
# Elements along an axis of a region that repeats a pattern.
_FEWEST = 4


@dataclass(frozen=True)
class Side:
    """One side of a comparison: nodes in order, and the parameters they name."""

    nodes: Sequence[Node]
    params: Mapping[str, Param]

    def types(self, inputs: Types) -> dict[str, TensorType] | None:
        """The type of every value for these inputs, or None where an operator or a parameter does not fit."""
        types = dict(inputs)
        for node in self.nodes:
            given = [types[name] for name in node.inputs]
            try:
                types[node.name] = _sized(node.op, given).infer(*given)
                wanted = node.op.params(*given)
            except (ShapeError, AssertionError):
                return None
            if any(self.params[node.params[role]].shape != kind.shape for role, kind in wanted.items()):
                return None
        return types


def _sized(op: Op, given: Sequence[TensorType]) -> Op:
    """The operator with its dynamic sizes (a reshape to [0, 8, H, W]) as the numbers they are at these inputs."""
    shape = getattr(op, "of", ())
    if not shape:
        return op
    known = TorchSizes(given[0])
    dims = {name: value for name, value in vars(op).items() if name != "of" and _dynamic(value)}
    found = {name: _each(value, lambda dim: int(compute(dim, shape, known))) for name, value in dims.items()}
    sized: Op = replace(cast(Any, op), of=(), **found)
    return sized


def _dynamic(value: object) -> bool:
    return isinstance(value, SymDim) or (isinstance(value, tuple) and any(isinstance(v, SymDim) for v in value))


def _each(value: Any, change: Callable[[Dim], int]) -> Any:
    return tuple(map(change, value)) if isinstance(value, tuple) else change(value)


@dataclass(frozen=True)
class Plan:
    """Border inputs with static types; `small` where the sizes were chosen here, `fits` where both sides infer at them.

    `macs` are those of the side before, where they were counted.
    """

    inputs: Mapping[str, TensorType]
    small: bool
    fits: bool = True
    macs: float = float("inf")


def plans(region: Region) -> list[Plan]:
    """One or two small plans, or the recorded one where none is possible or the rewrite is exact at no other sizes."""
    sides = (Side(region.before, region.params_before), Side(region.after, region.params_after))
    axes = max((type_.rank - 2 for type_ in region.inputs.values()), default=0)
    if axes < 1 or not region.any_size:
        return [recorded(region.inputs, sides)]
    reach = _reach(sides[0].nodes, axes)
    small: list[Plan] = []
    for batch, tries in ((1, _bases(reach, wide=True)), (2, _bases(reach, wide=False))):
        plan = next((p for p in (_plan(region, sides, base, batch, bool(small)) for base in tries) if p), None)
        small += [plan] if plan else []
    return small or [_cheapest(region, sides)]


def _cheapest(region: Region, sides: tuple[Side, Side]) -> Plan:
    """One plan for a region whose small ones cost too much: at the sizes of the network, or where each tap just meets data.

    A 3x3 of dilation 36 over 2,048 channels sees 73 places along an axis; 38 will do, where the rest is padding.
    """
    own = recorded(region.inputs, sides)
    size = _reach(sides[0].nodes, 2) // 2 + 2
    least = _at(region, sides, (size, size), 1, at_any_cost=True)
    return least if least is not None and _macs(sides[0], least) < _macs(sides[0], own) else own


def brief(region: Region) -> Plan | None:
    """One plan that is smaller still, for a region whose like was run at two sizes; None where there is none."""
    sides = (Side(region.before, region.params_before), Side(region.after, region.params_after))
    axes = max((type_.rank - 2 for type_ in region.inputs.values()), default=0)
    if axes < 1 or not region.any_size:
        return None
    # What bends (a clip) is to meet values on both sides of every bend.
    least = max(_reach(sides[0].nodes, axes) + 1, _FEWEST)
    tries = (_at(region, sides, (size, size), 1) for size in (least, least + 1))
    return next((plan for plan in tries if plan is not None), None)


def _bases(reach: int, wide: bool) -> list[int]:
    """Sizes to try, the best first: above twice the reach, or just enough to have an interior."""
    return [2 * reach + 1, reach + 2, reach] if wide else [reach + 2, reach]


def _reach(nodes: Sequence[Node], axes: int) -> int:
    """How far the windows along a region see together."""
    reach = 1
    for node in nodes:
        window = node.op.window()
        if window is not None:
            reach += max(d * (k - 1) for k, d in zip(window.kernel, window.dilation, strict=True))
        elif isinstance(node.op, ConvTranspose) and isinstance(node.op.kernel, tuple):
            reach += max(node.op.kernel) - 1
    return reach


def _plan(region: Region, sides: tuple[Side, Side], base: int, batch: int, turned: bool) -> Plan | None:
    fits, adds = _telling(region, sides[0], base)
    return _at(region, sides, (adds, fits) if turned else (fits, adds), batch)


def _at(
    region: Region, sides: tuple[Side, Side], sizes: tuple[int, int], batch: int, at_any_cost: bool = False
) -> Plan | None:
    inputs = scaled(region.inputs, sizes, batch)
    if inputs is None:
        return None
    types = [side.types(inputs) for side in sides]
    if types[0] is None or types[1] is None or (not at_any_cost and cost(sides[0], types[0]) > _BUDGET):
        return None
    return Plan(inputs, small=True)


def _telling(region: Region, side: Side, base: int) -> tuple[int, int]:
    """The sizes `fits` and `adds` (above) from `base` on."""
    period = max(2, min(16, prod(max(w.stride) for node in side.nodes if (w := node.op.window()) is not None)))
    counts = [_windows(region, side, base + i) for i in range(-1, period + 1)]
    grows = [i for i in range(period + 1) if counts[i] is not None and counts[i] != counts[i + 1]]
    # counts[i] belongs to base - 1 + i: growth from i to i + 1 means that base + i fits, and base + i - 1 adds.
    fits = next((base + i for i in grows), base)
    adds = next((base + i - 1 for i in grows if base + i - 1 >= base and base + i - 1 != fits), fits + 1)
    return fits, adds


def _windows(region: Region, side: Side, size: int) -> tuple[object, ...] | None:
    """The shapes of the outputs where every spatial axis has this size: they grow where a window is added."""
    inputs = scaled(region.inputs, (size, size), 1) if size > 0 else None
    types = side.types(inputs) if inputs is not None else None
    return None if types is None else tuple(types[old].shape for old, _ in region.outputs)


def _macs(side: Side, plan: Plan) -> float:
    types = side.types(plan.inputs)
    return float("inf") if types is None else cost(side, types)


def cost(side: Side, types: Types) -> int:
    """Multiply-accumulates of a side where its values have these types."""
    return sum(n.op.macs(types[n.name], *(types[name] for name in n.inputs)) for n in side.nodes)


def scaled(inputs: Types, sizes: tuple[int, int], batch: int) -> dict[str, TensorType] | None:
    """The inputs with small spatial axes, which take turns between the two sizes; None where that cannot be done.

    Several sizes along one axis (a pyramid) keep their ratios if they are multiples of the least one.
    """
    axes = max((type_.rank - 2 for type_ in inputs.values()), default=0)
    chosen: dict[tuple[int, Dim], int] = {}
    for axis in range(axes):
        found = dict.fromkeys(t.shape[axis + 2] for t in inputs.values() if t.rank == axes + 2)
        ratios = _ratios(list(found))
        if ratios is None:
            return None
        chosen.update({(axis, dim): sizes[axis % 2] * ratio for dim, ratio in zip(found, ratios, strict=True)})
    result: dict[str, TensorType] = {}
    for name, type_ in inputs.items():
        shape: list[Dim] = list(type_.shape)
        if type_.rank == axes + 2:
            shape[2:] = [chosen[axis, dim] for axis, dim in enumerate(type_.shape[2:])]
        if type_.rank > 1:
            shape[0] = batch
        if not all(isinstance(dim, int) for dim in shape):
            return None
        result[name] = type_.with_shape(*shape)
    return result


def _ratios(dims: list[Dim]) -> list[int] | None:
    if len(dims) == 1:
        return [1]
    numbers = [dim for dim in dims if isinstance(dim, int)]
    if len(numbers) < len(dims) or any(n % min(numbers) for n in numbers):
        return None
    return [n // min(numbers) for n in numbers]


def recorded(inputs: Types, sides: Sequence[Side], least: int = 9) -> Plan:
    """The sizes of the network, batch 2 where the batch is free; dynamic ones get the first values from `least` that infer."""
    for values in _values(inputs, least):
        static = {name: type_.with_shape(*type_.at(values)) for name, type_ in inputs.items()}
        # Deep inside, where (H + 3) // 4 - 9 rows are left, a small H leaves none.
        if any(dim < 1 for type_ in static.values() for dim in type_.at({})):
            continue
        double = {name: _batched(type_, 2) for name, type_ in static.items()}
        large = any(isinstance(t.numel, int) and t.numel > _MOST_ELEMENTS for t in double.values())
        for candidate in (static,) if large else (double, static):
            types = [side.types(candidate) for side in sides]
            # A second image is for what mixes images up; not at the price of minutes.
            if None not in types and (candidate is static or cost(sides[0], types[0] or {}) <= 2 * _BUDGET):
                return Plan(candidate, small=False)
    return Plan(static, small=False, fits=False)


def _batched(type_: TensorType, batch: int) -> TensorType:
    return type_.with_shape(batch, *type_.shape[1:]) if type_.rank > 1 else type_


def _values(inputs: Types, least: int = 9) -> Iterator[dict[str, int]]:
    """Values of the dynamic dimensions, growing; a batch is 2 throughout, each keeps the multiple it promises."""
    found = {s.name: s for t in inputs.values() for dim in t.shape if isinstance(dim, SymDim) for s in symbols(dim)}
    batch = {
        s.name for t in inputs.values() if t.rank > 1 and isinstance(t.shape[0], SymDim) for s in symbols(t.shape[0])
    }
    for wanted in (9, 17, 33, 65, 129, 257, 513, 1025):
        if wanted >= least:
            yield {name: _allowed(symbol, 2 if name in batch else wanted) for name, symbol in found.items()}


def _allowed(symbol: Symbol, least: int) -> int:
    """The first value from `least` on that keeps the symbol's promises."""
    return -(-max(symbol.minimum, least) // symbol.multiple) * symbol.multiple


def symbols(dim: SymDim) -> Iterator[Symbol]:
    """The symbols in a size."""
    for monomial, _ in dim.terms:
        for atom in monomial:
            if isinstance(atom, Symbol):
                yield atom
            else:
                yield from symbols(atom.numerator)
