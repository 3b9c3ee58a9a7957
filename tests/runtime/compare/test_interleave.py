"""Two things run in turn: in short blocks, in a random order, no longer than they may, and no shorter than the verdict needs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from convc.runtime.compare.interleave import Budget, interleave
from convc.runtime.compare.verdict import FASTER, SAME, SLOWER, Rule


class Clock:
    """Time that passes only when something runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.log: list[str] = []
        self.rng = np.random.default_rng(0)
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def run(self, name: str, seconds: float, jitter: float = 0.005) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.now += seconds * float(np.exp(self.rng.standard_normal() * jitter))

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(("factor", "word"), [(1.0, SAME), (1.05, SLOWER), (0.95, FASTER)])
def test_the_verdict_is_about_b(factor: float, word: str, clock: Clock) -> None:
    made = interleave(clock.run("a", 5e-3), clock.run("b", 5e-3 * factor), Rule(), Budget())
    assert made.verdict.word == word
    assert made.verdict.ratio == pytest.approx(factor, rel=0.01)


def test_blocks_are_short_and_each_pair_has_one_of_each_in_a_random_order(clock: Clock) -> None:
    made = interleave(clock.run("a", 5e-3), clock.run("b", 5e-3), Rule(precision=1e-9), Budget(seconds=4))
    assert {(len(pair.a), len(pair.b)) for pair in made.pairs} == {(3, 3)}
    first = [pair.a_first for pair in made.pairs]
    assert 0.3 < statistics.fmean(first) < 0.7
    # After the warm-up: one untimed and three timed runs a block.
    tail = "".join(clock.log)[-8 * len(made.pairs) :]
    blocks = [tail[k : k + 4] for k in range(0, len(tail), 4)]
    assert set(blocks) == {"aaaa", "bbbb"}
    assert [blocks[k] == "aaaa" for k in range(0, len(blocks), 2)] == first


def test_the_same_seed_gives_the_same_order(clock: Clock) -> None:
    orders = []
    for seed in (1, 1, 2):
        made = interleave(clock.run("a", 5e-3), clock.run("b", 5e-3), Rule(precision=1e-9), Budget(2, seed=seed))
        orders.append([pair.a_first for pair in made.pairs][:40])
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("seconds", [3e-3, 5e-3, 10e-3])
def test_a_network_of_3_to_10_ms_is_judged_within_ten_seconds(seconds: float, clock: Clock) -> None:
    made = interleave(clock.run("a", seconds, 0.3), clock.run("b", seconds, 0.3), Rule(precision=1e-9), Budget())
    assert made.seconds < 7.5
    assert clock.now < 10
    assert made.verdict.pairs == len(made.pairs) >= 60


def test_it_stops_early_where_all_is_clear(clock: Clock) -> None:
    made = interleave(clock.run("a", 5e-3), clock.run("b", 5.5e-3), Rule(), Budget(seconds=60))
    assert made.verdict.early
    assert made.seconds < 10


def test_a_slow_network_gets_enough_pairs_but_not_for_ever(clock: Clock) -> None:
    slow = interleave(clock.run("a", 0.5), clock.run("b", 0.5), Rule(precision=1e-9), Budget(seconds=7))
    assert len(slow.pairs) == 24
    assert {len(pair.a) for pair in slow.pairs} == {1}
    slower = interleave(clock.run("a", 5.0), clock.run("b", 5.0), Rule(), Budget(seconds=7, most_seconds=60))
    assert 120 > slower.seconds >= 60


def test_a_tiny_network_runs_often_in_a_block(clock: Clock) -> None:
    made = interleave(clock.run("a", 2e-5), clock.run("b", 2e-5), Rule(), Budget(seconds=1))
    assert {len(pair.a) for pair in made.pairs} == {40}


def test_progress_is_told_and_what_a_run_raises_comes_through(clock: Clock) -> None:
    told: list[str] = []
    interleave(clock.run("a", 5e-3), clock.run("b", 5e-3), Rule(), Budget(seconds=1), told.append)
    assert told[0].startswith("comparing, pair 1")

    def broken() -> None:
        raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match="device lost"):
        interleave(clock.run("a", 5e-3), broken, Rule(), Budget())
