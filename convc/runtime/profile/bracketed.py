"""Layers timed alone, each as a partial graph of its own: needs no profiler, and works where a provider compiles the graph away.

    time(layer) = K runs handed over back to back, waited for once, over K

Rounds visit every layer once and then the whole network, so that all saw the same machine. What a layer costs alone is not what
it costs in the network (fusion across layers, caches, launches that overlap): the closure says how far that goes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...compiler.errors import ConvcError
from ..providers import Provider
from ..session import Session
from .attribute import Attribution
from .events import NodeEvent
from .feeds import random_feeds
from .graph import ModelGraph
from .layers import Run
from .regions import Region, regions
from .runner import Runner

NOTE = "each layer alone as a partial graph, back to back; what runs differently together is not in it"
_CHEAP = frozenset(
    "Relu LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Elu Selu Celu Gelu Mish Softplus Softsign Add Mul Sub Div "
    "BatchNormalization Identity Dropout Pad Flatten Reshape Transpose Squeeze Unsqueeze Cast".split()
)
_ROUNDS = 5
_BATCH_S = 0.01


@dataclass(frozen=True)
class Timed:
    """Rounds as runs; `failed` says of a layer why it could not be timed alone."""

    runs: tuple[Run, ...]
    failed: Mapping[str, str]


def by_layer(graph: ModelGraph) -> Attribution:
    """The fusion that every runtime does: what is cheap goes with the latest heavy node before it, else with what reads it."""
    constant = tuple(i for i, node in enumerate(graph.nodes) if _folded(graph, i))
    home = {i: i for i in range(len(graph.nodes)) if graph.nodes[i].op not in _CHEAP and i not in constant}
    rest = [i for i in range(len(graph.nodes)) if i not in home and i not in constant]
    for i in rest:
        before = [home[k] for v in graph.nodes[i].inputs if (k := graph.producer.get(v)) is not None and k in home]
        if before:
            home[i] = max(before)
    for i in reversed(rest):
        after = [home[r] for v in graph.nodes[i].outputs for r in graph.consumers.get(v, ()) if r in home]
        home.setdefault(i, min(after, default=i))
    owned: dict[str, list[int]] = {graph.nodes[k].name: [] for k in sorted(set(home.values()))}
    for i, k in sorted(home.items()):
        owned[graph.nodes[k].name].append(i)
    return Attribution({name: tuple(nodes) for name, nodes in owned.items()}, constant=constant)


def _folded(graph: ModelGraph, i: int) -> bool:
    return all(name in graph.constant for name in graph.nodes[i].outputs if name)


def timed(
    runner: Runner, provider: Provider, graph: ModelGraph, found: Attribution, proto: Any, seconds: float
) -> Timed:
    """Time every region alone on `provider` for about `seconds` in all; `runner` runs the whole."""
    ready: dict[str, tuple[Region, Runner, int]] = {}
    failed: dict[str, str] = {}
    for part in regions(graph, found):
        try:
            one = _runner(part, provider, graph, proto, runner)
            ready[part.layer] = (part, one, _count(one, seconds / _ROUNDS / 20))
        except (ConvcError, RuntimeError, ValueError) as error:
            failed[part.layer] = f"could not be timed alone: {getattr(error, 'message', error)}"
    rounds = [_round(runner, list(ready.values())) for _ in range(_ROUNDS)]
    return Timed(tuple(rounds), failed)


def _round(whole: Runner, parts: Sequence[tuple[Region, Runner, int]]) -> Run:
    nodes = []
    clock = 0.0
    for part, one, count in parts:
        micros = _mean_us(one, count)
        provider = one.session.provider.engine
        nodes.append(NodeEvent(part.executed[0], part.lead.op, provider, clock, micros))
        clock += micros
    return Run(min(whole.timed() for _ in range(3)), tuple(nodes))


def _mean_us(one: Runner, count: int) -> float:
    submit = one.submit()
    submit()
    one.finish()
    start = time.perf_counter()
    for _ in range(count):
        submit()
    one.finish()
    return (time.perf_counter() - start) / count * 1e6


def _count(one: Runner, limit_s: float) -> int:
    """Runs that take about a hundredth of a second: many where one is short, one where it is long."""
    return max(1, min(1000, round(min(_BATCH_S, limit_s) * 1e6 / max(_mean_us(one, 3), 1.0))))


def _runner(part: Region, provider: Provider, graph: ModelGraph, proto: Any, whole: Runner) -> Runner:
    model = partial(part, graph, proto)
    folder = whole.session.folder
    session = Session(model, provider, threads=whole.session.threads, folder=folder)
    shapes = {one.name: graph.shapes[one.name] for one in session.inputs}
    return Runner(session, random_feeds(session.inputs, shapes, 0, None))


def partial(part: Region, graph: ModelGraph, proto: Any) -> bytes:
    """The nodes of a region as a model: what they read from others become inputs, what others read of them outputs.

    Raises ValueError where a size that it needs is not known.
    """
    import onnx

    inside = set(part.nodes) | _constants(part, graph)
    nodes = [proto.graph.node[k] for k in sorted(inside)]
    made = {name for node in nodes for name in node.output}
    read = dict.fromkeys(name for node in nodes for name in node.input if name and name not in made)
    outer = [k for k in range(len(graph.nodes)) if k not in inside]
    wanted = {name for k in outer for name in graph.nodes[k].inputs} | set(graph.outputs)
    weights = [one for one in proto.graph.initializer if one.name in read]
    known = {one.name for one in weights}
    graph_out = onnx.helper.make_graph(
        nodes,
        part.layer,
        [_info(name, graph) for name in read if name not in known],
        [
            onnx.ValueInfoProto(name=name)
            for name in dict.fromkeys(n for node in nodes for n in node.output)
            if name in wanted
        ],
        weights,
    )
    made_of = onnx.helper.make_model(graph_out, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    return bytes(made_of.SerializeToString())


def _constants(part: Region, graph: ModelGraph) -> set[int]:
    """Nodes computed at load whose values the region reads, with what they read in turn."""
    found: set[int] = set()
    stack = [name for k in part.nodes for name in graph.nodes[k].inputs]
    while stack:
        name = stack.pop()
        k = graph.producer.get(name)
        if k is not None and name in graph.constant and k not in found:
            found.add(k)
            stack += graph.nodes[k].inputs
    return found


def _info(name: str, graph: ModelGraph) -> Any:
    import onnx

    if name not in graph.shapes:
        raise ValueError(f"the size of {name!r} is not known")
    return onnx.helper.make_tensor_value_info(name, graph.elements[name], list(graph.shapes[name]))
