#!/usr/bin/env python3
"""How long a build takes, against torch.onnx.export of the same module; how much memory; how fast the command answers.

    python benchmarks/build.py [--rounds 5] [--networks resnet50,mobilenet_v2] [--json benchmarks/results/build.json]

One process, imports done before. Every round runs each entry once, in an order that rotates; the table gives the median
over rounds of the ratio to the baseline of the same round, so that drift of the machine cancels. The baseline is in it
twice: how far its ratio is from 1 is the noise, and no smaller difference may be claimed.

    torch.onnx.export    the module of `net.to_torch()` with the checkpoint's weights, batch dynamic, to a written file
    no-verify            spec -> written file, from a checkpoint, without the proof
    proof                the same with every rewrite proven in float64 (rings one and two), without ONNX Runtime
    verified             the same with the comparison in ONNX Runtime too (all three rings): what `convc build` does

Memory is measured in a fresh process per network: the peak of the resident set over what it was after the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BASELINE, AGAIN = "torch.onnx.export", "torch.onnx.export again"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", default="resnet50,mobilenet_v2")
    parser.add_argument("--memory", default="resnet50,vgg16")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure_memory(Path(args.child))))
        return
    record: dict[str, Any] = {"machine": machine(), "rounds": args.rounds}
    with tempfile.TemporaryDirectory() as folder:
        record["times"] = {name: compare(name, Path(folder), args.rounds) for name in args.networks.split(",")}
        record["memory"] = {name: child(name, Path(folder)) for name in args.memory.split(",")}
    record["start"] = {" ".join(c): startup(c) for c in (["--help"], ["check", "resnet152"])}
    if args.json:
        args.json.write_text(json.dumps(record, indent=2) + "\n")


def compare(name: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds and ratios of every entry; prints a table."""
    checkpoint = save_checkpoint(name, folder)
    entries = {
        BASELINE: lambda: torch_export(name, checkpoint, folder),
        "no-verify": lambda: convc_build(name, checkpoint, folder, verify=False),
        "proof": lambda: convc_proof(name, checkpoint, folder),
        "verified": lambda: convc_build(name, checkpoint, folder, verify=True),
        AGAIN: lambda: torch_export(name, checkpoint, folder),
    }
    for run in list(entries.values())[:4]:
        run()  # once untimed: caches, lazy imports
    seconds: dict[str, list[float]] = {label: [] for label in entries}
    labels = list(entries)
    for k in range(rounds):
        for label in labels[k % len(labels) :] + labels[: k % len(labels)]:
            seconds[label].append(entries[label]())
    return report(name, seconds)


def report(name: str, seconds: dict[str, list[float]]) -> dict[str, Any]:
    rows = {}
    print(f"\n{name}\n{'':24}  median s  ratio to {BASELINE} (least .. most)")
    for label, times in seconds.items():
        ratios = sorted(t / b for t, b in zip(times, seconds[BASELINE], strict=True))
        rows[label] = {"seconds": times, "ratio": statistics.median(ratios), "ratios": ratios}
        print(
            f"{label:24}  {statistics.median(times):8.3f}  {statistics.median(ratios):.3f} ({ratios[0]:.3f} .. {ratios[-1]:.3f})"
        )
    plain, proof = rows["no-verify"]["seconds"], rows["proof"]["seconds"]
    over = statistics.median(p / q for p, q in zip(proof, plain, strict=True))
    print(f"{'proof / no-verify':24}  {'':8}  {over:.2f}")
    return {"entries": rows, "proof_over_no_verify": over}


def save_checkpoint(name: str, folder: Path) -> Path:
    """Seeded weights under our own names."""
    from safetensors.numpy import save_file

    import convc

    path = folder / f"{name}.safetensors"
    model = convc.load(name).model()
    save_file({key: param.rounded("float32") for key, param in model.params.items()}, path)
    return path


def torch_export(name: str, checkpoint: Path, folder: Path) -> float:
    import torch

    import convc

    module = convc.load(name).to_torch(weights=checkpoint)
    image = torch.zeros(2, 3, 224, 224)
    batch = torch.export.Dim("batch", min=1)
    start = time.perf_counter()
    torch.onnx.export(
        module,
        (image,),
        folder / "torch.onnx",
        opset_version=20,
        dynamo=True,
        dynamic_shapes=(({0: batch},),),
        external_data=False,
        verbose=False,
    )
    return time.perf_counter() - start


def convc_build(name: str, checkpoint: Path, folder: Path, verify: bool) -> float:
    import convc

    start = time.perf_counter()
    convc.build(name, folder / "built", weights=checkpoint, verify=verify)
    return time.perf_counter() - start


def convc_proof(name: str, checkpoint: Path, folder: Path) -> float:
    """A build whose deployment check is left out, so that what remains is the proof of the rewrites."""
    from unittest.mock import patch

    from convc.api import verify

    with patch.object(verify, "verify_file", lambda *rest: verify.skipped("benchmark")):
        return convc_build(name, checkpoint, folder, verify=True)


def child(name: str, folder: Path) -> dict[str, Any]:
    checkpoint = save_checkpoint(name, folder)
    command = [sys.executable, __file__, "--child", str(checkpoint)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        f"\n{name}: weights {found['weights_mb']:.0f} MB, peak growth {found['growth_mb']:.0f} MB "
        f"(limit 1.5 x weights + 50 = {found['limit_mb']:.0f} MB)"
    )
    return found


def measure_memory(checkpoint: Path) -> dict[str, float]:
    import numpy  # noqa: F401
    import onnx  # noqa: F401
    import onnx_ir  # noqa: F401

    import convc
    from convc.compiler.lower import to_onnx, writer  # noqa: F401

    name = checkpoint.stem
    before = resident("VmRSS")
    convc.build(name, checkpoint.parent / "memory", weights=checkpoint, verify=False)
    weights = checkpoint.stat().st_size / 2**20
    return {"weights_mb": weights, "growth_mb": resident("VmHWM") - before, "limit_mb": 1.5 * weights + 50}


def resident(field: str) -> float:
    """MiB of this process, as Linux counts them."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def startup(command: list[str], times: int = 9) -> dict[str, float]:
    samples = sorted(
        _timed(lambda: subprocess.run([sys.executable, "-m", "convc", *command], check=True, capture_output=True))
        for _ in range(times)
    )
    print(f"convc {' '.join(command)}: median {statistics.median(samples):.3f} s, least {samples[0]:.3f} s")
    return {"median_s": statistics.median(samples), "least_s": samples[0]}


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    from importlib.metadata import version

    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    libraries = {name: version(name) for name in ("torch", "onnx", "onnx-ir", "onnxruntime", "numpy")}
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **libraries,
    }


if __name__ == "__main__":
    main()
