"""Timing in the kit's runner: warm-up, steady state, and the figures of convc's record. Part of `run.py`; see assemble.py."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

# Half the interval of the median over the median, at which the timed loop may stop.
NARROW = 0.005


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def warm(run: Callable[[], Any], least_s: float, window: int = 5) -> tuple[int, float, bool]:
    """Runs until the last few are no faster than the few before; (runs, milliseconds, whether they settled)."""
    samples: list[float] = []
    start = time.perf_counter()
    while True:
        samples.append(timed(run))
        spent = time.perf_counter() - start
        stable = len(samples) >= 2 * window and statistics.median(samples[-window:]) >= 0.98 * statistics.median(
            samples[-2 * window : -window]
        )
        if spent >= least_s and (stable or spent >= 5.0):
            return len(samples), spent * 1e3, stable


def steady(run: Callable[[], Any], seconds: float) -> tuple[list[float], str]:
    """Samples in milliseconds, and why it stopped: `narrow` or `time`."""
    samples: list[float] = []
    start = time.perf_counter()
    check = 30
    while True:
        samples.append(timed(run))
        if len(samples) >= check:
            told = latency(samples)
            if (told["ci95_high_ms"] - told["ci95_low_ms"]) / 2 / told["p50_ms"] <= NARROW:
                return samples, "narrow"
            check = len(samples) + max(10, len(samples) // 5)
        if time.perf_counter() - start >= seconds and len(samples) >= 6:
            return samples, "time"


def latency(samples: list[float]) -> dict[str, Any]:
    """The figures of the record: nearest-rank percentiles, and the interval of the median from order statistics."""
    ordered = sorted(samples)
    count = len(ordered)
    low = lower_rank(count)

    def rank(q: float) -> float:
        return ordered[max(0, math.ceil(q * count) - 1)]

    mean = math.fsum(ordered) / count
    return {
        "count": count,
        "min_ms": ordered[0],
        "mean_ms": mean,
        "std_ms": statistics.stdev(ordered) if count > 1 else 0.0,
        "max_ms": ordered[-1],
        "p50_ms": rank(0.5),
        "p90_ms": rank(0.9),
        "p95_ms": rank(0.95),
        "p99_ms": rank(0.99),
        "ci95_low_ms": ordered[low],
        "ci95_high_ms": ordered[count - 1 - low],
    }


def lower_rank(count: int) -> int:
    """The order statistic, from 0, that bounds the median from below at 95 %: samples below it are binomial(count, 1/2)."""
    if count > 1000:
        return max(0, math.floor((count - 1) / 2 - 1.959963984540054 * math.sqrt(count) / 2))
    low, below, tail = 0, 0.5**count, 0.025
    while below + math.comb(count, low + 1) * 0.5**count <= tail:
        low += 1
        below += math.comb(count, low) * 0.5**count
    return low


def warnings_of(told: dict[str, Any], stable: bool) -> list[str]:
    found = []
    spread = (told["p90_ms"] - min(told["p50_ms"], told["min_ms"])) / told["p50_ms"]
    if spread > 0.2:
        found.append(f"the runs differ by {100 * spread:.0f} % of the median: another program may be at work")
    if not stable:
        found.append("the runs were still getting faster when the warm-up ended")
    return found
