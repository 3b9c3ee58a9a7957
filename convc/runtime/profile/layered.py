"""Which way layers are timed on a provider, and the table that comes of it.

    cpu                    ONNX Runtime's profile: a kernel has finished when its event ends
    cuda, torch with CUDA  kernel events of CUPTI through torch.profiler, in this process
    all else               bracketed: each layer alone as a partial graph

ONNX Runtime's profile of a GPU holds launch times, which are never taken for kernel times: asked for by name, the table says
what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...compiler.errors import ProviderError, UsageError
from ..providers import Provider
from . import bracketed, kernels, traced
from .attribute import attribute
from .graph import ModelGraph
from .layers import Method, SpecLayer, Subject, layer_table
from .record import LayerTable, Peak
from .runner import Runner

Make = Callable[[Provider | None, Path | str, Path | str], Runner]
_LAUNCHES = "host launch times, NOT kernel times: ONNX Runtime's profile does not wait for the GPU"
# Providers that compile the graph away: there are no nodes left to profile.
_COMPILERS = frozenset({"tensorrt", "openvino"})


def chosen(method: str, provider: str) -> str:
    """The method for a provider. Raises UsageError where the one asked for cannot be had on it."""
    if method == "auto":
        if provider == "cpu":
            return "profile"
        return "kernels" if provider == "cuda" and kernels.available() else "bracketed"
    if method == "profile" and provider in _COMPILERS:
        raise UsageError(f"--layers profile: {provider} runs the graph as one node", hint="--layers bracketed")
    if method == "kernels" and provider != "cuda":
        raise UsageError(f"--layers kernels reads the events of a GPU; this is {provider}", hint="--layers auto")
    if method == "kernels" and not kernels.available():
        raise ProviderError(
            "--layers kernels needs torch with CUDA in this environment", hint="--layers bracketed needs nothing"
        )
    return method


def layered(
    method: str,
    runner: Runner,
    graph: ModelGraph,
    proto: Any,
    spec: tuple[SpecLayer, ...],
    best: Peak | None,
    folder: Path,
    seconds: float,
    make: Make,
) -> tuple[LayerTable, tuple[str, ...]]:
    """The table, and warnings about it."""
    way = chosen(method, runner.session.provider.name)
    if way == "bracketed":
        return _bracketed(runner, graph, proto, spec, best, seconds)
    found = traced.traced(
        lambda trace, saved: make(None, trace, saved),
        runner,
        folder,
        seconds,
        kernels.Watch() if way == "kernels" else None,
    )
    subject = Subject(graph, attribute(graph, found.executed), spec)
    if way == "kernels":
        told = Method("cupti", kernels.NOTE, found.profiled_over_unprofiled)
    elif runner.device == "cpu":
        told = Method("ort-profile", traced.NOTE, found.profiled_over_unprofiled, found.gap_us)
    else:
        told = Method("host-launch", _LAUNCHES, found.profiled_over_unprofiled)
    warnings = (f"layers are {_LAUNCHES}",) if told.name == "host-launch" else ()
    return layer_table(subject, found.runs, told, best), warnings


def without_graph(provider: Provider) -> Provider:
    """The provider with launches node by node: a replayed graph has none that could be told apart."""
    kept = {key: value for key, value in provider.options.items() if "cuda_graph" not in key}
    return replace(provider, options=kept)


def _bracketed(
    runner: Runner, graph: ModelGraph, proto: Any, spec: tuple[SpecLayer, ...], best: Peak | None, seconds: float
) -> tuple[LayerTable, tuple[str, ...]]:
    subject = Subject(graph, bracketed.by_layer(graph), spec)
    alone = without_graph(runner.session.provider)
    timed = bracketed.timed(runner, alone, graph, subject.found, proto, seconds)
    table = layer_table(subject, timed.runs, Method("bracketed", bracketed.NOTE, 1.0), best, timed.failed)
    return table, ()
