"""A graph as text, one line a node, and back.

    graph tiny
    symbol H multiple=32 minimum=64
    input image: [N, 3, H, 64]
    stem.conv: [N, 8, H / 2, 32] = conv(image, out=8, kernel=[3, 3], stride=[2, 2], bias=false)
    twin: [N, 8, H / 4, 16] = conv(stem.conv, out=8, kernel=[3, 3], stride=[2, 2]) with weight=stem.twin
    aux: [N, 8, H / 4, 16] = relu(twin) train_only
    output output = twin
    train_output aux = aux

A node names the values it reads, then the arguments that differ from their defaults. `symbol` states what a dynamic
dimension promises. `with` lists parameters whose names are not NODE.ROLE. Words that are no plain names stand in quotes.
Origins and numbers are not part of the text; everything else comes back as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .dims import Dim, FloorDiv, Symbol, SymDim
from .graph import Graph, Node
from .model import Model
from .param import Param, Seeded
from .types import Init, TensorType

PLAIN = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
WORDS: Mapping[str, Any] = {"true": True, "false": False, "none": None, "inf": float("inf")}


def to_text(model: Model | Graph) -> str:
    """One line a node; a model adds a line that counts its parameters."""
    if isinstance(model, Graph):
        return "\n".join(_lines(model))
    held, learned = len(model.params), len(model.trained)
    return "\n".join(
        [*_lines(model.graph), f"# {model.param_count():,} learnable values; {learned} of {held} parameters"]
    )


def from_text(text: str) -> Graph:
    """The graph that a text describes. Raises ValueError with the line.

    Types may be left out, and arguments that an operator finds out itself: both are then inferred. A type that is
    given is taken as it stands; Model.check says whether it is right.
    """
    from .read_text import read

    return read(text)


def graph(text: str, seed: int = 0) -> Model:
    """A checked model with fresh parameters, for tests. Without `output` lines the last node is the output."""
    found = from_text(text)
    params: dict[str, Param] = {}
    trained: set[str] = set()
    for node in found:
        for role, kind in node.op.params(*found.input_types(node)).items():
            name = node.params[role]
            params.setdefault(name, Seeded(kind.shape, kind.init, name, seed))
            trained |= {name} if kind.trained else set()
    model = Model(found, params, frozenset(trained))
    model.check()
    return model


def quoted(word: str) -> str:
    """A name or word as the text has it."""
    return word if PLAIN.fullmatch(word) and word not in WORDS else json.dumps(word, ensure_ascii=False)


def _lines(graph: Graph) -> Iterable[str]:
    yield f"graph {quoted(graph.name)}"
    types = (*graph.inputs.values(), *(node.type for node in graph))
    for symbol in sorted(_symbols(types)):
        if (symbol.multiple, symbol.minimum) != (1, 1):
            yield f"symbol {symbol.name} multiple={symbol.multiple} minimum={symbol.minimum}"
    for name, type_ in graph.inputs.items():
        yield f"input {quoted(name)}: {type_}"
    for node in graph:
        yield _node(node)
    for public, name in graph.outputs.items():
        yield f"output {quoted(public)} = {quoted(name)}"
    for public, name in graph.train_outputs.items():
        yield f"train_output {quoted(public)} = {quoted(name)}"


def _node(node: Node) -> str:
    arguments = [f"{key}={_value(value)}" for key, value in node.op.arguments().items()]
    call = f"{node.op.name}({', '.join([*map(quoted, node.inputs), *arguments])})"
    tail = " train_only" if node.train_only else ""
    if other := {role: name for role, name in node.params.items() if name != f"{node.name}.{role}"}:
        tail += " with " + ", ".join(f"{role}={quoted(name)}" for role, name in other.items())
    return f"{quoted(node.name)}: {node.type} = {call}{tail}"


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Init):
        return f"{value.kind}({_value(value.value)})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f"({value})" if isinstance(value, SymDim) else repr(value)


def _symbols(types: Iterable[TensorType]) -> set[Symbol]:
    found: set[Symbol] = set()
    waiting: list[Dim] = [dim for type_ in types for dim in type_.shape]
    for dim in waiting:
        for monomial, _ in dim.terms if isinstance(dim, SymDim) else ():
            for atom in monomial:
                if isinstance(atom, FloorDiv):
                    waiting.append(atom.numerator)
                else:
                    found.add(atom)
    return found
