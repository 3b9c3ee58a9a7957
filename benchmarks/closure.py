#!/usr/bin/env python3
"""Do the layers of a profile add up? Ten networks on the CPU, and whether their medians agree with plain ONNX Runtime.

    python benchmarks/closure.py [--networks resnet50,...] [--threads 1] [--duration 3] [--json benchmarks/results/closure.json]

closure       sum of the layers over the time of the same profiled runs: 0.95 to 1.00 above 20 ms, 0.85 to 1.00 below
ratio         profiled over unprofiled median, what profiling costs
              (the profiler needs about 4 us between two nodes, in no layer: where a node takes less than 25 us in the mean, as in
              MobileNetV3-Small, it is 0.8)
missing       layers of the spec that are neither in the table, nor named as fused into a row, nor named as gone: none
session.run   a plain loop of onnxruntime's own, in turns with ours on the same file: the median over rounds of the ratio, beside
              the ratio of that loop to itself, which is the noise of this run
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NETWORKS = (
    "resnet50", "seresnet50", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "googlenet", "vgg11",
    "shufflenet_v2_x1_0", "convnext_tiny",
)  # fmt: skip
# Most time for the agreement of one network.
_LIMIT_S = 20.0
_SLOW_MS, _SLOW, _FAST = 20.0, 0.95, 0.85


@dataclass(frozen=True)
class Row:
    """What is shown of a network."""

    network: str
    p50_ms: float
    run_ms: float
    sum_ms: float
    unclaimed_ms: float
    closure: float
    profiled_over_unprofiled: float
    rows: int
    missing: list[str]
    over_session_run: float
    noise: float

    @property
    def good(self) -> bool:
        least = _SLOW if self.run_ms > _SLOW_MS else _FAST
        return least <= self.closure <= 1.0 and not self.missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--duration", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(
        f"{'network':22} {'p50 ms':>8} {'run ms':>8} {'layers':>8} {'closure':>7} {'ratio':>6} {'rows':>5}  session.run (noise)"
    )
    rows = []
    machine: dict[str, Any] = {}
    for name in args.networks.split(","):
        row, machine = measured(name, args.threads, args.duration, args.rounds)
        rows.append(row)
        print(
            f"{name:22} {row.p50_ms:8.2f} {row.run_ms:8.2f} {row.sum_ms:8.2f} {row.closure:7.3f} "
            f"{row.profiled_over_unprofiled:6.3f} {row.rows:5}  {row.over_session_run:.3f} ({row.noise:.3f})"
            f"{'' if row.good else '  BAD'}{'  missing: ' + ', '.join(row.missing) if row.missing else ''}",
            flush=True,
        )
    if args.json:
        data = {
            "schema_version": 1,
            "machine": machine,
            "threads": args.threads,
            "networks": [asdict(row) for row in rows],
        }
        args.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0 if all(row.good for row in rows) else 1


def measured(name: str, threads: int, duration: float, rounds: int) -> tuple[Row, dict[str, Any]]:
    import convc

    with tempfile.TemporaryDirectory() as folder:
        built = convc.build(name, Path(folder) / "out", verify=False)
        found = convc.profile(built.folder, provider="cpu", threads=threads, duration_s=duration, roofline=False)
        over, noise = agreement(built.path, threads, rounds, found.points[0].inputs)
    point = found.points[0]
    table = point.layers
    assert table is not None
    wrote = {node.name for node in built.network.graph}
    known = {owner for row in table.rows for owner in row.owners} | {one.layer for one in table.absent}
    row = Row(
        name, point.latency.p50_ms, table.run_ms, table.sum_ms, table.unclaimed_ms, table.closure,
        table.profiled_over_unprofiled, len(table.rows), sorted(wrote - known), over, noise,
    )  # fmt: skip
    return row, found.to_json()["start"]


def agreement(path: Path, threads: int, rounds: int, inputs: Any) -> tuple[float, float]:
    """Median over rounds of (our bound run / session.run), and of (session.run / session.run again)."""
    import numpy as np
    import onnxruntime as ort

    from convc.runtime.profile.runner import Runner
    from convc.runtime.session import Session

    rng = np.random.default_rng(0)
    feeds = {key: rng.standard_normal(shape, dtype=np.float32) for key, shape in inputs.items()}
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    plain = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    ours = Runner(Session(path, "cpu", threads=threads), feeds)
    entries: list[Callable[[], object]] = [lambda: plain.run(None, feeds), ours.run, lambda: plain.run(None, feeds)]
    times: list[list[float]] = [[], [], []]
    start = time.perf_counter()
    for round_ in range(rounds):
        if round_ >= 3 and time.perf_counter() - start > _LIMIT_S:
            break
        for k in range(3):
            times[(k + round_) % 3].append(_visit(entries[(k + round_) % 3]))
    return _ratio(times[1], times[0]), _ratio(times[2], times[0])


def _visit(run: Callable[[], object]) -> float:
    """Median of three runs, after a pause and a run that does not count: the threads of the other have stopped spinning."""
    time.sleep(0.015)
    run()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


if __name__ == "__main__":
    sys.exit(main())
