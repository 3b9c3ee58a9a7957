"""Did the work stay where it was asked to be? ONNX Runtime moves nodes without a kernel to the CPU, with copies, in silence.

Sums of sizes (`Shape` and arithmetic on its result) belong on the CPU and are no fallback: ONNX Runtime puts them there on
purpose, and they touch no activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...compiler.errors import ProviderError
from ..providers import NAMES, Provider
from ..session import Session
from .graph import ModelGraph

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Placed:
    """A node before fusion, and the provider that took it."""

    name: str
    op: str
    engine: str


def placed(session: Session) -> tuple[Placed, ...]:
    """Every node that ONNX Runtime says it placed; empty where it is too old to say."""
    ask = getattr(session.handle, "get_provider_graph_assignment_info", None)
    if ask is None:
        return ()
    return tuple(
        Placed(_text(node.name), _text(node.op_type), part.ep_name) for part in ask() for node in part.get_nodes()
    )


def strays(provider: Provider, nodes: Sequence[Placed], graph: ModelGraph | None) -> tuple[Placed, ...]:
    """Nodes on another provider than the one meant, sums of sizes left out."""
    if provider.name == "cpu":
        return ()
    sums = sums_of_sizes(graph) if graph is not None else frozenset()
    behind = {"tensorrt": {NAMES["tensorrt"]}}.get(provider.name, {provider.engine})
    return tuple(node for node in nodes if node.engine not in behind and node.name not in sums)


def require(provider: Provider, nodes: Sequence[Placed], graph: ModelGraph | None) -> None:
    """Raises ProviderError with the list of nodes that landed elsewhere."""
    found = strays(provider, nodes, graph)
    if not found:
        return
    lines = [f"  {node.name or '(no name)'}  {node.op}  on {node.engine}" for node in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"  ... {len(found) - _SHOWN} more")
    listed = "\n".join(lines)
    raise ProviderError(
        f"{len(found)} of {len(nodes)} nodes do not run on {provider.name}:\n{listed}",
        hint=f"--fallback measures it as it is, copies included; {_advice(provider)}",
    )


def _advice(provider: Provider) -> str:
    if provider.name == "cuda":
        return "a lower --opset often has CUDA kernels where the newest has none"
    return "convc doctor says what loads here"


def sums_of_sizes(graph: ModelGraph) -> frozenset[str]:
    """Nodes whose values hang on the sizes of activations, never on what is in them."""
    sums: set[str] = {"", *graph.constant}
    found = set()
    for node in graph.nodes:
        if node.op in ("Shape", "Size") or (all(name in sums for name in node.inputs) and node.op != "RandomNormal"):
            sums.update(node.outputs)
            found.add(node.name)
    return frozenset(found)


def _text(value: Any) -> str:
    return str(value() if callable(value) else value)
