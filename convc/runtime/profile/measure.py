"""Timing one point: session, first run, warm-up, steady state, throughput and transfers, each on its own.

Warm-up ends when runs have stopped getting faster; the timed loop when the confidence interval of the median is narrow, or the
time is up. Every sample is kept, none is thrown away. Throughput comes from a loop that times nothing inside.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from .record import Throughput, Transfers, Warmup
from .runner import Runner
from .stats import settled, width

_WINDOW = 5
_SLACK = 0.02
# A GPU sleeps at a low clock and takes about a second to wake.
_WARM_S = {"cpu": 0.3}
_WARM_DEVICE_S = 1.0
_WARM_MAX_S = 5.0
# Fewer than this say nothing of a median; a slow network gets them even when the time is up.
MIN_SAMPLES = 6
NARROW_FLOOR = 30
_THROUGHPUT_S = 1.0


@dataclass(frozen=True)
class Budget:
    """How long to measure.

    duration_s  most time for the timed loop
    iterations  exactly this many samples instead; 0: the interval decides
    warmup_ms   least warm-up; None: the provider's own
    narrow      half the interval over the median, at which the loop may stop
    """

    duration_s: float = 3.0
    iterations: int = 0
    warmup_ms: float | None = None
    narrow: float = 0.005


def warm(runner: Runner, budget: Budget) -> Warmup:
    """Run until it is no longer getting faster."""
    least = budget.warmup_ms / 1e3 if budget.warmup_ms is not None else _WARM_S.get(runner.device, _WARM_DEVICE_S)
    longest = max(_WARM_MAX_S, 3 * least)
    samples: list[float] = []
    start = time.perf_counter()
    while True:
        samples.append(runner.timed())
        spent = time.perf_counter() - start
        stable = settled(samples, _WINDOW, _SLACK)
        if spent >= least and (stable or spent >= longest):
            return Warmup(len(samples), spent * 1e3, stable)


def steady(
    run: Callable[[], float], budget: Budget, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[float], str]:
    """The samples in milliseconds, and why it stopped: `count`, `narrow` or `time`."""
    samples: list[float] = []
    start = clock()
    check = NARROW_FLOOR
    while True:
        samples.append(run())
        count = len(samples)
        if budget.iterations:
            if count >= budget.iterations:
                return samples, "count"
            continue
        if count >= check:
            if width(samples) <= budget.narrow:
                return samples, "narrow"
            # Sorting them all after every run would be work between the runs.
            check = count + max(10, count // 5)
        if clock() - start >= budget.duration_s and count >= MIN_SAMPLES:
            return samples, "time"


def throughput(runner: Runner, batch: int, p50_ms: float, limit_s: float = _THROUGHPUT_S) -> Throughput:
    """Runs back to back for about `limit_s`, submitted without waiting where the device allows it."""
    count = max(3, round(min(limit_s, _THROUGHPUT_S) * 1e3 / p50_ms))
    submit = runner.submit()
    runner.finish()
    start = time.perf_counter()
    for _ in range(count):
        submit()
    runner.finish()
    seconds = time.perf_counter() - start
    return Throughput(count, seconds, count * batch / seconds)


def transfers(runner: Runner, p50_ms: float, times: int = 30) -> Transfers:
    """Medians of enqueue, host-to-device, compute and device-to-host. On the host there is nothing to copy or to enqueue."""
    if not runner.on_device:
        return Transfers(compute_ms=p50_ms)
    submit = runner.submit()
    enqueue = []
    for _ in range(times):
        runner.finish()
        enqueue.append(_ms(submit))
    runner.finish()
    copies = [(_ms(runner.copy_in), _ms(runner.copy_out)) for _ in range(times)]
    h2d, d2h = (statistics.median(column) for column in zip(*copies, strict=True))
    return Transfers(statistics.median(enqueue), h2d, p50_ms, d2h)


def _ms(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6
