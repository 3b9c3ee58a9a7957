"""Figures of timed runs: nearest-rank percentiles, and what the samples say of their own median.

    percentile(q)   the sample of rank ceil(q n)
    median_ci       the order statistics x(l), x(u) with  P(x(l) <= median <= x(u)) >= 95 %,
                    where the number of samples below the median is binomial(n, 1/2)    (Conover, 1999, section 3.2)

No distribution is assumed. Below 6 samples no such interval exists, and the least and largest stand in.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from .record import Latency

CONFIDENCE = 0.95
# p99 of fewer is the largest of them.
P99_FLOOR = 100


def percentile(ordered: Sequence[float], q: float) -> float:
    """Nearest rank of sorted samples, 0 < q <= 1."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def median_ci(ordered: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the median of sorted samples."""
    low, high = ci_ranks(len(ordered))
    return ordered[low], ordered[high]


def ci_ranks(count: int, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Indices, from 0, of the order statistics that bound the median."""
    tail = (1 - confidence) / 2
    if count > 1000:
        # The normal approximation is within a rank of the exact one here.
        reach = statistics.NormalDist().inv_cdf(1 - tail) * math.sqrt(count) / 2
        low = max(0, math.floor((count - 1) / 2 - reach))
        return low, count - 1 - low
    low, below = 0, 0.5**count
    while below + math.comb(count, low + 1) * 0.5**count <= tail:
        low += 1
        below += math.comb(count, low) * 0.5**count
    return low, count - 1 - low


def latency(samples_ms: Sequence[float]) -> Latency:
    """The figures of the record. `samples_ms` must not be empty."""
    ordered = sorted(samples_ms)
    low, high = median_ci(ordered)
    return Latency(
        count=len(ordered),
        min_ms=ordered[0],
        mean_ms=statistics.fmean(ordered),
        std_ms=statistics.stdev(ordered) if len(ordered) > 1 else 0.0,
        max_ms=ordered[-1],
        p50_ms=percentile(ordered, 0.50),
        p90_ms=percentile(ordered, 0.90),
        p95_ms=percentile(ordered, 0.95),
        p99_ms=percentile(ordered, 0.99),
        ci95_low_ms=low,
        ci95_high_ms=high,
    )


def width(samples_ms: Sequence[float]) -> float:
    """Half the confidence interval of the median over the median; infinite where too few were taken."""
    if len(samples_ms) < 6:
        return math.inf
    ordered = sorted(samples_ms)
    low, high = median_ci(ordered)
    return (high - low) / 2 / percentile(ordered, 0.5)


def settled(samples_ms: Sequence[float], window: int, slack: float) -> bool:
    """True once the median of the last `window` runs is no more than `slack` below that of the window before."""
    if len(samples_ms) < 2 * window:
        return False
    before = statistics.median(samples_ms[-2 * window : -window])
    last = statistics.median(samples_ms[-window:])
    return last >= before * (1 - slack)


def drift(samples_ms: Sequence[float]) -> float:
    """How far the medians of the four quarters lie apart, over the smallest; 0 for fewer than 20 samples."""
    if len(samples_ms) < 20:
        return 0.0
    edges = [round(k * len(samples_ms) / 4) for k in range(5)]
    medians = [statistics.median(samples_ms[a:b]) for a, b in pairwise(edges)]
    return max(medians) / min(medians) - 1


def middle(totals: Sequence[float]) -> list[int]:
    """Indices of the runs in the middle half by total: neither disturbed nor lucky. All where there are fewer than 4."""
    order = sorted(range(len(totals)), key=lambda i: totals[i])
    cut = len(order) // 4
    return sorted(order[cut : len(order) - cut])
