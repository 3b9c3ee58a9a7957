"""A near miss: a graph in which a merge looks right, the graph that the careless merge would leave, and its numbers.

The careless graph takes parameters of the same name and shape from the graph before; `params` says what it computes anew, by
formulas in numpy of its own (`formulas`), not by the compiler's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convc.compiler.ir import Model, Param, Stored
from convc.compiler.ir.text import graph
from convc.compiler.passes import PASSES, PassManager
from tests.fuzz.numbers import telling

Array = NDArray[Any]
Held = Mapping[str, Array]
Formula = Callable[[Held], Mapping[str, Array]]


def _nothing(p: Held) -> Mapping[str, Array]:
    return {}


@dataclass(frozen=True)
class NearMiss:
    """`merge` is what must not be made; `why` tells this case from its siblings."""

    merge: str
    why: str
    before: str
    careless: str
    params: Formula = field(default=_nothing, repr=False)

    def __str__(self) -> str:
        return f"{self.merge}: {self.why}".replace(" ", "-")

    def model(self) -> Model:
        """The graph before, with numbers that tell."""
        return telling(graph(self.before))

    def merged(self) -> Model:
        """What the careless merge leaves."""
        held = {name: param.evaluate().astype(np.float64) for name, param in self.model().params.items()}
        drawn = graph(self.careless)
        values = {**held, **self.params(held)}
        params: dict[str, Param] = {}
        for name, param in drawn.params.items():
            value = np.asarray(values[name], np.float64)
            assert value.shape == param.shape, f"{name}: {value.shape}, wanted {param.shape}"
            params[name] = Stored(value)
        return replace(drawn, params=MappingProxyType(params))


def optimised(model: Model) -> Model:
    """By every pass there is, in order, twice: whatever is exact happens, for the cost model is off."""
    passes = [one.judged_by(replace(one.worth, enabled=False)) for one in PASSES.values()]
    return PassManager([*passes, *passes]).run(model).model


def structure(model: Model) -> tuple[Counter[str], int]:
    """Each operator with its arguments and, nested, those it reads; and how many parameters there are.

    That is what of a merge shows without its numbers.
    """
    written = {name: name for name in model.graph.inputs}
    for node in model.graph:
        reads = ", ".join(written[name] for name in node.inputs)
        written[node.name] = f"{node.op.name}{sorted(node.op.arguments().items())}({reads})"
    return Counter(written[node.name] for node in model.graph), len(model.params)


def reading(lines: str, old: str, new: str) -> str:
    """Lines of a graph, with a value that is read under another name."""
    return re.sub(rf"(?<=[(= ]){old}(?=[,)]|$)", new, lines, flags=re.MULTILINE)
