"""How far two sides of a rewrite, or two models, are apart in float64.

    error = max over channels c of  max|after_c - before_c| / max(max|before_c|, max|before| / 1000)

over every output. A channel counts by its own scale, so that a loud one cannot hide what happens in a quiet one; the
floor keeps a channel that cancels to nothing from being judged by its rounding. Exact algebra stays below 1e-12.
Differing shapes, and a NaN on one side alone, are an infinite error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import PassError
from ..ir import Model, Region
from ..ops.embedding import counts
from ..passes.manager import ALLOWED
from .sizes import Plan, Side, cost, plans, recorded, scaled
from .structure import Plans

if TYPE_CHECKING:
    from torch import Tensor

    from .float64 import Numbers

_FLOOR = 1e-3
# Multiply-accumulates from which on two threads are faster than one: below, they wait for each other's Python.
_LARGE = 100_000_000
_INFINITE = float("inf")
# Input sizes at which a whole network is tried, the smallest first.
_WHOLE = (64, 96, 128, 160, 192, 224, 256, 320)


class TorchProbe:
    """Proves regions, on dense values that follow from `seed` and the names of the border inputs.

    Sizes are chosen once for each structure of region, and regions that repeat a pattern are run at one (structure.py); with
    `thorough`, every region is run at two.
    """

    def __init__(self, seed: int = 0, thorough: bool = False) -> None:
        self._seed = seed
        self._plans = plans if thorough else Plans().of

    def max_error(self, region: Region) -> float:
        """The error of a region (see above), over one or two small sizes; 0 for one that nobody reads."""
        if not region.outputs:
            return 0.0
        from .float64 import Numbers

        sides = (Side(region.before, region.params_before), Side(region.after, region.params_after))
        numbers = Numbers()
        return max(self._at(plan, sides, region.outputs, numbers) for plan in self._plans(region))

    def _at(self, plan: Plan, sides: Sequence[Side], outputs: Sequence[tuple[str, str]], numbers: Numbers) -> float:
        error = _INFINITE
        # Operators with a bounded domain (a root) know no negative values: there the second round counts.
        for positive in (False, True):
            error, defined = _compared(plan, sides, outputs, numbers, self._seed, positive)
            if defined:
                return error
        return _INFINITE


def whole(before: Model, after: Model, seed: int = 0) -> float:
    """The error between two models (see above): one run of each, in float64, at the smallest sizes that both take.

    Rewrites that are exact at the network's own sizes alone may differ there: then its own decide.
    Both take the same inputs and yield the same outputs, by name. Raises PassError where they do not.
    """
    if list(before.graph.outputs) != list(after.graph.outputs) or before.graph.inputs != after.graph.inputs:
        raise PassError("the networks differ in their inputs or outputs")
    sides = (deployed(before), deployed(after))
    pairs = list(zip(before.graph.outputs.values(), after.graph.outputs.values(), strict=True))
    plan, own = whole_plans(before, sides)
    error = _compared(plan, sides, pairs, None, seed, False)[0]
    if error <= ALLOWED or not plan.small:
        return error
    return _compared(own(), sides, pairs, None, seed, False)[0]


def deployed(model: Model) -> Side:
    """What the outputs need, without the train form's heads."""
    return Side([node for node in model.graph if not node.train_only], model.params)


def whole_plans(model: Model, sides: Sequence[Side]) -> tuple[Plan, Callable[[], Plan]]:
    """The smallest sizes that both sides take, and the network's own, which are found when asked for."""
    inputs = model.graph.inputs

    def own() -> Plan:
        return recorded(inputs, sides, _WHOLE[0])

    sizes = [dim for type_ in inputs.values() for dim in type_.shape[2:]]
    if not sizes:
        return own(), own
    known = [dim for dim in sizes if isinstance(dim, int)]
    largest = (
        max(known) if len(known) == len(sizes) else max(max(t.at({})[2:]) for t in own().inputs.values() if t.rank > 2)
    )
    for size in _WHOLE:
        small = scaled(inputs, (size, size), 1) if size < largest else None
        types = [] if small is None else [side.types(small) for side in sides]
        if small is not None and types[0] is not None and types[1] is not None:
            return Plan(small, small=True, macs=cost(sides[0], types[0])), own
    return own(), own


def _compared(
    plan: Plan,
    sides: Sequence[Side],
    outputs: Sequence[tuple[str, str]],
    numbers: Numbers | None,
    seed: int,
    positive: bool,
) -> tuple[float, bool]:
    """The error at a plan, and whether the side before is defined there (finite everywhere)."""
    from .float64 import Known, dense, one_thread, run

    if not plan.fits:
        return _INFINITE, True
    with one_thread():
        inputs = dense(plan.inputs, seed, positive, counts(sides[0].nodes))
        wanted = ([name for name, _ in outputs], [name for _, name in outputs])
        if numbers is None and not _alike(sides) and plan.macs > _LARGE:
            old, new = _side_by_side(sides, inputs, wanted)
        else:
            # At the small sizes alone: what is known is held, and at a network's own sizes that would be much.
            known = Known() if plan.small else None
            old, new = (run(side, inputs, names, numbers, known) for side, names in zip(sides, wanted, strict=True))
        return max(difference(old[a], new[b]) for a, b in outputs), all(_finite(old, a) for a, _ in outputs)


def _alike(sides: Sequence[Side]) -> bool:
    """Whether most weights are the same on both sides: then most of the second run is known from the first."""
    before = {id(param) for param in sides[0].params.values()}
    shared = sum(param.numel for param in sides[1].params.values() if id(param) in before)
    return 2 * shared > sum(param.numel for param in sides[1].params.values())


def _side_by_side(
    sides: Sequence[Side], inputs: Mapping[str, Tensor], wanted: Sequence[Sequence[str]]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    from concurrent.futures import ThreadPoolExecutor

    from .float64 import one_thread, run

    def one(side: Side, names: Sequence[str]) -> dict[str, Tensor]:
        with one_thread():
            return run(side, inputs, names, None)

    with ThreadPoolExecutor(2) as pool:
        old, new = pool.map(one, sides, wanted)
    return old, new


def _finite(values: Mapping[str, Tensor], name: str) -> bool:
    return bool(values[name].isfinite().all())


def difference(before: Tensor, after: Tensor) -> float:
    """max|after - before| per channel (axis 1) in its own scale, as above; infinite where they cannot be compared."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return _INFINITE
    old, new = _by_channel(before), _by_channel(after)
    scale, apart = old.abs().amax(1), (new - old).abs().amax(1)
    if bool((scale + apart).isfinite().all()):
        return _relative(apart, scale)
    finite = old.isfinite()
    # What overflows on both sides alike is no difference.
    same = (old == new) | (old.isnan() & new.isnan())
    if not bool((finite & new.isfinite() | same).all()):
        return _INFINITE
    old, new = old.where(finite, old.new_zeros(())), new.where(finite, old.new_zeros(()))
    return _relative((new - old).abs().amax(1), old.abs().amax(1))


def _relative(apart: Tensor, scale: Tensor) -> float:
    """The largest difference of a channel in its own scale."""
    floor = max(float(scale.max()) * _FLOOR, 1e-300)
    return float((apart / scale.clamp(min=floor)).max())


def _by_channel(x: Tensor) -> Tensor:
    """(channels, rest) in float64; a value without a channel axis is one channel."""
    x = x.double()
    return x.reshape(1, -1) if x.ndim < 2 else x.movedim(1, 0).reshape(x.shape[1], -1)
