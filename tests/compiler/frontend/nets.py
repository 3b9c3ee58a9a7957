"""Small specs for the tests of the frontend: written, elaborated, and what they came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from convc.compiler.errors import Problem, SpecError
from convc.compiler.frontend.library import open_spec
from convc.compiler.frontend.network import Network, Options, elaborate
from convc.compiler.ir import Node

INPUT = "input: {image: [N, 4, 16, 16]}\n"


@dataclass(frozen=True)
class Nets:
    """A folder of specs. `convc: 1`, a name and an input are put before what does not say them."""

    folder: Path

    def write(self, text: str, name: str = "net.yaml") -> Path:
        body = dedent(text)
        head = "" if "convc:" in body else "convc: 1\n"
        head += INPUT if "network:" in body and "\ninput:" not in f"\n{body}" else ""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + body, encoding="utf-8")
        return path

    def net(self, text: str, variant: str | None = None, options: Options | None = None, **params: Any) -> Network:
        path = self.write(text)
        file, _ = open_spec(path)
        return elaborate(file, variant, options or Options(params))

    def steps(self, text: str, head: str = "") -> Network:
        """The network of a list of steps."""
        return self.net(dedent(head) + "network:\n" + dedent(text))

    def problems(self, text: str, variant: str | None = None, **params: Any) -> tuple[Problem, ...]:
        with pytest.raises(SpecError) as caught:
            self.net(text, variant, **params)
        return caught.value.problems

    def problem(self, text: str, variant: str | None = None, **params: Any) -> Problem:
        """The one problem of a spec."""
        found = self.problems(text, variant, **params)
        assert len(found) == 1, "\n".join(map(str, found))
        return found[0]

    def fault(self, text: str, head: str = "") -> Problem:
        """The one problem of a list of steps."""
        return self.problem(dedent(head) + "network:\n" + dedent(text))


def names(net: Network) -> list[str]:
    return list(net.graph.nodes)


def params(net: Network) -> list[str]:
    return list(net.param_types)


def node(net: Network, name: str) -> Node:
    return net.graph.nodes[name]


def output(net: Network, name: str = "output") -> str:
    """The node or input that an output stands for."""
    return net.graph.outputs[name]


def shape(net: Network, name: str | None = None) -> str:
    return str(net.graph.type_of(output(net) if name is None else name))


def reads(net: Network) -> Mapping[str, tuple[str, ...]]:
    return {name: found.inputs for name, found in net.graph.nodes.items()}


def args(net: Network, name: str) -> Mapping[str, Any]:
    return node(net, name).op.arguments()
