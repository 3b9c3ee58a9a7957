"""Two sets of outputs: where, and by how much, they differ.

    unit(y)      max(std y, 1e-3 max|y|, 1e-30)
    error        max |got - expected| / unit(expected)
    allowed      10 max(max |f32 - f64|, 2^-24 max|y|) / unit(y) + 1e-5      of the unoptimised module: what float32 itself costs

The second term is the rounding of a result alone: an output of a few values may meet float32 by luck.

NaN, infinity, another shape, a missing output, or nothing to compare are differences without measure: their error is
infinite. Everything is compared in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..compiler.errors import VerifyError
from .signature import Arrays, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FACTOR = 10.0
FLOOR = 1e-5
ROUNDING = 2.0**-24


@dataclass(frozen=True, slots=True)
class Difference:
    """One value compared: the largest error, in units of `unit(expected)`, and where it is.

    `index`, `expected` and `got` belong to the worst element; `fault` is set where there is nothing to measure.
    """

    name: str
    error: float
    bound: float
    index: tuple[int, ...] = ()
    expected: float = math.nan
    got: float = math.nan
    fault: str = ""

    @property
    def ok(self) -> bool:
        return self.error <= self.bound

    def __str__(self) -> str:
        if self.fault:
            return f"{self.name!r}: {self.fault}"
        if self.ok:
            return f"{self.name!r}: error {self.error:.2e}, bound {self.bound:.2e}"
        place = f"at {list(self.index)} expected {self.expected:.9g}, got {self.got:.9g}"
        return f"{self.name!r}: {place}: error {self.error:.2e}, bound {self.bound:.2e} (in units of its spread)"

    def data(self) -> dict[str, Any]:
        """For JSON, which knows no infinity: such numbers are None."""
        numbers = {"error": self.error, "bound": self.bound, "expected": self.expected, "got": self.got}
        finite = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
        return {"name": self.name, "ok": self.ok, **finite, "index": list(self.index), "fault": self.fault}


@dataclass(frozen=True, slots=True)
class Parity:
    """The differences of all outputs."""

    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return bool(self.differences) and all(one.ok for one in self.differences)

    def complaint(self) -> str:
        """The outputs out of bounds, one a line; the empty string where all is well."""
        if not self.differences:
            return "there are no outputs to compare"
        return "\n".join(f"output {one}" for one in self.differences if not one.ok)

    def require(self) -> None:
        """Raises VerifyError where an output is out of bounds."""
        if not self.ok:
            raise VerifyError(self.complaint())

    def data(self) -> list[dict[str, Any]]:
        return [one.data() for one in self.differences]


def unit(array: NDArray[Any]) -> float:
    """The spread that errors are measured in; of an empty or non-finite array, 1e-30."""
    import numpy as np

    wide = np.asarray(array, dtype=np.float64)
    if wide.size == 0 or not np.isfinite(wide).all():
        return 1e-30
    return max(float(wide.std()), 1e-3 * float(np.abs(wide).max()), 1e-30)


def allowed(single: Arrays, double: Arrays, part: Arrays | None = None) -> dict[str, float]:
    """The bound for each output from the unoptimised module's results in float32 and in float64.

    `part` is what will be compared, if it is not all of `double`: the bound is then in its unit.
    Raises VerifyError where the two do not have the same outputs and shapes. Where either is not finite the bound is
    the floor: infinity must not excuse anything.
    """
    if set(single) != set(double):
        raise VerifyError(f"float32 gave outputs {sorted(single)}, float64 {sorted(double)}")
    stated = double if part is None else part
    return {name: _allowed(name, single[name], double[name], unit(stated[name])) for name in double}


def compare(expected: Arrays, got: Arrays, bounds: Mapping[str, float] | float) -> Parity:
    """Every expected output against its namesake; `bounds` is one number, or one for each name."""
    differences = [
        _compare(name, reference, got.get(name), _bound(bounds, name)) for name, reference in expected.items()
    ]
    differences += [
        Difference(name, math.inf, _bound(bounds, name), fault="not expected") for name in got if name not in expected
    ]
    return Parity(tuple(differences))


def bisect(
    names: Sequence[str],
    run: Callable[[Sequence[str]], Arrays],
    reference: Arrays,
    bounds: Mapping[str, float] | float,
    *,
    at_once: int = 32,
) -> Difference | None:
    """The first of `names` (in execution order) that is out of bounds, or None where all are within.

    run        runs the model with these names as outputs (see `with_outputs`); called with at most `at_once` of them,
               so that no more activations are held
    reference  the values by name; only the names being compared are looked up, so it may be lazy

    Up to `at_once` names are compared in one run, exactly. More are probed at even distances, then between the last
    good and the first bad probe: sound where an error, once there, stays visible downstream.
    """
    if at_once < 2:
        raise ValueError(f"at_once is {at_once}: at least 2 values a run")
    low, high, worst = 0, len(names), None
    while high - low > 0:
        probes = _probes(low, high, at_once)
        found = _first_bad([names[i] for i in probes], run, reference, bounds)
        if found is None:
            # The last probe of the first round is the last value; later rounds end before a value known to be bad.
            low = high
            continue
        position, worst = found
        low, high = (probes[position - 1] + 1 if position else low), probes[position]
    return worst


def _probes(low: int, high: int, at_once: int) -> list[int]:
    count = high - low
    if count <= at_once:
        return list(range(low, high))
    return [low + (count * (i + 1)) // at_once - 1 for i in range(at_once)]


def _first_bad(
    names: Sequence[str],
    run: Callable[[Sequence[str]], Arrays],
    reference: Arrays,
    bounds: Mapping[str, float] | float,
) -> tuple[int, Difference] | None:
    got = run(names)
    for position, name in enumerate(names):
        difference = _compare(name, reference[name], got.get(name), _bound(bounds, name))
        if not difference.ok:
            return position, difference
    return None


def _bound(bounds: Mapping[str, float] | float, name: str) -> float:
    """The bound of a name; a name nobody gave a bound, or a bound that is no number, gets the floor."""
    bound = bounds.get(name, FLOOR) if isinstance(bounds, Mapping) else bounds
    return bound if math.isfinite(bound) else FLOOR


def _allowed(name: str, single: NDArray[Any], double: NDArray[Any], spread: float) -> float:
    import numpy as np

    if single.shape != double.shape:
        raise VerifyError(f"output {name!r}: float32 gave {shown(single.shape)}, float64 {shown(double.shape)}")
    if single.size == 0 or not (np.isfinite(single).all() and np.isfinite(double).all()):
        return FLOOR
    wide = double.astype(np.float64)
    gap = float(np.abs(single.astype(np.float64) - wide).max())
    return FACTOR * max(gap, ROUNDING * float(np.abs(wide).max())) / spread + FLOOR


def _compare(name: str, expected: NDArray[Any], got: NDArray[Any] | None, bound: float) -> Difference:
    import numpy as np

    if got is None:
        return Difference(name, math.inf, bound, fault="missing")
    if expected.shape != got.shape:
        fault = f"shape {shown(got.shape)}, expected {shown(expected.shape)}"
        return Difference(name, math.inf, bound, fault=fault)
    if expected.size == 0:
        return Difference(name, math.inf, bound, fault=f"shape {shown(expected.shape)}: there is nothing to compare")
    left, right = expected.astype(np.float64), got.astype(np.float64)
    if fault := _non_finite(left, right):
        return Difference(name, math.inf, bound, fault=fault)
    gap = np.abs(left - right)
    index = np.unravel_index(int(gap.argmax()), gap.shape)
    where = tuple(int(i) for i in index)
    return Difference(name, float(gap[index]) / unit(left), bound, where, float(left[index]), float(right[index]))


def _non_finite(expected: NDArray[np.float64], got: NDArray[np.float64]) -> str:
    """Says whose first NaN or infinity stands where; the empty string where both are finite."""
    import numpy as np

    for whose, array in (("got", got), ("expected", expected)):
        bad = ~np.isfinite(array)
        if bad.any():
            index = np.unravel_index(int(bad.argmax()), bad.shape)
            return f"{whose} {array[index]} at {[int(i) for i in index]} ({int(bad.sum())} of {bad.size} not finite)"
    return ""
