"""Two measurements of different times, side by side: no coin decided their order, so what the machine did in between stays in.

The samples of each are cut into equally many stretches, whose medians stand beside each other as pairs. The interval then knows
how each measurement moved in itself, and nothing of what lay between the two: the resolution is coarser for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...compiler.errors import ModelError, UsageError
from ..profile.record import MachineState, Point, Profile
from .live import Options
from .report import Comparison, Side, noise_note
from .structure import Structure, of_result
from .verdict import Pair, Rule, judge

_STRETCHES = 24
# What two measurements of one file on one machine differ by, from one hour to the next.
RESOLUTION = 0.05


def compare_results(
    a: Profile,
    b: Profile,
    labels: tuple[str, str],
    limit: float | None = None,
    structures: tuple[Structure | None, Structure | None] = (None, None),
) -> Comparison:
    """Their first points that were measured alike; `structures` where more is known of a side than its record holds.

    Raises ModelError where there are no such points, or they hold no runs.
    """
    left, right = alike(a, b, labels)
    pairs = _stretches(left.samples_ms, right.samples_ms)
    rule = Rule(resolution=RESOLUTION if limit is None else min(RESOLUTION, limit))
    verdict = judge(pairs, rule)
    assert verdict is not None, "the last look always answers"
    notes = [
        "measured at different times: what the machine did in between is part of the ratio",
        *unlike_machines(a.start, b.start),
        *_unlike_runs(left, right),
        _others(a, b),
        noise_note(verdict, limit),
    ]
    return Comparison(
        Side(labels[0], a.model.file, structures[0] or of_result(a), left.inputs, left.layers),
        Side(labels[1], b.model.file, structures[1] or of_result(b), right.inputs, right.layers),
        verdict,
        pairs,
        live=False,
        where=left.label,
        seconds=sum(left.samples_ms + right.samples_ms) / 1e3,
        limit=limit,
        notes=tuple(note for note in notes if note),
    )


def points_with(found: Profile, label: str, options: Options) -> Profile:
    """The record with the points of the provider, threads, batch and size asked for. Raises UsageError where it has none."""
    wanted = {
        "--provider": options.provider or "",
        "--batch": options.batch or "",
        "--size": "x".join(map(str, options.size)),
        "--threads": options.threads or "",
    }
    points = tuple(point for point in found.points if _is(point, options))
    if found.points and not points:
        asked = " ".join(f"{option} {value}" for option, value in wanted.items() if value)
        held = ", ".join(point.label for point in found.points)
        raise UsageError(
            f"{label} was not measured with {asked}: it holds {held}", hint="leave the option out, or measure again"
        )
    return replace(found, points=points)


def _is(point: Point, options: Options) -> bool:
    size = options.size * len(point.size) if len(options.size) == 1 else options.size
    return (
        options.provider in (None, point.provider.name)
        and options.batch in (0, point.batch)
        and options.threads in (0, point.threads)
        and size in ((), point.size)
    )


def alike(a: Profile, b: Profile, labels: tuple[str, str]) -> tuple[Point, Point]:
    """The first points of both with the same provider, batch, size and threads."""
    for label, profile in zip(labels, (a, b), strict=True):
        if not any(point.samples_ms for point in profile.points):
            raise ModelError(f"{label}: holds no timed runs", hint="measure again with convc profile --json")
    for left in a.points:
        for right in b.points:
            if left.label == right.label and left.samples_ms and right.samples_ms:
                return left, right
    points = [", ".join(point.label for point in profile.points) for profile in (a, b)]
    raise ModelError(
        f"{labels[0]} and {labels[1]} share no point: {points[0]} against {points[1]}",
        hint="measure both with the same provider, batch, size and threads",
    )


def unlike_machines(a: MachineState, b: MachineState) -> list[str]:
    """A sentence where the two were not taken on the same kind of machine with the same libraries."""
    found = []
    if (a.cpu_model, a.cpu_usable) != (b.cpu_model, b.cpu_usable):
        found.append(
            f"not the same machine: {a.cpu_model}, {a.cpu_usable} usable; {b.cpu_model}, {b.cpu_usable} usable"
        )
    if [gpu.name for gpu in a.gpus] != [gpu.name for gpu in b.gpus]:
        found.append("not the same GPUs")
    for name in sorted({*a.versions, *b.versions}):
        if name.startswith("onnxruntime") and a.versions.get(name) != b.versions.get(name):
            found.append(f"{name} was {a.versions.get(name, 'absent')}, then {b.versions.get(name, 'absent')}")
    return found


def _unlike_runs(a: Point, b: Point) -> list[str]:
    """What differs in how the two were measured, and what their own records warn of."""
    found = []
    if a.io_binding != b.io_binding:
        found.append(f"{'A' if a.io_binding else 'B'} was measured with IO binding, the other without")
    if dict(a.provider.options) != dict(b.provider.options):
        names = sorted({*a.provider.options, *b.provider.options})
        other = [name for name in names if a.provider.options.get(name) != b.provider.options.get(name)]
        found.append(f"not the same options of {a.provider.name}: {', '.join(other)}")
    return found + [f"{side}: {text}" for side, one in (("A", a), ("B", b)) for text in one.warnings]


def _others(a: Profile, b: Profile) -> str:
    """How many more points could have been compared."""
    more = len({point.label for point in a.points} & {point.label for point in b.points}) - 1
    names = "--provider, --batch, --size and --threads"
    return f"{more} more point{'s are' if more > 1 else ' is'} in both: {names} choose" if more > 0 else ""


def _stretches(a: Sequence[float], b: Sequence[float]) -> tuple[Pair, ...]:
    count = min(_STRETCHES, len(a), len(b))
    return tuple(Pair(_stretch(a, k, count), _stretch(b, k, count)) for k in range(count))


def _stretch(samples: Sequence[float], place: int, count: int) -> tuple[float, ...]:
    start, end = place * len(samples) // count, (place + 1) * len(samples) // count
    return tuple(value / 1e3 for value in samples[start:end])
