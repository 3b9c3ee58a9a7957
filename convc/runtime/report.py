"""What a run of the tools found: values, each with two renderings of the same facts.

report.text()      plain lines for a person; the command line prints them
report.data()      for --json; `schema_version` first, units in the names
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..compiler.errors import VerifyError
from .parity import Difference, Parity
from .providers import Provider
from .signature import shown

SCHEMA_VERSION = 1

# More predictions than this are for --json.
_SHOWN_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """One of the best classes of one sample; the probability is the softmax over the classes."""

    sample: int
    class_index: int
    label: str
    logit: float
    probability: float


@dataclass(frozen=True, slots=True)
class OutputSummary:
    """An output of a run: its type and the range of its finite values (None where it has none)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    minimum: float | None
    mean: float | None
    maximum: float | None
    non_finite: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """One inference."""

    model: str
    provider: Provider
    placement: Mapping[str, int]
    load_ms: float
    run_ms: float
    outputs: tuple[OutputSummary, ...]
    predictions: tuple[Prediction, ...]
    saved: str
    notes: tuple[str, ...]

    def text(self) -> str:
        """Top classes where there are any, else the outputs' ranges."""
        head = f"{self.model} on {where(self.provider)}: load {self.load_ms:.0f} ms, run {self.run_ms:.1f} ms"
        body = _prediction_lines(self.predictions) or _output_lines(self.outputs)
        saved = [f"outputs written to {self.saved}"] if self.saved else []
        return "\n".join([head, *_placement_lines(self.placement), *note_lines(self.notes), *body, *saved])

    def data(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "provider": provider_data(self.provider),
            "placement": dict(self.placement),
            "load_ms": self.load_ms,
            "run_ms": self.run_ms,
            "outputs": [_fields(one) | {"shape": list(one.shape)} for one in self.outputs],
            "predictions": [_fields(one) for one in self.predictions],
            "saved": self.saved,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison of a verification: the input sizes that were run, and what came of it."""

    inputs: Mapping[str, tuple[int, ...]]
    parity: Parity


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Is this ONNX file this network? Every case, and the first inner value that differs where one does."""

    model: str
    provider: Provider
    cases: tuple[Case, ...]
    first: Difference | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return bool(self.cases) and all(case.parity.ok for case in self.cases)

    def require(self) -> None:
        """Raises VerifyError naming output, index, values and bound, and the first inner value that differs."""
        if self.ok:
            return
        bad = next((case for case in self.cases if not case.parity.ok), None)
        if bad is None:
            raise VerifyError(f"{self.model}: nothing was compared")
        first = f"the first value out of bounds is {self.first}" if self.first else ""
        raise VerifyError(f"{self.model} with {_sizes(bad.inputs)}: {bad.parity.complaint()}", hint=first)

    def text(self) -> str:
        head = f"{self.model} on {where(self.provider)}: {'verified' if self.ok else 'DIFFERS'}"
        body = [f"  {_sizes(case.inputs)}  {row}" for case in self.cases for row in case.parity.differences]
        first = [f"  first value out of bounds: {self.first}"] if self.first else []
        return "\n".join([head, *note_lines(self.notes), *body, *first])

    def data(self) -> dict[str, Any]:
        cases = [
            {"inputs": {k: list(v) for k, v in case.inputs.items()}, "outputs": case.parity.data()}
            for case in self.cases
        ]
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "provider": provider_data(self.provider),
            "ok": self.ok,
            "cases": cases,
            "first_difference": self.first.data() if self.first else None,
            "notes": list(self.notes),
        }


def where(provider: Provider) -> str:
    """`cpu (this onnxruntime has no CUDA provider)`: the provider, and why it is that one."""
    return f"{provider.name} ({provider.why})" if provider.why else provider.name


def provider_data(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "asked": provider.asked,
        "why": provider.why,
        "options": dict(provider.options),
        "notes": list(provider.notes),
    }


def note_lines(notes: Sequence[str]) -> list[str]:
    return [f"note: {note}" for note in notes]


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _sizes(inputs: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shown(shape)}" for name, shape in inputs.items())


def _placement_lines(placement: Mapping[str, int]) -> list[str]:
    """A line only where the work is split: a model wholly on one provider needs no telling."""
    if len(placement) < 2:
        return []
    return ["note: nodes per provider: " + ", ".join(f"{name} {count}" for name, count in placement.items())]


def _prediction_lines(predictions: Sequence[Prediction]) -> list[str]:
    if not predictions:
        return []
    samples = sorted({one.sample for one in predictions})
    width = max(5, *(len(one.label) for one in predictions))
    lines = []
    for sample in samples[:_SHOWN_SAMPLES]:
        lines += [f"sample {sample}"] if len(samples) > 1 else []
        lines.append(f"{'class':>7}  {'label':<{width}}  {'logit':>10}  probability")
        rows = [one for one in predictions if one.sample == sample]
        lines += [f"{r.class_index:>7}  {r.label:<{width}}  {r.logit:>10.4f}  {r.probability:>11.4f}" for r in rows]
    if len(samples) > _SHOWN_SAMPLES:
        lines.append(f"... {len(samples) - _SHOWN_SAMPLES} more samples: --json has them all")
    return lines


def _output_lines(outputs: Sequence[OutputSummary]) -> list[str]:
    return [f"{one.name}  {one.dtype} {shown(one.shape)}  {_range(one)}" for one in outputs]


def _range(one: OutputSummary) -> str:
    if one.minimum is None:
        return "no finite values"
    return f"min {one.minimum:.6g}  mean {one.mean:.6g}  max {one.maximum:.6g}"
