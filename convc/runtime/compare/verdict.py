"""Which of two is faster, from runs taken in turn: a pure function from pairs of blocks to a verdict.

    pair        a few runs of A beside a few runs of B, in an order that a coin decided
    x           log(median of the pair's B runs / median of its A runs)
    ratio       exp of the Hodges-Lehmann centre of all x, with its signed-rank interval (rank.py)

If A and B cost the same, the coin alone gives each x its sign, whatever the machine does meanwhile: drift, a clock with two
speeds, neighbours, outliers. So the interval needs no model of the noise. What a verdict says:

    slower      the interval lies above 1, and the ratio is above 1 + resolution
    faster      the interval lies below 1, and the ratio is below 1 / (1 + resolution)
    same        neither: the same within noise

`resolution` is what two loads of one file differ by: memory lies elsewhere. Below 0.1 ms no share of a run says that: the `floor`
of 2 µs was measured on a model of 14 µs, of which two loads differed by up to 1.9 µs.

Looking often finds something sooner or later; so the early looks share one half of alpha, the k-th taking 1 / (k (k + 1)) of it,
and the last look has the other half.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...compiler.errors import UsageError
from .rank import Centre, centre

SLOWER, FASTER, SAME = "slower", "faster", "same"


@dataclass(frozen=True, slots=True)
class Pair:
    """Neighbouring blocks of runs: seconds of each run of A and of B, and which of the two came first."""

    a: tuple[float, ...]
    b: tuple[float, ...]
    a_first: bool = True

    @property
    def log_ratio(self) -> float:
        return math.log(statistics.median(self.b) / statistics.median(self.a))


@dataclass(frozen=True, slots=True)
class Rule:
    """How sure, how fine, and when to look.

    alpha       chance of `slower` or `faster` where both cost the same, all looks together
    resolution  smallest relative difference that is called one
    floor       the same in seconds: the larger of the two counts
    precision   half width of the interval, relative, below which measuring on is a waste
    first_look  pairs before the first look; each later look comes after half as many again
    """

    alpha: float = 0.01
    resolution: float = 0.02
    precision: float = 0.01
    first_look: int = 16
    floor: float = 2e-6

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or self.resolution < 0 or self.precision <= 0 or self.first_look < 1:
            raise UsageError(f"{self} is no rule: alpha in 0..1, precision above 0, first_look 1 or more")

    def look(self, pairs: int) -> int:
        """Which look, from 1, is due after so many pairs; 0 where none is."""
        at, number = self.first_look, 1
        while at < pairs:
            at, number = at + max(1, at // 2), number + 1
        return number if at == pairs else 0

    def early_alpha(self, look: int) -> float:
        return self.alpha / 2 / (look * (look + 1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for B against A. `ratio` above 1: B takes longer. Infinite ends where there were too few pairs."""

    word: str
    ratio: float
    low: float
    high: float
    confidence: float
    pairs: int
    early: bool
    resolution: float

    @property
    def sentence(self) -> str:
        if self.word == SAME:
            return "B is the same as A within noise"
        return f"B is {self.word} than A"

    @property
    def half_width(self) -> float:
        """Of the interval, relative: differences much below it could not have been found."""
        return (self.high - self.low) / 2


def judge(pairs: Sequence[Pair], rule: Rule, *, last: bool = True) -> Verdict | None:
    """The verdict after these pairs; None where this is not the last look, and it is too early to stop.

    Raises UsageError where there is no pair, or a run that took no time.
    """
    if not pairs:
        raise UsageError("there is nothing to judge: no pair of blocks was run")
    look = 0 if last else rule.look(len(pairs))
    if not last and not look:
        return None
    alpha = rule.alpha / 2 if last else rule.early_alpha(look)
    found = centre(_log_ratios(pairs), alpha)
    if not last and not _settled(found, rule):
        return None
    ends = (math.exp(min(found.low, 700)), math.exp(min(found.high, 700)))
    finest = max(
        rule.resolution, rule.floor / statistics.median(value for pair in pairs for value in (*pair.a, *pair.b))
    )
    return Verdict(_word(found, finest), math.exp(found.estimate), *ends, 1 - alpha, len(pairs), not last, finest)


def replay(pairs: Iterable[Pair], rule: Rule) -> Verdict:
    """What a live comparison that saw these pairs come in would have said, and when it would have stopped."""
    seen: list[Pair] = []
    for pair in pairs:
        seen.append(pair)
        if (found := judge(seen, rule, last=False)) is not None:
            return found
    verdict = judge(seen, rule)
    assert verdict is not None, "the last look always answers"
    return verdict


def _log_ratios(pairs: Sequence[Pair]) -> list[float]:
    if any(not pair.a or not pair.b or min(*pair.a, *pair.b) <= 0 for pair in pairs):
        raise UsageError("a block without runs, or a run that took no time, cannot be compared")
    return [pair.log_ratio for pair in pairs]


def _settled(found: Centre, rule: Rule) -> bool:
    """Narrow enough that more pairs would change neither the word nor what a person reads from the ratio."""
    return found.half_width <= math.log1p(rule.precision)


def _word(found: Centre, resolution: float) -> str:
    least = math.log1p(resolution)
    if found.low > 0 and found.estimate > least:
        return SLOWER
    if found.high < 0 and found.estimate < -least:
        return FASTER
    return SAME
