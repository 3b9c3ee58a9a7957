"""The outcome of a comparison: two renderings of the same facts, and the limit that it may have been given.

comparison.text()    lines for a person
comparison.data()    for --json: verdict, structure, cost, and every run
comparison.require() ThresholdError where B is slower than A by more than the limit
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...compiler.errors import ThresholdError
from ..profile.record import LayerTable
from ..views.figures import aligned, rounded, scaled, signed_percent
from .structure import Structure
from .verdict import SAME, SLOWER, Pair, Verdict

SCHEMA_VERSION = 1
KIND = "convc.comparison"


@dataclass(frozen=True)
class Side:
    """One of the two: what it is called, what it is, and its layers where a saved result has them."""

    label: str
    file: str
    structure: Structure
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    layers: LayerTable | None = None


@dataclass(frozen=True)
class Comparison:
    """`live`: both were run here in turn; else two measurements of different times stand side by side.

    `limit` is relative: 0.03 for `--fail-slower 3%`.
    """

    a: Side
    b: Side
    verdict: Verdict
    pairs: tuple[Pair, ...]
    live: bool
    where: str
    seconds: float
    limit: float | None = None
    notes: tuple[str, ...] = ()

    def times_ms(self, side: str) -> list[float]:
        """Every timed run of "a" or "b", in order."""
        return [1e3 * value for pair in self.pairs for value in getattr(pair, side)]

    def to_html(self, path: str | Path) -> None:
        """Write the page. Raises OutputError."""
        from ...compiler.artifacts import write_one

        write_one(path, self.html().encode())

    def html(self) -> str:
        """One page that works offline."""
        from ..views.comparison_page import comparison_page

        return comparison_page(self)

    @property
    def failed(self) -> bool:
        """B is slower, and by more than the limit."""
        return self.limit is not None and self.verdict.word == SLOWER and self.verdict.ratio > 1 + self.limit

    def require(self) -> None:
        """Raises ThresholdError."""
        if self.failed and self.limit is not None:
            raise ThresholdError(
                f"{self.b.label} is slower than {self.a.label}: {change(self.verdict.ratio)} "
                f"({interval_text(self.verdict)}); allowed: {100 * self.limit:g} %",
                hint="convc profile shows which layers take the time",
            )

    def text(self) -> str:
        lines = [
            f"A  {self.a.label}",
            f"B  {self.b.label}",
            "",
            *_structure_lines(self.a.structure, self.b.structure),
            "",
        ]
        lines += [*_latency_lines(self), "", verdict_text(self.verdict)]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "a": _side_data(self.a),
            "b": _side_data(self.b),
            "verdict": verdict_data(self.verdict),
            "live": self.live,
            "where": self.where,
            "seconds": self.seconds,
            "limit": self.limit,
            "failed": self.failed,
            "pairs": [
                {"a_ms": [1e3 * v for v in p.a], "b_ms": [1e3 * v for v in p.b], "a_first": p.a_first}
                for p in self.pairs
            ],
            "notes": list(self.notes),
        }


def verdict_text(verdict: Verdict) -> str:
    """`B is slower than A: +5.1 % (+4.2 to +6.0 %, 99.5 % sure)`."""
    return f"{verdict.sentence}: {change(verdict.ratio)} ({interval_text(verdict)})"


def change(ratio: float) -> str:
    """`+5.1 %`; from the double on `3.03 times as long`."""
    return f"{rounded(ratio)} times as long" if ratio >= 2 else signed_percent(ratio)


def interval_text(verdict: Verdict) -> str:
    """The interval in words, and what stands behind it."""
    # Cut, not rounded: nothing here is 100 % sure.
    sure = f"{math.floor(1000 * verdict.confidence + 1e-6) / 10:g} % interval"
    behind = f"{verdict.pairs} pair{'' if verdict.pairs == 1 else 's'} of blocks"
    if not known(verdict):
        return f"too few pairs for an interval: {behind}"
    ends = (
        f"{rounded(verdict.low)} to {rounded(verdict.high)} times"
        if verdict.low >= 2
        else f"{signed_percent(verdict.low)} to {signed_percent(verdict.high)}"
    )
    return f"{sure} {ends}, {behind}"


def known(verdict: Verdict) -> bool:
    """Whether there were enough pairs for an interval."""
    return 0 < verdict.low and verdict.high < 1e300


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """Plain values; an interval without ends is None."""
    ends = (verdict.low, verdict.high) if known(verdict) else (None, None)
    return {
        "word": verdict.word,
        "ratio": verdict.ratio,
        "ratio_low": ends[0],
        "ratio_high": ends[1],
        "confidence": verdict.confidence,
        "pairs": verdict.pairs,
        "stopped_early": verdict.early,
        "resolution": verdict.resolution,
    }


def noise_note(verdict: Verdict, limit: float | None) -> str:
    """A warning where the measurement was too coarse for what was asked of it; else empty."""
    wanted = limit if limit is not None else verdict.resolution
    if verdict.word != SAME or (known(verdict) and verdict.half_width <= wanted):
        return ""
    reach = f"±{100 * verdict.half_width:.1f} %" if known(verdict) else "everything"
    return f"differences within {reach} could not have been told from noise: measure longer (--seconds), or on a quieter machine"


def _structure_lines(a: Structure, b: Structure) -> list[str]:
    rows = [("", "A", "B", "B / A"), *cost_rows(a, b)]
    rows += [(f"  {op}", str(na), str(nb), f"{nb - na:+d}" if na != nb else "") for op, na, nb in op_rows(a, b)]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}".rstrip()
        for row in rows
    ]


def cost_rows(a: Structure, b: Structure) -> list[tuple[str, str, str, str]]:
    """(name, A, B, change) of what is known of either."""
    given = [
        ("MACs", a.macs, b.macs), ("attention MACs", a.attention_macs or None, b.attention_macs or None),
        ("parameters", a.params, b.params), ("bytes moved", a.moved_bytes, b.moved_bytes),
        ("file bytes", a.file_bytes, b.file_bytes), ("nodes", a.nodes, b.nodes),
    ]  # fmt: skip
    return [
        (name, scaled(x), scaled(y), signed_percent(y / x) if x and y is not None else "")
        for name, x, y in given
        if x is not None or y is not None
    ]


def op_rows(a: Structure, b: Structure) -> list[tuple[str, int, int]]:
    """(operator, nodes in A, nodes in B), the most frequent first; none where one of them is not known."""
    if not a.ops or not b.ops:
        return []
    names = sorted({*a.ops, *b.ops}, key=lambda op: (-max(a.ops.get(op, 0), b.ops.get(op, 0)), op))
    return [(op, a.ops.get(op, 0), b.ops.get(op, 0)) for op in names]


def _latency_lines(report: Comparison) -> list[str]:
    found = []
    middles = [statistics.median(report.times_ms(side)) for side in ("a", "b")]
    places = max(0, 3 - math.ceil(math.log10(max(middles))))
    for side, middle in zip("AB", middles, strict=True):
        ordered = sorted(report.times_ms(side.lower()))
        p90 = ordered[max(0, math.ceil(0.9 * len(ordered)) - 1)]
        found.append(f"{side}  median {aligned(middle, places)} ms, p90 {aligned(p90, places)} ms, {len(ordered)} runs")
    how = f"in turn, {rounded(report.seconds, 2)} s" if report.live else "not in turn"
    return [f"latency on {report.where}, {how}", *found]


def _side_data(side: Side) -> dict[str, Any]:
    made = side.structure
    return {
        "label": side.label,
        "file": side.file,
        "inputs": {name: list(shape) for name, shape in side.inputs.items()},
        "ops": dict(made.ops),
        "params": made.params,
        "macs": made.macs,
        "attention_macs": made.attention_macs,
        "file_bytes": made.file_bytes,
        "moved_bytes": made.moved_bytes,
    }
