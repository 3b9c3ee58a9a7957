"""Machines that never sit still: what stands between two equal models and equal times.

    time of a run = base x clock x drift x neighbours x jitter x outlier

The clock jumps between two speeds and stays a while; drift is a straight line; neighbours are a slow random walk; a block is
slower when the other one ran first; outliers come alone and are up to eight times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convc.runtime.compare.verdict import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Machine:
    """Strength of each disturbance; `dwell` is in runs, everything else is relative."""

    jitter: float = 0.01
    drift: float = 0.0
    walk: float = 0.0
    clock: float = 0.0
    dwell: float = 100.0
    outliers: float = 0.0
    second: float = 0.0

    def times(self, runs: int, rng: np.random.Generator) -> NDArray[Any]:
        """Seconds of `runs` runs one after another."""
        line = np.linspace(0, self.drift, runs)
        step = rng.standard_normal(runs) * self.walk * np.sqrt(1 - 0.99**2)
        walk = np.zeros(runs)
        for k in range(1, runs):
            walk[k] = 0.99 * walk[k - 1] + step[k]
        slow = np.cumsum(rng.random(runs) < 1 / self.dwell) % 2 * np.log1p(self.clock)
        far = np.where(rng.random(runs) < self.outliers, rng.uniform(0.2, 2.1, runs), 0.0)
        jitter = rng.standard_normal(runs) * self.jitter
        return np.asarray(5e-3 * np.exp(line + walk + slow + far + jitter))


MACHINES = {
    "quiet": Machine(jitter=0.005),
    "jittery": Machine(jitter=0.05),
    "drifting": Machine(jitter=0.02, drift=0.4),
    "with neighbours": Machine(jitter=0.02, walk=0.2),
    "with two clocks": Machine(jitter=0.02, clock=0.3, dwell=60),
    "with outliers": Machine(jitter=0.02, outliers=0.05),
    "second is slower": Machine(jitter=0.02, second=0.04),
    "all of it": Machine(jitter=0.03, drift=0.2, walk=0.08, clock=0.25, dwell=120, outliers=0.03, second=0.03),
}


def trace(machine: Machine, pairs: int, rng: np.random.Generator, slow_down: float = 0.0, runs: int = 3) -> list[Pair]:
    """A comparison on that machine: B costs `1 + slow_down` times what A costs."""
    times = machine.times(2 * pairs * runs, rng).reshape(pairs, 2, runs)
    times[:, 1] *= 1 + machine.second
    found = []
    for first, second in times:
        if rng.random() < 0.5:
            found.append(Pair(tuple(first.tolist()), tuple((second * (1 + slow_down)).tolist()), True))
        else:
            found.append(Pair(tuple(second.tolist()), tuple((first * (1 + slow_down)).tolist()), False))
    return found
