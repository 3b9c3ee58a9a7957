"""Where a merge would be wrong, none is made, and the result stays what it was.

Each case first shows that it is one: the careless merge, made by hand, changes the result.
"""

from __future__ import annotations

import pytest

from tests.fuzz.judging import error, evaluated, sizes, values
from tests.near_misses import affine, branches, lookalikes, others, pairs
from tests.near_misses.case import NearMiss, optimised, structure

CASES: tuple[NearMiss, ...] = (
    *affine.near_misses(),
    *branches.near_misses(),
    *pairs.near_misses(),
    *others.near_misses(),
    *lookalikes.near_misses(),
)


def test_there_are_enough() -> None:
    assert len({str(case) for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_merge_is_not_made(case: NearMiss) -> None:
    model, careless = case.model(), case.merged()
    # Wide enough to reach where clipped curves bend.
    inputs = {name: 3 * value for name, value in values(model, sizes(model)).items()}
    expected = evaluated(model, inputs)
    assert error(model, inputs, expected, evaluated(careless, inputs)) > 1e-6, "no near miss: the merge is right"
    after = optimised(model)
    assert structure(after) != structure(careless), f"merged:\n{after}"
    assert error(model, inputs, expected, evaluated(after, inputs)) < 1e-12
