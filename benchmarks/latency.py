#!/usr/bin/env python3
"""Latency of convc's files in ONNX Runtime, against a plain torch.onnx.export of the same module and other optimizers of that.

    python benchmarks/latency.py [--rounds 25] [--networks densenet121,...] [--entries ort-cpu,generic,onnxslim]
                                 [--threads 2] [--clock wall] [--json benchmarks/results/latency.json]

Every network has the baseline in twice: how far the second's ratio is from 1 is the noise of that run. All entries of a
network live in one process and are measured in rounds: a round visits each once, in an order that rotates, after a pause
and an untimed call, and takes the median of `--inner` calls. The ratio is the median over rounds of the ratio to the
baseline of the same round, with its 10-90 % range, so drift of the machine cancels.

    baseline     torch.onnx.export(net.to_torch()), dynamo, batch 1, nothing else
    ort-cpu      convc build --target ort-cpu              generic      convc build
    onnxsim, onnxslim, onnxscript                          the baseline's file, through each (left out where not installed)

The other optimizers are needed here alone:  pip install "convc[bench]".  Outputs are compared with the baseline's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BASE, AGAIN = "baseline", "baseline again"
PEERS = ("onnxsim", "onnxslim", "onnxscript")
OURS = ("ort-cpu", "generic")
HERE = Path(__file__).parent

# As deployed: what torch.onnx.export is given has no branches left to merge. ConvNeXt is as its authors write it; the shipped
# spec of it says 1x1 convolutions to begin with, which is what --target ort-cpu makes of linear layers.
INFERENCE = {
    "resnet50": "resnet50",
    "googlenet": "googlenet",
    "densenet121": "densenet121",
    "convnext_tiny": str(HERE / "networks" / "convnext_tiny_linear.yaml"),
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "efficientnet_b0": "efficientnet_b0",
    "shufflenet_v2_x1_0": "shufflenet_v2_x1_0",
    "ghostnet_100": "ghostnet_100",
    "repvgg_a0_deploy": str(HERE / "networks" / "repvgg_a0_deploy.yaml"),
    "mobileone_s0_deploy": str(HERE / "networks" / "mobileone_s0_deploy.yaml"),
}
TRAIN = {"repvgg_a0": "repvgg_a0", "mobileone_s0": "mobileone_s0"}
NETWORKS = INFERENCE | TRAIN

# Largest ratio that each may have with --target ort-cpu.
LIMITS = {
    "densenet121": 0.94,
    "convnext_tiny": 0.90,
    "shufflenet_v2_x1_0": 0.90,
    "ghostnet_100": 0.90,
    "repvgg_a0": 0.89,
    "mobileone_s0": 0.30,
}
GEOMEANS = {"inference": 0.965, "all": 0.875}
# Largest difference to the baseline, in units of its largest value: more is another network.
SAME = 2e-3


def main() -> None:
    args = arguments()
    names = [name for name in args.networks.split(",") if name]
    if unknown := [name for name in names if name not in NETWORKS]:
        raise SystemExit(f"unknown networks: {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    record: dict[str, Any] = {"machine": machine(), "settings": settings(args), "networks": {}}
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (args.keep or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            record["networks"][name] = measured(name, folder, args)
    record["geomeans"] = geomeans(record["networks"])
    record["failed"] = failures(record)
    print_summary(record)
    if args.json:
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    raise SystemExit(5 if args.check and record["failed"] else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--inner", type=int, default=3, help="timed calls a visit; the median counts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gap", type=float, default=0.015, help="seconds between visits: spinning threads go to sleep")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu, with --threads 1: on a busy machine"
    )
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--entries", default=",".join((*OURS, *PEERS)))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the files; a baseline that is there is used again")
    parser.add_argument("--check", action="store_true", help="exit 5 where a threshold is missed")
    return parser.parse_args()


def settings(args: argparse.Namespace) -> dict[str, Any]:
    return {"rounds": args.rounds, "inner": args.inner, "threads": args.threads, "gap_s": args.gap, "clock": args.clock}


# -- the files


def measured(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One network: makes the files, runs them interleaved, prints and returns its rows."""
    baseline = folder / "baseline.onnx"
    if not baseline.exists():
        export(name, baseline)
    files: dict[str, Path] = {BASE: baseline}
    for entry in args.entries.split(","):
        made = entry_file(entry, name, baseline, folder)
        if made is not None:
            files[entry] = made
    files[AGAIN] = baseline
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)
    runs = {entry: runner(path, image, args.threads) for entry, path in files.items()}
    expected = runs[BASE]()
    differences = {entry: difference(expected, run()) for entry, run in runs.items()}
    clock = time.perf_counter if args.clock == "wall" else time.process_time
    seconds = interleaved(list(runs.values()), args.rounds, args.inner, args.gap, clock)
    rows = dict(zip(files, summaries(seconds), strict=True))
    for entry, row in rows.items():
        row["difference"] = differences[entry]
        row["nodes"] = nodes(files[entry])
    print_rows(name, rows)
    return rows


