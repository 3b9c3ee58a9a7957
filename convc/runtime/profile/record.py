"""What a profile found: plain values that travel as JSON and come back equal.

    Profile
      model       which file, of which spec
      start, end  the machine before and after
      peaks       what this machine reaches at best, per provider and thread count
      points      one per (provider, threads, batch, size) of the sweep
        samples_ms     every timed run, in order
        latency        figures of those samples
        layers         one profiled run per layer (None where not asked for)

    Profile.from_json(p.to_json()) == p

Units are in the names; a figure that could not be had is None, never 0. Percentiles are by nearest rank: the value of rank
ceil(q * n) of the sorted samples. `sum_ms` and `run_ms` belong to the same profiled runs, and no figure is a remainder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .codec import decode, encode

SCHEMA_VERSION = 1
KIND = "convc.profile"


@dataclass(frozen=True)
class GpuState:
    """One GPU at one moment, as nvidia-smi says; None where the card does not."""

    name: str
    driver: str = ""
    memory_total_mib: float | None = None
    memory_used_mib: float | None = None
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    utilization_percent: float | None = None
    throttle: str = ""


@dataclass(frozen=True)
class MachineState:
    """The machine at one moment. `load_1min` is the run queue of the operating system; `cpu_mhz` the mean over usable cores."""

    platform: str
    cpu_model: str
    cpu_cores: int
    cpu_usable: int
    cpu_flags: tuple[str, ...] = ()
    load_1min: float | None = None
    cpu_mhz: float | None = None
    cpu_governor: str = ""
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    gpus: tuple[GpuState, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelIdentity:
    """Which file was run. `file` is its name without folders; `spec` is empty for a model that convc did not build."""

    name: str
    file: str
    sha256: str
    bytes: int
    spec: str = ""
    spec_sha256: str = ""
    weights: str = ""
    opset: int | None = None


@dataclass(frozen=True)
class ProviderUse:
    """Where it ran: our name, ONNX Runtime's, its options, and how many nodes each provider took."""

    name: str
    engine: str
    options: Mapping[str, str] = field(default_factory=dict)
    placement: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bandwidth:
    """Bytes moved per second where `bytes` are moved in all: small ones stay in caches and move faster."""

    bytes: int
    gbytes_per_s: float


@dataclass(frozen=True)
class Peak:
    """The best that this machine reached on one provider: a large convolution or product, and moving memory (read + write).

    `gbytes_per_s` is that of the largest move, `bandwidths` has every size; a layer is held against its own size.
    """

    provider: str
    threads: int
    gmacs_per_s: float
    gbytes_per_s: float
    method: str = ""
    bandwidths: tuple[Bandwidth, ...] = ()


@dataclass(frozen=True)
class Warmup:
    """Runs before the first timed one; `stable` says that they had stopped getting faster."""

    runs: int
    ms: float
    stable: bool


@dataclass(frozen=True)
class Latency:
    """Figures of `samples_ms`; the interval is the 95 % confidence interval of the median, from order statistics."""

    count: int
    min_ms: float
    mean_ms: float
    std_ms: float
    max_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    ci95_low_ms: float
    ci95_high_ms: float


@dataclass(frozen=True)
class Throughput:
    """From a loop of its own, never 1000 / latency: `samples_per_s` counts images, not runs."""

    runs: int
    seconds: float
    samples_per_s: float


@dataclass(frozen=True)
class Transfers:
    """trtexec's words: medians of submitting the work, copying in, computing, copying out; None where it has no meaning."""

    enqueue_ms: float | None = None
    h2d_ms: float | None = None
    compute_ms: float | None = None
    d2h_ms: float | None = None


@dataclass(frozen=True)
class NodeTime:
    """One node that the runtime executed, under the name it had after the runtime's own fusions."""

    node: str
    op: str
    provider: str
    time_ms: float
    calls: float = 1.0


