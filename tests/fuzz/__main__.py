"""Random networks through random orders of the passes, in two processes, with a line that shows where it is.

    python -m tests.fuzz                        seeds 0 to 1,999
    python -m tests.fuzz --first 5000 --count 300
    python -m tests.fuzz --seed 17 --order 2    one network under one order, with its graph before and after

Ends with 1 where a network failed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from convc.compiler.errors import ConvcError
from convc.compiler.passes import PassManager
from tests.fuzz.drawing import drawn
from tests.fuzz.judging import ORDERS, Sound, Unsound, check, order

# Seeds that a process takes at once.
_BATCH = 20


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


def sweep(seeds: range, jobs: int, orders: list[int], line: bool = True) -> list[str]:
    """What went wrong, and a summary on the way. Each failure is printed when it is found."""
    failures: list[str] = []
    counts: Counter[str] = Counter()
    worst, done = 0.0, 0
    batches = [list(seeds[i : i + _BATCH]) for i in range(0, len(seeds), _BATCH)]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(several, batch, orders) for batch in batches]):
            for found in future.result():
                done += 1
                if isinstance(found, Sound):
                    counts.update(found.rewrites)
                    worst = max(worst, found.error)
                else:
                    failures.append(found)
                    print(f"\n{found}", file=sys.stderr)
            if line:
                said = f"{done} of {len(seeds)} networks, {sum(counts.values())} rewrites, error {worst:.1e}"
                print(f"\r{said}, {len(failures)} failed", end="", file=sys.stderr, flush=True)
    if line:
        print(file=sys.stderr)
    print(f"{done} networks in {len(orders)} orders each: largest error {worst:.1e}, {len(failures)} failed")
    for name, count in counts.most_common():
        print(f"  {name} {count}")
    return failures


def several(seeds: list[int], orders: list[int]) -> list[Sound | str]:
    """Each network's outcome; in a process of its own, with one thread."""
    import torch

    torch.set_num_threads(1)
    found: list[Sound | str] = []
    for seed in seeds:
        try:
            found.append(check(seed, orders))
        except Unsound as error:
            found.append(f"seed {seed}: {error}")
    return found


if __name__ == "__main__":
    sys.exit(main())
