"""`spec.resolved.yaml`: the spec with every default, loop and block written out. It builds to the same bytes.

Every step has its full path as `id`, what it reads as `from`, and where it was written as `source`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..ir import Graph, Init, Node, SymDim, TensorType
from .network import Network
from .preprocess import read_labels

HEADER = "# Written by convc: every default, loop and block of the spec, written out. It builds to the same bytes.\n"


def resolved_text(network: Network, families: Mapping[str, Mapping[str, Any]]) -> str:
    """The resolved spec as YAML. `families` holds the section of each checkpoint family: `exact` (our tensor -> their tensor),
    and where there are any, its `preprocess`, `old` names and what it may `ignore`."""
    lines = [HEADER + "convc: 1", f"name: {_quoted(network.graph.name)}"]
    if network.spec.doc:
        lines.append(f"doc: {_quoted(network.spec.doc.strip())}")
    if promised := {k: v for k, v in network.spec.symbols.items() if k in network.graph.symbols and v}:
        lines.append(f"symbols: {_flow(promised)}")
    lines.append("input:")
    lines += [f"  {name}: {_input(type_)}" for name, type_ in network.graph.inputs.items()]
    lines.append("network:")
    lines += _steps(network.graph)
    lines.append("outputs:")
    lines += [f"  {name}: {_quoted(node)}" for name, node in network.graph.outputs.items()]
    if network.preprocess:
        lines.append(f"preprocess: {_flow(network.preprocess)}")
    if labels := read_labels(network.labels, network.file.path.parent):
        lines.append(f"labels: {_flow(list(labels))}")
    lines += _checkpoints(families)
    return "\n".join(lines) + "\n"


def _steps(graph: Graph) -> Iterator[str]:
    first = _first_holders(graph)
    branches = dict(graph.train_outputs)
    for branch, nodes in _grouped(graph, tuple(branches)):
        if branch is None or (len(nodes) == 1 and nodes[0].name == branch):
            for node in nodes:
                yield from _step(node, first, "", "  ")
            continue
        yield "  - seq:"
        for node in nodes:
            yield from _step(node, first, branch + ".", "      ")
        yield f"    id: {_quoted(branch)}"
        yield f"    from: {_quoted(nodes[0].inputs[0])}"
        yield "    train_only: true"


def _grouped(graph: Graph, branches: Sequence[str]) -> Iterator[tuple[str | None, list[Node]]]:
    """Runs of nodes by the train_only branch they belong to."""
    group: list[Node] = []
    current: str | None = None
    for node in graph:
        branch = None
        if node.train_only:
            branch = next((b for b in branches if node.name == b or node.name.startswith(b + ".")), None)
        if group and branch != current:
            yield current, group
            group = []
        current = branch
        group.append(node)
    if group:
        yield current, group


def _first_holders(graph: Graph) -> dict[str, str]:
    first: dict[str, str] = {}
    for node in graph:
        for name in node.params.values():
            first.setdefault(name, node.name)
    return first


def _step(node: Node, first: Mapping[str, str], prefix: str, indent: str) -> Iterator[str]:
    shared = [first[name] for name in node.params.values() if first[name] != node.name]
    if shared:
        yield f"{indent}- use: {_quoted(shared[0])}"
    else:
        yield f"{indent}- {node.op.name}: {_flow(_arguments(node))}"
    yield f"{indent}  id: {_quoted(node.name.removeprefix(prefix))}"
    reads = [name.removeprefix(prefix) for name in node.inputs]
    if reads:
        yield f"{indent}  from: {_flow(reads)}"
    if node.train_only and not prefix:
        yield f"{indent}  train_only: true"
    if node.origins and node.origins[0].place:
        yield f"{indent}  source: {_quoted(node.origins[0].place)}"


def _arguments(node: Node) -> dict[str, Any]:
    values = {name: getattr(node.op, name) for name in node.op.fields()}
    return {name: value for name, value in values.items() if value is not None}


def _input(type_: TensorType) -> str:
    shape = "[" + ", ".join(str(dim) for dim in type_.shape) + "]"
    return shape if type_.dtype.value == "float32" else f"{{shape: {shape}, dtype: {type_.dtype.value}}}"


def _checkpoints(families: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not families:
        return
    yield "checkpoints:"
    for family, section in families.items():
        yield f"  {_quoted(family)}:"
        for part, value in section.items():
            if part in ("old", "exact"):
                yield f"    {part}:"
                yield from (f"      {_quoted(left)}: {_flow(right)}" for left, right in value.items())
            else:
                yield f"    {part}: {_flow(value)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _flow(value: Any) -> str:
    """YAML flow style that reads back to the same values; symbolic sizes become expressions."""
    if isinstance(value, Init):
        return _flow({value.kind: value.value})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, SymDim):
        return _quoted(str(value))
    if isinstance(value, float):
        return repr(value) if value.is_integer() or "." in repr(value) or "e" in repr(value) else f"{value!r}.0"
    return json.dumps(value, ensure_ascii=False)
