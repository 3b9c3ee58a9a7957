"""Many seeds in several processes, with a line that shows how far it is."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tests.fuzz.judging import Sound, Unsound, check

# Seeds that a process takes at once.
_BATCH = 20


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
