"""What was measured: for passes that may lose, whether they pay on a machine. A record of it is an input of a build.

    decision   model    the cost model decides, site by site (as without a record)
               always   whatever is exact is done
               never    the pass does not run

A record names the graph and the target it was measured for, so that it cannot be taken for another's. Its bytes are hashed,
and the hash stands in the manifest: the same record gives the same model, on any machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from .errors import UsageError
from .ir import Graph
from .ir.text import to_text

SCHEMA_VERSION = 1
Decision = Literal["model", "always", "never"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
_NONE: Mapping[str, Decision] = MappingProxyType({})


@dataclass(frozen=True)
class Tuning:
    """A record. `decisions` holds passes whose decision is not `model`; `measured` says what was seen, for people."""

    graph_sha256: str
    target: str
    decisions: Mapping[str, Decision] = field(default_factory=lambda: _NONE)
    machine: Mapping[str, Any] = field(default_factory=dict)
    measured: tuple[Mapping[str, Any], ...] = ()

    def text(self) -> str:
        """The record as it is stored: JSON with its keys in order."""
        data = {
            "schema_version": SCHEMA_VERSION,
            "graph_sha256": self.graph_sha256,
            "target": self.target,
            "machine": dict(self.machine),
            "decisions": dict(self.decisions),
            "measured": [dict(row) for row in self.measured],
        }
        return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()

    def require(self, graph: Graph, target: str) -> None:
        """Raises UsageError where the record is another graph's, or another target's."""
        if self.target != target:
            raise UsageError(
                f"the tuning record is for --target {self.target}, but this build is for {target}",
                hint=f"build with --target {self.target}, or measure anew with --tune",
            )
        if self.graph_sha256 != graph_sha256(graph):
            raise UsageError(
                "the tuning record is of another network, of other sizes or another batch",
                hint="measure anew with --tune",
            )


def graph_sha256(graph: Graph) -> str:
    """The hash of a graph before any pass: its operators, their arguments and types; no weights."""
    return hashlib.sha256(to_text(graph).encode()).hexdigest()


def read_tuning(path: str | Path, passes: Mapping[str, object]) -> Tuning:
    """A record from its file. Raises UsageError where there is none, it is damaged, or it names a pass that is unknown."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: is no tuning record: {error}", hint="convc build --tune writes one") from error
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise UsageError(
            f"{path}: is no tuning record of version {SCHEMA_VERSION}", hint="convc build --tune writes one"
        )
    decisions = data.get("decisions")
    if not isinstance(decisions, dict) or not all(isinstance(data.get(k), str) for k in ("graph_sha256", "target")):
        raise UsageError(f"{path}: is no whole tuning record", hint="convc build --tune writes one")
    for name, decision in decisions.items():
        if name not in passes:
            raise UsageError(f"{path}: there is no pass {name!r}", hint=f"passes: {', '.join(passes)}")
        if decision not in DECISIONS:
            raise UsageError(f"{path}: {name} is {decision!r}", hint=f"one of {', '.join(DECISIONS)}")
    machine, measured = data.get("machine", {}), data.get("measured", [])
    if not isinstance(machine, dict) or not isinstance(measured, list):
        raise UsageError(f"{path}: is no whole tuning record", hint="convc build --tune writes one")
    return Tuning(data["graph_sha256"], data["target"], decisions, machine, tuple(measured))
