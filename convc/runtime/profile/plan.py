"""What is to be measured, as plain values: they are checked here, and travel to the process that measures.

Plan     models (one per size where a spec was built for each), the sweep, and the options of measuring
Case     one model file at one input size
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...compiler.errors import UsageError
from ..providers import NAMES, Tuning
from .codec import decode, encode
from .layers import SpecLayer

KIND = "convc.plan"
METHODS = ("auto", "profile", "kernels", "bracketed", "none")


@dataclass(frozen=True)
class Case:
    """A model file, and the spatial size its input is fed at; empty: the model's own."""

    path: str
    size: tuple[int, ...] = ()
    spec: tuple[SpecLayer, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Every combination of providers, threads, cases and batches is a point.

    providers   names; the empty string takes the best that loads
    batches     0: the model's own, 1 where it leaves the batch open
    threads     0: ONNX Runtime's choice
    duration_s  most time for the timed loop of a point; iterations: exactly this many samples instead
    layers      how layers are timed: auto, profile, kernels, bracketed, none
    fallback    nodes on another provider are reported instead of refused
    """

    cases: tuple[Case, ...]
    name: str = ""
    providers: tuple[str, ...] = ("",)
    threads: tuple[int, ...] = (0,)
    batches: tuple[int, ...] = (0,)
    duration_s: float = 3.0
    iterations: int = 0
    warmup_ms: float | None = None
    io_binding: bool = True
    layers: str = "auto"
    roofline: bool = True
    fallback: bool = False
    seed: int = 0
    tuning: Tuning = field(default_factory=Tuning)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.providers:
            if name and name not in NAMES:
                raise UsageError(f"unknown provider {name!r}", hint=f"one of {', '.join(NAMES)}")
        if self.layers not in METHODS:
            raise UsageError(f"--layers is {self.layers!r}", hint=f"one of {', '.join(METHODS)}")
        if not 0 < self.duration_s <= 3600:
            raise UsageError(f"--duration is {self.duration_s:g} s, expected more than 0 and at most 3600")
        if self.warmup_ms is not None and not 0 <= self.warmup_ms <= 3_600_000:
            raise UsageError(f"--warmup is {self.warmup_ms:g} ms, expected 0 to 3600000")
        if any(not 0 <= count <= 1024 for count in self.threads):
            raise UsageError(f"--threads is {self.threads}: each must be 0 (automatic) to 1024")
        if any(not 0 <= count < 2**20 for count in self.batches):
            raise UsageError(f"--batch is {self.batches}: each must be above 0")
        if not self.cases or not self.providers or not self.threads or not self.batches:
            raise UsageError("there is nothing to measure: a sweep is empty")

    @property
    def on_gpu(self) -> bool:
        """True where a provider that was named runs on a GPU."""
        return bool({"cuda", "tensorrt"} & set(self.providers))

    def to_json(self) -> dict[str, object]:
        return {"kind": KIND, "schema_version": 1, **encode(self)}

    @staticmethod
    def from_json(data: object) -> Plan:
        return decode(Plan, data, "the plan", kind=KIND, version=1)
