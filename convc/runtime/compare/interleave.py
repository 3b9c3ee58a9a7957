"""Two runnable models, run in turn in short blocks, until the verdict stands or the time is up.

    pair  =  block of one, block of the other, in an order that a seeded coin decides
    block =  `settle` untimed runs, then `runs` timed ones

The untimed run refills the caches that the other model emptied. Blocks are short, so that whatever slows the machine for a
tenth of a second slows both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from .verdict import Pair, Rule, Verdict, judge

Run = Callable[[], object]
Progress = Callable[[str], None]

# Milliseconds that a block should take: longer than a scheduler's slice, far shorter than a drift.
_BLOCK_MS = 12.0
_MOST_RUNS = 40
_WARM_RUNS = 5


@dataclass(frozen=True, slots=True)
class Budget:
    """seconds   time to measure, warm-up included
    pairs     at least so many, where one pair takes long; but never more than `most_seconds`
    seed      of the coin
    """

    seconds: float = 7.0
    pairs: int = 24
    most_seconds: float = 60.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Contest:
    """A verdict, and the runs that it rests on, in the order of time."""

    verdict: Verdict
    pairs: tuple[Pair, ...]
    seconds: float


def interleave(a: Run, b: Run, rule: Rule, budget: Budget, progress: Progress | None = None) -> Contest:
    """Run `a` and `b` (one inference each, done when it returns) in turn, and judge. Whatever they raise passes through."""
    began = time.perf_counter()
    shape = _Shape.fitting(_warm(a, b, budget))
    coin = random.Random(budget.seed)
    pairs: list[Pair] = []
    while True:
        pairs.append(_pair(a, b, shape, coin.random() < 0.5))
        spent = time.perf_counter() - began
        if progress is not None:
            progress(f"comparing, pair {len(pairs)}, {spent:.0f} s")
        early = judge(pairs, rule, last=False)
        if early is None and not _over(spent, len(pairs), budget):
            continue
        verdict = early or judge(pairs, rule)
        assert verdict is not None, "the last look always answers"
        return Contest(verdict, tuple(pairs), time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Untimed and timed runs of a block."""

    settle: int
    runs: int

    @staticmethod
    def fitting(slower_s: float) -> _Shape:
        """By how long one run of the slower model takes: from 30 ms on a block is one run, and no cache outlives it."""
        runs = max(1, min(_MOST_RUNS, round(_BLOCK_MS / 1e3 / max(slower_s, 1e-9))))
        return _Shape(0 if slower_s > 0.03 else 1, max(runs, 1 if slower_s > 0.03 else 3))


def _warm(a: Run, b: Run, budget: Budget) -> float:
    """Run both until they are warm; the seconds that the slower one's fastest run took."""
    until = time.perf_counter() + budget.seconds / 10
    best = [float("inf"), float("inf")]
    for count in range(10 * _WARM_RUNS):
        for side, run in enumerate((a, b)):
            best[side] = min(best[side], _timed(run))
        if count + 1 >= _WARM_RUNS and time.perf_counter() > until:
            break
    return max(best)


def _pair(a: Run, b: Run, shape: _Shape, a_first: bool) -> Pair:
    first = _block(a if a_first else b, shape)
    second = _block(b if a_first else a, shape)
    return Pair(first, second, True) if a_first else Pair(second, first, False)


def _block(run: Run, shape: _Shape) -> tuple[float, ...]:
    for _ in range(shape.settle):
        run()
    return tuple(_timed(run) for _ in range(shape.runs))


def _timed(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _over(spent: float, pairs: int, budget: Budget) -> bool:
    return spent >= budget.seconds and (pairs >= budget.pairs or spent >= budget.most_seconds)
