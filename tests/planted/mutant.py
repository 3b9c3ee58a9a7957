"""A mistake planted in a pass: what is replaced by what, and a graph in which it must be noticed at a known node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest

from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import PASSES, Rewrite
from tests.fuzz.numbers import telling

_ROOM = "convc.compiler.passes"

# From what is there to what stands there instead.
Swap = Callable[[Any], Any]


@dataclass(frozen=True)
class Mutant:
    """`place` is MODULE:NAME or MODULE:CLASS.NAME below the passes; `site` the node that the complaint must name."""

    of: str
    mistake: str
    place: str
    swap: Swap = field(repr=False)
    before: str = field(repr=False)
    site: str

    def __str__(self) -> str:
        return f"{self.of}: {self.mistake}".replace(" ", "-")

    def model(self) -> Model:
        return telling(graph(self.before))

    def a_pass(self) -> Rewrite[Any]:
        """The pass, exactness alone deciding."""
        one = PASSES[self.of]
        return one.judged_by(replace(one.worth, enabled=False))

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        module, _, path = self.place.partition(":")
        home: Any = import_module(f"{_ROOM}.{module}" if not module.startswith("convc.") else module)
        *within, name = path.split(".")
        for part in within:
            home = getattr(home, part)
        patch.setattr(home, name, self.swap(getattr(home, name)))
