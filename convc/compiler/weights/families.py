"""Families: whose names a checkpoint uses. The one that fits, fits completely; nothing is guessed.

    ours  --names-->  theirs  <--old--  what an older release wrote
                        ^
                        the checkpoint's names, prefixes peeled

Our own names are the family `convc`, tried first. Then come the spec's families in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Protocol

from ..errors import UsageError, WeightsError
from ..ir import Param, Stored
from .checkpoint import Array, Checkpoint, shown
from .fit import Fit, fit, refusal
from .rules import Evaluate, Exact, RuleError, Rules, component_pattern
from .spelling import Spelling, spellings
from .values import parameter_values

OURS = "convc"


class Shaped(Protocol):
    """Anything with a fixed shape: a ParamType, a Param."""

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Family:
    """A key map with the conventions that go with it.

    names       rules ours -> theirs
    old         rules from names that older releases wrote to today's, tried where today's do not fit
    ignore      patterns of their tensors that the network leaves unread
    preprocess  what replaces the spec's preprocessing where this family was detected; not looked into here
    """

    name: str
    names: Rules | Exact = field(default_factory=Rules)
    old: Rules = field(default_factory=Rules)
    ignore: tuple[re.Pattern[str], ...] = ()
    preprocess: object = None

    @staticmethod
    def compile(
        name: str,
        names: Iterable[tuple[object, object]],
        evaluate: Evaluate,
        *,
        old: Iterable[tuple[object, object]] = (),
        ignore: Iterable[str] = (),
        preprocess: object = None,
    ) -> Family:
        """A family from what its YAML holds.

        RuleError: a rule of `names` or `old`, or a pattern of `ignore`, is wrong.
        """
        patterns = tuple(_pattern(i, pattern) for i, pattern in enumerate(ignore))
        return Family(name, Rules.compile(names, evaluate), Rules.compile(old, evaluate), patterns, preprocess)

    def ignores(self, theirs: str) -> bool:
        return any(pattern.search(theirs) for pattern in self.ignore)


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint gave.

    `params` by our names, without `absent`: the train_only tensors that the file does not have. `unused` are the
    file's tensors that were left out. `preprocess` is the family's, None where the spec's own stands.
    """

    params: Mapping[str, Param]
    family: str
    preprocess: object
    notes: tuple[str, ...]
    absent: tuple[str, ...]
    unused: tuple[str, ...]


def load_parameters(
    wanted: Mapping[str, Shaped],
    checkpoint: Checkpoint,
    families: Mapping[str, Family],
    family: str | None = None,
    optional: frozenset[str] = frozenset(),
) -> Loaded:
    """The network's parameters out of a checkpoint, as read-only float32 views of it where it holds float32.

    `wanted` maps our names to shapes; those in `optional` (train_only) may be missing. `family` names the only one to
    try; without it our own names and each family are tried.

    WeightsError: none fits (the nearest is shown), a tensor is not finite, not of floats, or a negative variance.
    UsageError: there is no such family.
    """
    nearest: Fit | None = None
    tried: list[str] = []
    for candidate in _candidates(families, family):
        tried.append(candidate.name)
        for attempt in _attempts(wanted, checkpoint, candidate, optional):
            if attempt.perfect:
                return _loaded(checkpoint, candidate, attempt)
            nearest = attempt if nearest is None or attempt.distance < nearest.distance else nearest
    assert nearest is not None  # our own names are always tried
    raise refusal(str(checkpoint.path), nearest, tried)


def names_table(wanted: Mapping[str, Shaped], family: Family) -> tuple[tuple[str, str], ...]:
    """Both names of every tensor, ours and the family's, in the network's order. RuleError: a rule fails on a name."""
    return tuple((ours, family.names.apply(ours)) for ours in wanted)


def find_family(families: Mapping[str, Family], name: str) -> Family:
    """The family called `name`, or our own. UsageError: there is none; the message says which there are."""
    if name in families:
        return families[name]
    if name == OURS:
        return Family(OURS)
    known = [*families, OURS]
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else "leave --family away and it is detected"
    raise UsageError(f"the network has no checkpoint family {name!r}; it has {', '.join(known)}", hint=hint)


def _candidates(families: Mapping[str, Family], name: str | None) -> Iterator[Family]:
    if name is not None:
        yield find_family(families, name)
        return
    if OURS not in families:
        yield Family(OURS)
    yield from families.values()


def _attempts(
    wanted: Mapping[str, Shaped], checkpoint: Checkpoint, family: Family, optional: frozenset[str]
) -> Iterator[Fit]:
    names = dict(names_table(wanted, family))
    shapes = {ours: tuple(shaped.shape) for ours, shaped in wanted.items()}
    for plain in spellings(checkpoint.tensors):
        for spelling in _with_old(plain, family):
            ignored = frozenset(name for name in spelling.tensors if family.ignores(name))
            yield fit(family.name, names, shapes, spelling, optional, ignored)


def _with_old(plain: Spelling, family: Family) -> Iterator[Spelling]:
    yield plain
    if family.old and (today := plain.renamed(family.old.apply)):
        yield today


def _loaded(checkpoint: Checkpoint, family: Family, found: Fit) -> Loaded:
    tensors = found.spelling.tensors
    params: dict[str, Param] = {}
    converted: dict[str, int] = {}
    for ours in found.found:
        tensor = tensors[found.names[ours]]
        params[ours] = Stored(_values(checkpoint, found, ours))
        if tensor.dtype != "float32":
            converted[tensor.dtype] = converted.get(tensor.dtype, 0) + 1
    notes = [*checkpoint.notes, *found.notes()]
    notes += [f"{count} tensors converted from {dtype} to float32" for dtype, count in converted.items()]
    used = {found.names[ours] for ours in found.found}
    unused = tuple(name for name in tensors if name not in used)
    if unused:
        notes.append(f"{len(unused)} tensors of the file are not the network's, as family {family.name!r} says: "
                     f"{', '.join(map(shown, unused[:3]))}{' ...' if len(unused) > 3 else ''}")  # fmt: skip
    return Loaded(MappingProxyType(params), family.name, family.preprocess, tuple(notes), found.absent, unused)


def _values(checkpoint: Checkpoint, found: Fit, ours: str) -> Array:
    theirs = found.names[ours]
    try:
        return parameter_values(ours, theirs, found.spelling.tensors[theirs], found.shapes[ours])
    except MemoryError:
        raise WeightsError(f"{str(checkpoint.path)!r}: tensor {shown(theirs)} does not fit into memory") from None


def _pattern(index: int, pattern: str) -> re.Pattern[str]:
    try:
        return component_pattern(str(pattern))
    except ValueError as error:
        raise RuleError(index, pattern, None, str(error)) from None