@dataclass(frozen=True)
class LayerRow:
    """One layer of the spec, or several that run as one node.

    layer          the spec name that leads, e.g. `layer1.0.conv1`
    owners         every spec name it stands for, `layer` among them; sources are theirs
    source         `file:line` of the leading one; empty for a model that convc did not build
    caller         the line of the profiled spec that led to it, where `source` lies in a block; known where a spec was profiled
    op             ONNX's operator of the leading one, with kernel and grouping: `Conv 3x3 depthwise`
    block, stage   spec path of the innermost block and of the outermost part that holds it; empty at the top
    time_ms        mean over the profiled runs kept; low and high are the 10th and 90th percentile over them
    macs           of convolutions and linear layers; products of two activations stand apart, in attention_macs; rates count both
    gmacs_per_s, roofline_share    None where it has no multiply-accumulates, or no peak was measured. The share is the least time
                   that the measured peaks allow, max(macs / peak, bytes / bandwidth), over time_ms
    bound          `compute`, `memory` or empty: which of the two limits is the larger
    reads          `layer` of the rows whose values it takes
    """

    layer: str
    op: str
    time_ms: float
    owners: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    source: str = ""
    caller: str = ""
    block: str = ""
    stage: str = ""
    time_low_ms: float | None = None
    time_high_ms: float | None = None
    calls: float = 1.0
    macs: int | None = None
    attention_macs: int | None = None
    bytes: int | None = None
    gmacs_per_s: float | None = None
    roofline_share: float | None = None
    bound: str = ""
    output: tuple[int, ...] = ()
    reads: tuple[str, ...] = ()
    nodes: tuple[NodeTime, ...] = ()


@dataclass(frozen=True)
class Absent:
    """A layer of the spec that runs nowhere: `why` says where it went (folded into constants, identity)."""

    layer: str
    op: str
    why: str
    source: str = ""


@dataclass(frozen=True)
class TraceEvent:
    """One node of one profiled run; `start_us` counts from the beginning of that run."""

    node: str
    op: str
    layer: str
    source: str
    provider: str
    start_us: float
    duration_us: float


@dataclass(frozen=True)
class LayerTable:
    """Time per layer, from runs that were profiled.

    method      `ort-profile` (CPU), `cupti` (kernel events), `bracketed` (partial graphs); `method_note` says it in a sentence
    runs, kept  profiled runs, and those whose times are averaged (the middle half by run time)
    sum_ms      of the rows
    unclaimed_ms  measured time of nodes that belong to no layer; they are listed, never spread
    run_ms      wall time of the same runs; closure = sum_ms / run_ms
    profiled_over_unprofiled   ratio of the medians: what profiling itself costs
    bookkeeping_ms   the profiler's own work between nodes in such a run: nodes x the gap measured between nodes that do nothing.
                 It is in run_ms and in no layer, which shows where a node takes no more than some tens of microseconds
    """

    method: str
    rows: tuple[LayerRow, ...]
    sum_ms: float
    unclaimed_ms: float
    run_ms: float
    closure: float
    profiled_over_unprofiled: float
    runs: int
    kept: int
    unclaimed: tuple[NodeTime, ...] = ()
    absent: tuple[Absent, ...] = ()
    timeline: tuple[TraceEvent, ...] = ()
    method_note: str = ""
    bookkeeping_ms: float | None = None


@dataclass(frozen=True)
class Point:
    """One point of the sweep. `stopped` is `narrow` (the interval was), `time` or `count`.

    `model_sha256` differs from the record's where a spec was built anew for another size.
    """

    provider: ProviderUse
    batch: int
    size: tuple[int, ...]
    threads: int
    inputs: Mapping[str, tuple[int, ...]]
    session_ms: float
    first_run_ms: float
    warmup: Warmup
    samples_ms: tuple[float, ...]
    latency: Latency
    stopped: str = ""
    io_binding: bool = True
    throughput: Throughput | None = None
    transfers: Transfers = field(default_factory=Transfers)
    layers: LayerTable | None = None
    warnings: tuple[str, ...] = ()
    model_sha256: str = ""

    @property
    def label(self) -> str:
        """`cpu batch 1 224x224 threads 2`."""
        size = "x".join(map(str, self.size))
        threads = f" threads {self.threads}" if self.threads else ""
        return f"{self.provider.name} batch {self.batch}{f' {size}' if size else ''}{threads}"


@dataclass(frozen=True)
class Profile:
    """The result of `convc profile`; see the module's docstring."""

    model: ModelIdentity
    start: MachineState
    end: MachineState
    points: tuple[Point, ...]
    peaks: tuple[Peak, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    convc: str = ""
    kind: str = KIND
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and strings."""
        return {"schema_version": self.schema_version, "kind": self.kind, **encode(self)}

    def to_html(self, path: str | Path) -> None:
        """Write the page of this record: one file that works offline. Raises OutputError."""
        from ...compiler.artifacts import write_one
        from ..views.profile_page import profile_page

        write_one(path, profile_page(self).encode())

    @staticmethod
    def from_json(data: Any, what: str = "the result") -> Profile:
        """The record of `to_json`. Raises ModelError: another kind or version, a missing or ill-typed field."""
        return decode(Profile, data, what, kind=KIND, version=SCHEMA_VERSION)
