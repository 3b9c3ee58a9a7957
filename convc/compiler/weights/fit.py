"""How well a checkpoint fits a network under one family's names: what is missing, mis-shaped, left over.

Shapes agree up to axes of size 1: those move no number, so a 1x1 convolution and a linear layer are one matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..errors import WeightsError
from .checkpoint import shape_text, shown
from .spelling import Spelling

Shapes = Mapping[str, tuple[int, ...]]

_LISTED = 10
_CANDIDATES = 500


@dataclass(frozen=True)
class Fit:
    """One family and one spelling against the network.

    `names` are ours -> theirs; the rest are our names but `unexpected`.
    """

    family: str
    names: Mapping[str, str]
    shapes: Shapes
    spelling: Spelling = field(repr=False)
    found: tuple[str, ...]
    absent: tuple[str, ...]
    missing: tuple[str, ...]
    misshaped: tuple[str, ...]
    unexpected: tuple[str, ...]
    collisions: tuple[tuple[str, str], ...]

    @property
    def perfect(self) -> bool:
        return not (self.missing or self.misshaped or self.unexpected or self.collisions)

    @property
    def distance(self) -> tuple[int, int, int]:
        """Nearest is least: most tensors found, then most names, then fewest left over."""
        return (-len(self.found), -len(self.misshaped), len(self.unexpected))

    def stored_shape(self, ours: str) -> tuple[int, ...]:
        return self.spelling.tensors[self.names[ours]].shape

    def notes(self) -> tuple[str, ...]:
        """What a person should know of a fit that is perfect."""
        notes = list(self.spelling.notes)
        reshaped = [ours for ours in self.found if self.stored_shape(ours) != self.shapes[ours]]
        if reshaped:
            examples = ", ".join(
                f"{ours} {shape_text(self.stored_shape(ours))} as {shape_text(self.shapes[ours])}"
                for ours in reshaped[:3]
            )
            notes.append(f"{len(reshaped)} tensors read in another shape: {examples}{_more(reshaped, 3)}")
        if self.absent:
            listed = ", ".join(self.absent[:3])
            notes.append(f"{len(self.absent)} train_only tensors are not in the file: {listed}{_more(self.absent, 3)}")
        return tuple(notes)


def fit(
    family: str,
    names: Mapping[str, str],
    shapes: Shapes,
    spelling: Spelling,
    optional: frozenset[str],
    ignored: frozenset[str],
) -> Fit:
    """Compare.

    `names` are ours -> theirs, `optional` ours that may be missing, `ignored` theirs that may be left over.
    """
    tensors = spelling.tensors
    holders: dict[str, str] = {}
    collisions = [(holders[theirs], ours) for ours, theirs in names.items() if holders.setdefault(theirs, ours) != ours]
    there = [ours for ours in shapes if names[ours] in tensors]
    good = [ours for ours in there if _same(tensors[names[ours]].shape, shapes[ours])]
    gone = [ours for ours in shapes if names[ours] not in tensors]
    return Fit(
        family, names, shapes, spelling,
        found=tuple(good),
        absent=tuple(ours for ours in gone if ours in optional),
        missing=tuple(ours for ours in gone if ours not in optional),
        misshaped=tuple(ours for ours in there if not _same(tensors[names[ours]].shape, shapes[ours])),
        unexpected=tuple(name for name in tensors if name not in holders and name not in ignored),
        collisions=tuple(collisions),
    )  # fmt: skip


def refusal(file: str, nearest: Fit, tried: Sequence[str]) -> WeightsError:
    """The error for a checkpoint that no family fits: what is wrong under the nearest one's names."""
    wanted = len(nearest.shapes)
    head = f"{file!r} does not fit the network: {len(nearest.found)} of its {wanted} tensors are there"
    named = f"under the names of the family {nearest.family!r}"
    lines = [f"{head} {named}{' (the nearest)' if len(tried) > 1 else ''}"]
    lines += [f"  note: {note}" for note in nearest.spelling.notes]
    collisions = [f"{shown(nearest.names[a])}: {a} and {b}" for a, b in nearest.collisions]
    lines += _section("two of the network's tensors have one name", collisions)
    lines += _section("missing", [_missing(nearest, ours) for ours in nearest.missing[:_LISTED]], len(nearest.missing))
    lines += _section("wrong shape", [_misshaped(nearest, ours) for ours in nearest.misshaped])
    spare = [f"{shown(name)} {shape_text(nearest.spelling.tensors[name].shape)}" for name in nearest.unexpected]
    lines += _section("unexpected", spare)
    return WeightsError("\n".join(lines), hint=_hint(nearest, tried))


def _same(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return stored == wanted or _squeezed(stored) == _squeezed(wanted)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _section(title: str, rows: list[str], count: int | None = None) -> list[str]:
    count = len(rows) if count is None else count
    if not count:
        return []
    more = [f"    ... and {count - _LISTED} more"] if count > _LISTED else []
    return [f"  {title} ({count}):", *(f"    {row}" for row in rows[:_LISTED]), *more]


def _missing(nearest: Fit, ours: str) -> str:
    theirs, shape = nearest.names[ours], nearest.shapes[ours]
    spare = [n for n in nearest.unexpected if _same(nearest.spelling.tensors[n].shape, shape)] or nearest.unexpected
    close = get_close_matches(theirs, list(spare[:_CANDIDATES]), 1, 0.5)
    hint = f"; nearest in the file: {shown(close[0])}" if close else ""
    return f"{shown(theirs)} {shape_text(shape)}{_ours(nearest, ours)}{hint}"


def _misshaped(nearest: Fit, ours: str) -> str:
    stored, wanted = shape_text(nearest.stored_shape(ours)), shape_text(nearest.shapes[ours])
    return f"{shown(nearest.names[ours])}: {stored} in the file, {wanted} in the network{_ours(nearest, ours)}"


def _ours(nearest: Fit, ours: str) -> str:
    return "" if nearest.names[ours] == ours else f" (ours: {ours})"


def _more(items: Sequence[str], shown_count: int) -> str:
    return f" and {len(items) - shown_count} more" if len(items) > shown_count else ""


def _hint(nearest: Fit, tried: Sequence[str]) -> str:
    if classes := _classes(nearest):
        return (
            f"the file has {classes[0]} outputs where the network has {classes[1]}: is it --set classes={classes[0]}?"
        )
    names = ", ".join(tried)
    look = f"`convc show SPEC --family {nearest.family}` prints both names of every tensor"
    return f"{look}; families tried: {names}" if len(tried) > 1 else look


def _classes(nearest: Fit) -> tuple[int, int] | None:
    """The two sizes, where all that is wrong is the first axis of a few tensors: another number of classes."""
    if nearest.missing or nearest.unexpected or not 0 < len(nearest.misshaped) <= 6:
        return None
    pairs = set()
    for ours in nearest.misshaped:
        stored, wanted = nearest.stored_shape(ours), nearest.shapes[ours]
        if not stored or not wanted or stored[1:] != wanted[1:]:
            return None
        pairs.add((stored[0], wanted[0]))
    return pairs.pop() if len(pairs) == 1 else None
