"""What a YAML file says, as values: every node knows its place.

Tree = Scalar | Seq | Map        keys are text, as written; values follow YAML 1.2 (`scalars`)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import Mark
from .scalars import Plain


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `quoted` holds for text in quotes and behind | or >; `text` is what was written, unescaped."""

    value: Plain
    mark: Mark
    quoted: bool
    text: str


@dataclass(frozen=True, slots=True)
class Seq:
    """A list; the mark is its first `- `, or its bracket."""

    items: tuple[Tree, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping in the order of the file; the mark is its first key, or its brace."""

    entries: tuple[tuple[Scalar, Tree], ...]
    mark: Mark
    _places: dict[Plain, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def keys(self) -> tuple[str, ...]:
        """The keys as written, in order."""
        return tuple(key.text for key, _ in self.entries)

    def get(self, key: str) -> Tree | None:
        """The value of `key`, or None where it is not written."""
        place = self._place(key)
        return None if place is None else self.entries[place][1]

    def key(self, name: str) -> Scalar:
        """The key itself, for its mark; raises KeyError."""
        place = self._place(name)
        if place is None:
            raise KeyError(name)
        return self.entries[place][0]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._place(key) is not None

    def __len__(self) -> int:
        return len(self.entries)

    def _place(self, name: str) -> int | None:
        if not self._places:
            self._places.update((key.value, place) for place, (key, _) in enumerate(self.entries))
        return self._places.get(name)


Tree = Scalar | Seq | Map


def plain(tree: Tree) -> object:
    """The tree as Python's values: lists, dicts with text keys, and scalars."""
    if isinstance(tree, Scalar):
        return tree.value
    if isinstance(tree, Seq):
        return [plain(item) for item in tree.items]
    return {key.value: plain(value) for key, value in tree.entries}
