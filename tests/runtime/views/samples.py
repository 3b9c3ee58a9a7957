"""Records as a profile of a shipped network would give them: real layers and counts, times made up but plausible."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

import convc
from convc.compiler.cost import Cost
from convc.runtime.compare.report import Comparison, Side
from convc.runtime.compare.structure import Structure
from convc.runtime.compare.verdict import Rule, judge
from convc.runtime.profile.record import (
    Absent,
    Bandwidth,
    Latency,
    LayerRow,
    LayerTable,
    MachineState,
    ModelIdentity,
    NodeTime,
    Peak,
    Point,
    Profile,
    ProviderUse,
    Throughput,
    TraceEvent,
    Warmup,
)
from tests.runtime.compare.noise import Machine, trace

PEAK = Peak(
    "cpu", 2, 62.0, 17.5, "3x3 convolution, copy of 256 MB", (Bandwidth(1 << 20, 61.0), Bandwidth(1 << 28, 17.5))
)
_GLUED = ("batch_norm", "relu", "relu6", "hard_swish", "silu")


@functools.cache
def layer_table(spec: str) -> LayerTable:
    """Every node of a network; batch norms and activations run inside what they follow."""
    net = convc.load(spec, batch=1)
    rng = np.random.default_rng(5)
    leaders: dict[str, str] = {}
    rows: dict[str, LayerRow] = {}
    for cost, node in zip(net.costs().rows, net.network.graph, strict=True):
        if cost.train_only:
            continue
        place = node.origins[0].place if node.origins else ""
        first = leaders.get(node.inputs[0]) if node.inputs else None
        if cost.op in _GLUED and first is not None:
            leaders[cost.name] = first
            old = rows[first]
            rows[first] = replace(old, owners=(*old.owners, cost.name), sources=(*old.sources, place))
            continue
        leaders[cost.name] = cost.name
        reads = tuple(dict.fromkeys(leaders[name] for name in node.inputs if name in leaders))
        rows[cost.name] = _row(cost, place, reads, rng)
    found = tuple(rows.values())
    total = sum(row.time_ms for row in found)
    return LayerTable(
        "ort-profile", found, total, 0.04, total * 1.02 + 0.04, total / (total * 1.02 + 0.04), 1.013, 40, 20,
        (NodeTime("reorder_7", "ReorderOutput", "cpu", 0.04),),
        (Absent("head.drop", "dropout", "does nothing at inference", "net.yaml:31"),),
        _timeline(found), "Times are of ONNX Runtime's kernels.",
    )  # fmt: skip


def point(spec: str = "resnet18", batch: int = 1, seed: int = 1, threads: int = 2, layers: bool = True) -> Point:
    """One point of a sweep: 400 runs with a tail and one clock change."""
    rng = np.random.default_rng(seed)
    table = layer_table(spec)
    base = (table.run_ms / table.profiled_over_unprofiled) * batch**0.93 * (2 / threads) ** 0.8
    samples = base * np.exp(rng.standard_normal(400) * 0.012 + (rng.random(400) < 0.03) * rng.uniform(0.05, 0.6, 400))
    samples[250:300] *= 1.06
    return Point(
        provider=ProviderUse("cpu", "CPUExecutionProvider", {}, {"CPUExecutionProvider": len(table.rows)}),
        batch=batch,
        size=(224, 224),
        threads=threads,
        inputs={"image": (batch, 3, 224, 224)},
        session_ms=148.0,
        first_run_ms=base * 1.9,
        warmup=Warmup(24, base * 24, True),
        samples_ms=tuple(samples.tolist()),
        latency=figures(samples.tolist()),
        stopped="narrow",
        throughput=Throughput(100, base / 10, 1e3 / base * batch * 1.01),
        layers=table if layers else None,
    )


def profile(spec: str = "resnet18", *, sweep: bool = False) -> Profile:
    """A whole record, of one point or of a sweep over batch and threads."""
    points = [point(spec)]
    if sweep:
        points += [
            point(spec, batch, batch, threads, False)
            for threads in (1, 2)
            for batch in (1, 2, 8, 32)
            if (batch, threads) != (1, 2)
        ]
    machine = MachineState(
        "Linux x86-64", "A processor of 2.5 GHz", 2, 2, ("avx2", "fma", "avx512f"), 0.12, 2500.0, "performance",
        16 << 30, 12 << 30, (), {"onnxruntime": "1.31.1", "numpy": "2.3.4"},
    )  # fmt: skip
    identity = ModelIdentity(
        spec, "model.onnx", "3f" * 32, 46_810_112, f"{spec}.yaml", "a0" * 32, "random weights: not for deployment", 20
    )
    return Profile(
        identity, machine, replace(machine, load_1min=0.98), tuple(points), (PEAK,), (), ("a note",), "0.1.0"
    )


def figures(samples: list[float]) -> Latency:
    """By nearest rank."""
    ordered = sorted(samples)
    count = len(ordered)

    def rank(q: float) -> float:
        return ordered[max(0, -(-int(q * count * 1000) // 1000) - 1)]

    mean = sum(ordered) / count
    std = (sum((v - mean) ** 2 for v in ordered) / max(1, count - 1)) ** 0.5
    half = 1.96 * count**0.5 / 2
    low, high = ordered[max(0, int(count / 2 - half))], ordered[min(count - 1, int(count / 2 + half))]
    return Latency(count, ordered[0], mean, std, ordered[-1], rank(0.5), rank(0.9), rank(0.95), rank(0.99), low, high)


def _row(cost: Cost, place: str, reads: tuple[str, ...], rng: np.random.Generator) -> LayerRow:
    least = max(cost.macs / PEAK.gmacs_per_s / 1e6, cost.bytes / PEAK.gbytes_per_s / 1e6)
    time = float(least / rng.uniform(0.35, 0.92) + 0.004)
    path = cost.name.split(".")
    limit = "compute" if cost.macs / PEAK.gmacs_per_s > cost.bytes / PEAK.gbytes_per_s else "memory"
    return LayerRow(
        layer=cost.name, op=cost.op, time_ms=time, owners=(cost.name,), sources=(place,), source=place,
        block=".".join(path[:-1]), stage=path[0] if len(path) > 1 else "", time_low_ms=time * 0.97, time_high_ms=time * 1.08,
        macs=cost.macs or None, bytes=cost.bytes, gmacs_per_s=cost.macs / time / 1e6 if cost.macs else None,
        roofline_share=least / time, bound=limit,
        output=cost.output, reads=reads, nodes=(NodeTime(cost.name, cost.op, "cpu", time),),
    )  # fmt: skip


def _timeline(rows: tuple[LayerRow, ...]) -> tuple[TraceEvent, ...]:
    found, at = [], 12.0
    for row in rows:
        found.append(TraceEvent(row.layer, row.op, row.layer, row.source, "cpu", at, row.time_ms * 1e3))
        at += row.time_ms * 1e3 + 2.0
    return tuple(found)


def comparison(slow_down: float = 0.0, *, live: bool = True, limit: float | None = None) -> Comparison:
    """A comparison on a machine with a little of every disturbance."""
    rng = np.random.default_rng(9)
    pairs = tuple(trace(Machine(jitter=0.01, drift=0.05, outliers=0.02), 90, rng, slow_down))
    found = judge(pairs, Rule())
    assert found is not None
    a = Structure({"Conv": 20, "Relu": 17, "Gemm": 1}, 11_700_000, 1_814_000_000, 0, 46_800_000, 92_000_000)
    b = Structure({"Conv": 21, "Relu": 17, "Gemm": 1}, 11_800_000, 1_830_000_000, 0, 46_900_000, 95_000_000)
    layers = None if live else layer_table("lenet5")
    sides = (Side("resnet18", "model.onnx", a, {}, layers), Side("my_resnet18.yaml", "model.onnx", b, {}, layers))
    return Comparison(*sides, found, pairs, live, "cpu, 2 threads", 7.0, limit, ("a note",))
