"""The signed-rank interval of Hodges and Lehmann for the centre of symmetric values, exact for any number of them.

    estimate   median of the means (x_i + x_j) / 2, i <= j
    interval   [w_(k+1), w_(M-k)] of those M = n (n + 1) / 2 sorted means,  k the largest with 2 P(W <= k) <= alpha

W is the sum of the ranks that carry a plus when every sign is a fair coin: its counts are the coefficients of
(1 + x) (1 + x^2) ... (1 + x^n). Hodges and Lehmann (1963), "Estimates of location based on rank tests".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Centre:
    """The estimate and its interval; infinite ends where so few values cannot give the confidence asked for."""

    estimate: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def centre(values: Sequence[float], alpha: float) -> Centre:
    """Hodges-Lehmann estimate and the two-sided interval of confidence 1 - alpha; at least one finite value."""
    import numpy as np

    x = np.asarray(values, np.float64)
    rows, columns = np.triu_indices(len(x))
    means = np.sort((x[rows] + x[columns]) / 2)
    estimate = float(np.median(means))
    cut = critical(len(x), alpha)
    if cut < 0:
        return Centre(estimate, -math.inf, math.inf)
    return Centre(estimate, float(means[cut]), float(means[-1 - cut]))


@functools.lru_cache(maxsize=256)
def critical(n: int, alpha: float) -> int:
    """The largest k with 2 P(W <= k) <= alpha, or -1 where even P(W = 0) = 2^-n is too much."""
    import numpy as np

    below = 2 * np.cumsum(_weights(n))
    return int(np.searchsorted(below, alpha, side="right")) - 1


def _weights(n: int) -> NDArray[Any]:
    """P(W = w) for w = 0 .. n (n + 1) / 2."""
    import numpy as np

    found = np.zeros(n * (n + 1) // 2 + 1)
    found[0] = 1.0
    reached = 0
    for rank in range(1, n + 1):
        found[rank : reached + rank + 1] += found[: reached + 1].copy()
        found[: reached + rank + 1] /= 2
        reached += rank
    return found
