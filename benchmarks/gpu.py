#!/usr/bin/env python3
"""What only a GPU can show: latency, transfers and layers by kernel events on CUDA, and what each option is worth.

    make bench-gpu        or        python benchmarks/gpu.py [--networks resnet50,...] [--json benchmarks/results/gpu.json]

For each network: batches 1, 8, 32; then at batch 1 each option alone against the defaults. Layers are timed both ways where torch
with CUDA is here (kernel events, partial graphs), so that the two closures stand side by side. Each is compared with itself (a
verdict other than "same" is a false one), and measured by the runner of its kit. The machine is in the result.
Exit 4, with the cause, where CUDA does not load: nothing is ever measured on the CPU instead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import convc
from convc.runtime.providers import Tuning

RESULT = Path(__file__).parent / "results" / "gpu.json"
NETWORKS = ("resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121")
OPTIONS = {
    "defaults": Tuning(),
    "heuristic search": Tuning(search="heuristic"),
    "TF32 off": Tuning(tf32=False),
    "NHWC": Tuning(nhwc=True),
    "CUDA graph": Tuning(cuda_graph=True),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--duration", type=float, default=3.0)
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    found: dict[str, Any] = {"schema_version": 1, "networks": {}}
    try:
        for name in args.networks.split(","):
            with tempfile.TemporaryDirectory() as folder:
                built = convc.build(name, Path(folder) / "out", verify=False)
                found["networks"][name] = one = measured(built.path, args.duration)
                one["with itself"] = with_itself(built.path)
                one["kit"] = by_its_kit(built.folder, Path(folder) / "kit")
            found["machine"] = one["batches"]["start"]
    except convc.ConvcError as error:
        print(error.render(), file=sys.stderr)
        return error.exit_code
    args.json.write_text(json.dumps(found) + "\n")
    print(f"kept in {args.json}")
    return 0


def measured(path: Path, duration: float) -> dict[str, Any]:
    """The records of one network; prints its lines."""
    batches = convc.profile(path, provider="cuda", batch=[1, 8, 32], duration_s=duration)
    print(f"\n{path}")
    for point in batches.points:
        moves, table = point.transfers, point.layers
        closure = f"{table.method} closure {table.closure:.3f}" if table else "no layers"
        rate = point.throughput.samples_per_s if point.throughput else 0.0
        print(
            f"  batch {point.batch:3}: p50 {point.latency.p50_ms:8.3f} ms  enqueue {moves.enqueue_ms:.3f}"
            f"  H2D {moves.h2d_ms:.3f}  D2H {moves.d2h_ms:.3f}  {rate:8.1f} images/s  {closure}"
        )
    alone = convc.profile(path, provider="cuda", batch=1, layers="bracketed", duration_s=duration)
    table = alone.points[0].layers
    print(f"  bracketed closure {table.closure:.3f}" if table else "")
    options = {}
    for label, tuning in OPTIONS.items():
        one = convc.profile(path, provider="cuda", batch=1, layers="none", duration_s=duration, tuning=tuning)
        options[label] = one.to_json()
        figures = one.points[0]
        print(f"  {label:18} p50 {figures.latency.p50_ms:8.3f} ms  first run {figures.first_run_ms:8.1f} ms")
    return {"batches": batches.to_json(), "bracketed": alone.to_json(), "options": options}


def with_itself(path: Path) -> dict[str, Any]:
    """A live comparison of a file with itself."""
    made = convc.compare(path, path, provider="cuda")
    print(
        f"  with itself: {made.verdict.word}, {made.verdict.ratio:.4f} ({made.verdict.low:.4f} .. {made.verdict.high:.4f})"
    )
    told: dict[str, Any] = made.data()
    return told


def by_its_kit(build: Path, kit: Path) -> dict[str, Any]:
    """What the kit's own runner measures, and whether it found the expected outputs. Raises ProviderError where it fails."""
    convc.bundle(build, kit)
    line = [sys.executable, "run.py", "--provider", "cuda"]
    done = subprocess.run(line, cwd=kit, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise convc.ProviderError(f"the kit's runner ended with {done.returncode}: {done.stderr.strip()}")
    result: dict[str, Any] = json.loads((kit / "result.json").read_text())
    print(f"  its kit: {done.stdout.strip().splitlines()[0]}")
    return result


if __name__ == "__main__":
    sys.exit(main())
