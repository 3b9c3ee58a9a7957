"""The verdict errs as rarely as it says, whatever the machine does; it finds what is there; it stops when it may."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from convc.compiler.errors import UsageError
from convc.runtime.compare.rank import centre, critical
from convc.runtime.compare.verdict import FASTER, SAME, SLOWER, Pair, Rule, judge, replay
from tests.runtime.compare.noise import MACHINES, Machine, trace

RULE = Rule()
# Pairs of a comparison of 7 seconds on a network of 5 ms: two blocks of one untimed and three timed runs.
PAIRS = 120
EACH = 125


@pytest.mark.parametrize("name", MACHINES)
def test_of_a_thousand_equal_pairs_hardly_one_is_called_different(name: str) -> None:
    rng = np.random.default_rng(list(MACHINES).index(name))
    words = [replay(trace(MACHINES[name], PAIRS, rng), RULE).word for _ in range(EACH)]
    assert len(words) - words.count(SAME) <= 0.02 * EACH


@pytest.mark.parametrize("name", MACHINES)
def test_of_a_thousand_slow_downs_of_5_percent_nearly_all_are_found(name: str) -> None:
    rng = np.random.default_rng(100 + list(MACHINES).index(name))
    words = [replay(trace(MACHINES[name], PAIRS, rng, 0.05), RULE).word for _ in range(EACH)]
    assert words.count(SLOWER) >= 0.95 * EACH


def test_without_resolution_the_false_alarms_are_those_that_alpha_buys() -> None:
    rng = np.random.default_rng(7)
    rule = Rule(alpha=0.05, resolution=0.0, precision=1e-9)
    words = [replay(trace(MACHINES["with two clocks"], 60, rng), rule).word for _ in range(400)]
    # alpha 5 %: 20 expected; past 33 would come once in a thousand tries.
    assert 2 <= len(words) - words.count(SAME) <= 33


@pytest.mark.parametrize(("seconds", "word"), [(14e-6, SAME), (14e-3, SLOWER)])
def test_two_microseconds_are_no_difference_between_two_models(seconds: float, word: str) -> None:
    """Two loads of one file of 14 microseconds differ by 13 % for good; of a longer one that is a difference."""
    pairs = [Pair((seconds,) * 3, (seconds * 1.13,) * 3) for _ in range(40)]
    found, back = judge(pairs, RULE), judge([Pair(pair.b, pair.a) for pair in pairs], RULE)
    assert found is not None
    assert back is not None
    assert (found.word, back.word) == (word, FASTER if word == SLOWER else SAME)
    assert found.resolution == pytest.approx(RULE.resolution if word == SLOWER else 2 / 14.9, rel=0.1)


def test_a_faster_b_is_faster_and_swapping_the_sides_turns_the_word() -> None:
    pairs = trace(Machine(jitter=0.01), 60, np.random.default_rng(3), -0.1)
    turned = [Pair(pair.b, pair.a, not pair.a_first) for pair in pairs]
    forward, back = replay(pairs, RULE), replay(turned, RULE)
    assert (forward.word, back.word) == (FASTER, SLOWER)
    assert forward.ratio == pytest.approx(0.9, rel=0.01)
    assert forward.ratio * back.ratio == pytest.approx(1)
    assert forward.low < 0.9 < forward.high


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(300):
        found = judge(trace(MACHINES["jittery"], 40, rng, 0.05), Rule(alpha=0.2))
        assert found is not None
        assert found.confidence == pytest.approx(0.9)
        held += found.low <= 1.05 <= found.high
    assert 0.85 <= held / 300 <= 0.95


def test_a_difference_below_the_resolution_is_not_called_one_however_sure() -> None:
    pairs = trace(Machine(jitter=0.001), 60, np.random.default_rng(5), 0.015)
    found = judge(pairs, RULE)
    assert found is not None
    assert found.low > 1.01
    assert found.word == SAME
    assert replay(pairs, Rule(resolution=0.01)).word == SLOWER


def test_it_stops_as_soon_as_the_interval_is_narrow_and_not_before() -> None:
    quiet = replay(trace(MACHINES["quiet"], PAIRS, np.random.default_rng(1)), RULE)
    assert quiet.early
    assert quiet.pairs in (16, 24)
    loud = replay(trace(Machine(jitter=0.2), PAIRS, np.random.default_rng(1)), RULE)
    assert (loud.early, loud.pairs) == (False, PAIRS)
    assert loud.half_width > 0.01


def test_looks_are_rare_and_share_one_half_of_alpha() -> None:
    looks = [n for n in range(1, 200) if RULE.look(n)]
    assert looks == [16, 24, 36, 54, 81, 121, 181]
    assert [RULE.look(n) for n in looks] == [1, 2, 3, 4, 5, 6, 7]
    assert sum(RULE.early_alpha(k) for k in range(1, 10_000)) == pytest.approx(RULE.alpha / 2, rel=1e-3)
    assert judge(trace(Machine(), 17, np.random.default_rng(0)), RULE, last=False) is None


def test_few_pairs_give_an_honest_interval_without_ends() -> None:
    found = judge([Pair((1.0,), (2.0,))] * 3, RULE)
    assert found is not None
    assert (found.word, found.low) == (SAME, 0.0)
    assert found.ratio == pytest.approx(2.0)
    assert found.high > 1e300


@pytest.mark.parametrize("pairs", [[], [Pair((), (1.0,))], [Pair((1.0,), (0.0,))]])
def test_nothing_to_judge_is_said(pairs: list[Pair]) -> None:
    with pytest.raises(UsageError):
        judge(pairs, RULE)


@pytest.mark.parametrize("field", [{"alpha": 0.0}, {"precision": 0.0}, {"first_look": 0}, {"resolution": -1.0}])
def test_a_rule_that_is_none_is_refused(field: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="is no rule"):
        Rule(**field)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [1, 5, 9])
def test_signed_ranks_are_counted_as_by_hand(n: int) -> None:
    sums = sorted(
        sum(r for r, sign in zip(range(1, n + 1), signs, strict=True) if sign) for signs in product((0, 1), repeat=n)
    )
    for alpha in (0.01, 0.05, 0.3, 1.0):
        best = max(
            (k for k in range(n * (n + 1) // 2 + 1) if 2 * sum(s <= k for s in sums) / 2**n <= alpha), default=-1
        )
        assert critical(n, alpha) == best


def test_centre_is_the_median_of_the_means_of_two() -> None:
    found = centre([1.0, 2.0, 10.0], 0.25)
    assert found.estimate == 3.75  # of 1, 1.5, 2, 5.5, 6, 10
    assert (found.low, found.high, found.half_width) == (1.0, 10.0, 4.5)
    assert (centre([1.0, 2.0, 10.0], 0.5).low, centre([1.0, 2.0, 10.0], 0.5).high) == (1.5, 6.0)
    assert math.isinf(centre([1.0], 0.05).half_width)