def entry_file(entry: str, name: str, baseline: Path, folder: Path) -> Path | None:
    """The file of an entry; None, with a line on stderr, where its optimizer is not installed or fails."""
    try:
        return build(name, entry, folder) if entry in OURS else optimized(entry, baseline, folder)
    except Exception as error:
        if entry in OURS:
            raise
        print(f"{name}: {entry} left out: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
        return None


def export(name: str, path: Path) -> None:
    import torch

    import convc

    module = convc.load(NETWORKS[name], batch=1).to_torch()
    image = torch.zeros(1, 3, 224, 224)
    torch.onnx.export(module, (image,), path, opset_version=20, dynamo=True, external_data=False, verbose=False)


def build(name: str, target: str, folder: Path) -> Path:
    import convc

    made = convc.load(NETWORKS[name], batch=1).build(folder / target, target=target, verify=False)
    return Path(made.path)


def optimized(peer: str, source: Path, folder: Path) -> Path:
    import onnx

    target = folder / f"{peer}.onnx"
    if peer == "onnxsim":
        import onnxsim

        onnx.save(onnxsim.simplify(onnx.load(source))[0], target)
    elif peer == "onnxslim":
        import onnxslim

        onnx.save(onnxslim.slim(str(source)), target)
    elif peer == "onnxscript":
        import onnxscript.optimizer

        onnx.save(onnxscript.optimizer.optimize(onnx.load(source)), target)
    else:
        raise SystemExit(f"unknown entry {peer!r}: {', '.join((*OURS, *PEERS))}")
    return target


def nodes(path: Path) -> int:
    import onnx

    return len(onnx.load(path, load_external_data=False).graph.node)


# -- the clock


def runner(path: Path, image: Any, threads: int) -> Callable[[], Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin on would take their time from the entry that runs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: image}
    return lambda: session.run(None, feed)[0]


def interleaved(
    runs: Sequence[Callable[[], Any]], rounds: int, inner: int, gap: float, clock: Callable[[], float]
) -> list[list[float]]:
    """Seconds per entry, one value a round."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(2):
        for run in runs:
            run()
    for turn in range(rounds):
        for k in range(len(runs)):
            i = (k + turn) % len(runs)
            time.sleep(gap)
            runs[i]()
            samples = []
            for _ in range(inner):
                start = clock()
                runs[i]()
                samples.append(clock() - start)
            seconds[i].append(statistics.median(samples))
    return seconds


def summaries(seconds: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Per entry: the median ratio to the first one, its 10-90 % range, the ratio of the least times, milliseconds."""
    rows = []
    for times in seconds:
        ratios = sorted(t / base for t, base in zip(times, seconds[0], strict=True))
        last = len(ratios) - 1
        rows.append(
            {
                "ratio": statistics.median(ratios),
                "low": ratios[round(0.1 * last)],
                "high": ratios[round(0.9 * last)],
                "least_ratio": min(times) / min(seconds[0]),
                "latency_ms": statistics.median(times) * 1e3,
                "least_ms": min(times) * 1e3,
                "samples_ms": [round(t * 1e3, 4) for t in times],
            }
        )
    return rows


def difference(expected: Any, found: Any) -> float:
    return float(abs(found - expected).max() / abs(expected).max())


# -- the verdict


def geomeans(networks: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Per entry: over the networks in their inference form that were measured, and over all."""
    found: dict[str, dict[str, float]] = {}
    for entry in dict.fromkeys(entry for rows in networks.values() for entry in rows):
        have = {name: rows[entry]["ratio"] for name, rows in networks.items() if entry in rows}
        inference = [ratio for name, ratio in have.items() if name in INFERENCE]
        found[entry] = {"all": statistics.geometric_mean(have.values()), "networks": len(have)}
        if inference:
            found[entry]["inference"] = statistics.geometric_mean(inference)
    return found


def failures(record: dict[str, Any]) -> list[str]:
    """Every threshold that was missed, in words."""
    missed = []
    for name, rows in record["networks"].items():
        missed += [f"{name}: {e} differs by {r['difference']:.1e}" for e, r in rows.items() if r["difference"] > SAME]
        if "ort-cpu" not in rows:
            continue
        ours, noise = rows["ort-cpu"], abs(rows[AGAIN]["ratio"] - 1)
        if ours["ratio"] > LIMITS.get(name, float("inf")):
            missed.append(f"{name}: {ours['ratio']:.3f}, at most {LIMITS[name]}")
        if ours["low"] > 1 + noise:
            missed.append(f"{name}: its 10-90 % range begins at {ours['low']:.3f}, above 1 + {noise:.3f}")
    if "ort-cpu" in record["geomeans"] and set(record["networks"]) == set(NETWORKS):
        ours = record["geomeans"]["ort-cpu"]
        missed += [f"geomean {k}: {ours[k]:.3f}, at most {limit}" for k, limit in GEOMEANS.items() if ours[k] > limit]
        missed += [
            f"{peer}: geomean {record['geomeans'][peer]['all']:.3f} is not above ours"
            for peer in PEERS
            if peer in record["geomeans"] and record["geomeans"][peer]["all"] <= ours["all"]
        ]
    return missed


def print_rows(name: str, rows: dict[str, dict[str, Any]]) -> None:
    print(f"\n{name}\n{'':16}  ratio  [10 % .. 90 %]   of least  median ms  nodes  difference")
    for entry, row in rows.items():
        print(
            f"{entry:16}  {row['ratio']:.3f}  [{row['low']:.3f} .. {row['high']:.3f}]  {row['least_ratio']:8.3f}"
            f"  {row['latency_ms']:9.2f}  {row['nodes']:5d}  {row['difference']:.1e}",
            flush=True,
        )


def print_summary(record: dict[str, Any]) -> None:
    print(f"\n{'geomean':16}  inference    all  networks")
    for entry, row in record["geomeans"].items():
        inference = f"{row['inference']:.3f}" if "inference" in row else "-"
        print(f"{entry:16}  {inference:>9}  {row['all']:.3f}  {row['networks']:8d}")
    print("\n".join(["", *record["failed"]]) if record["failed"] else "\nevery threshold holds")


def machine() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    from build import machine as described

    found = described()
    for name in ("onnxsim", "onnxslim", "onnxscript"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
