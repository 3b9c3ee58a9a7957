"""Figures: nearest rank by hand, the interval's coverage by simulation, and what stops a loop."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from itertools import pairwise

import pytest

from convc.runtime.profile.measure import MIN_SAMPLES, Budget, steady
from convc.runtime.profile.stats import ci_ranks, drift, latency, middle, percentile, settled, width


@pytest.mark.parametrize(
    ("count", "q", "rank"), [(10, 0.5, 5), (10, 0.9, 9), (10, 0.95, 10), (100, 0.99, 99), (101, 0.99, 100), (1, 0.5, 1)]
)
def test_percentiles_are_of_the_nearest_rank(count: int, q: float, rank: int) -> None:
    assert percentile(list(range(1, count + 1)), q) == rank


def test_ci_ranks_are_those_of_the_binomial_table() -> None:
    # Conover's table for the median: n = 6 -> (1, 6), n = 10 -> (2, 9), n = 20 -> (6, 15), n = 50 -> (18, 33); ranks from 1.
    assert [tuple(r + 1 for r in ci_ranks(n)) for n in (6, 10, 20, 50)] == [(1, 6), (2, 9), (6, 15), (18, 33)]


def test_exact_and_approximate_ranks_meet() -> None:
    exact, approximate = ci_ranks(1000)[0], ci_ranks(1001)[0]
    assert abs(exact - approximate) <= 1
    assert all(a <= b for a, b in pairwise(ci_ranks(n)[0] for n in range(1, 1200)))


@pytest.mark.parametrize("draw", [random.gauss, random.lognormvariate], ids=["normal", "skewed"])
def test_the_interval_covers_the_median_in_95_of_100(draw: Callable[[float, float], float]) -> None:
    random.seed(0)
    truth = 0.0 if draw is random.gauss else 1.0
    held = 0
    for _ in range(1000):
        figures = latency([draw(0.0, 0.5) for _ in range(31)])
        held += figures.ci95_low_ms <= truth <= figures.ci95_high_ms
    assert 935 <= held <= 985


def test_latency_keeps_what_the_samples_say() -> None:
    samples = [3.0, 1.0, 2.0, 10.0]
    figures = latency(samples)
    assert (figures.count, figures.min_ms, figures.max_ms, figures.p50_ms, figures.p90_ms) == (4, 1.0, 10.0, 2.0, 10.0)
    assert (figures.mean_ms, figures.std_ms) == (4.0, statistics.stdev(samples))
    assert latency([5.0]).std_ms == 0.0


def test_width_needs_six_samples_and_narrows_with_more() -> None:
    assert width([1.0] * 5) == math.inf
    assert width([1.0] * 6) == 0.0
    random.seed(1)
    samples = [random.gauss(10, 1) for _ in range(400)]
    assert width(samples) < width(samples[:40])


def _clocked(times: list[float]) -> tuple[Callable[[], float], Callable[[], float]]:
    """A run that takes the given milliseconds in turn, and a clock that agrees with it."""
    state = {"now": 0.0, "k": 0}

    def run() -> float:
        took = times[min(state["k"], len(times) - 1)]  # type: ignore[call-overload]
        state["k"] += 1
        state["now"] += took / 1e3
        return float(took)

    return run, lambda: state["now"]


def test_a_steady_run_stops_when_the_interval_is_narrow() -> None:
    run, clock = _clocked([10.0])
    samples, why = steady(run, Budget(duration_s=100), clock)
    assert why == "narrow"
    assert 30 <= len(samples) < 100


def test_a_noisy_run_stops_when_the_time_is_up() -> None:
    random.seed(2)
    run, clock = _clocked([random.uniform(5, 15) for _ in range(5000)])
    samples, why = steady(run, Budget(duration_s=2), clock)
    assert why == "time"
    assert 2.0 <= sum(samples) / 1e3 < 2.1


def test_a_slow_run_gets_the_least_number_of_samples() -> None:
    run, clock = _clocked([4000.0])
    assert steady(run, Budget(duration_s=1), clock) == ([4000.0] * MIN_SAMPLES, "time")


def test_asked_for_iterations_are_done_whatever_the_time() -> None:
    run, clock = _clocked([900.0])
    assert steady(run, Budget(duration_s=1, iterations=17), clock) == ([900.0] * 17, "count")


def test_warm_up_is_over_when_runs_stop_getting_faster() -> None:
    falling = [100 / k for k in range(1, 12)]
    assert not settled(falling, 5, 0.02)
    assert settled([*falling, *[9.0] * 10], 5, 0.02)
    assert not settled([9.0] * 9, 5, 0.02)


def test_drift_is_seen_between_quarters() -> None:
    assert drift([10.0] * 40) == 0.0
    assert drift([10.0] * 20 + [12.0] * 20) == pytest.approx(0.2)
    assert drift([1.0, 9.0] * 5) == 0.0


def test_the_middle_half_leaves_the_disturbed_and_the_lucky_out() -> None:
    assert middle([5.0, 1.0, 4.0, 100.0, 4.5, 5.5, 4.2, 4.1]) == [0, 4, 6, 7]
    assert middle([3.0, 1.0, 2.0]) == [0, 1, 2]
