"""Random networks through random orders of the passes, in two processes, with a line that shows where it is.

    python -m tests.fuzz                        seeds 0 to 1,999
    python -m tests.fuzz --first 5000 --count 300
    python -m tests.fuzz --seed 17 --order 2    one network under one order, with its graph before and after

Ends with 1 where a network failed.
"""

from __future__ import annotations

import argparse
import sys

from convc.compiler.errors import ConvcError
from convc.compiler.passes import PassManager
from tests.fuzz.drawing import drawn
from tests.fuzz.judging import ORDERS, Unsound, check, order
from tests.fuzz.sweeping import sweep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=2000, help="how many networks")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="this network alone, printed")
    parser.add_argument("--order", type=int, help="this order alone")
    chosen = parser.parse_args()
    orders = range(ORDERS) if chosen.order is None else [chosen.order]
    if chosen.seed is not None:
        return show(chosen.seed, list(orders))
    failures = sweep(range(chosen.first, chosen.first + chosen.count), chosen.jobs, list(orders))
    return 1 if failures else 0


def show(seed: int, orders: list[int]) -> int:
    """One network in text, then what each order makes of it."""
    model = drawn(seed)
    print(model)
    failed = 0
    for number in orders:
        print(f"\n-- order {number}: {', '.join(one.name for one in order(seed, number))}")
        try:
            done = PassManager(order(seed, number)).run(model)
            for region in done.regions:
                print(f"   {region.rewrite} at {region.site}")
            print(done.model)
            print(f"-- error {check(seed, [number]).error:.1e}")
        except (ConvcError, Unsound) as error:
            failed = 1
            print(f"-- {error}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
