"""Runs passes one after the other and checks what each promised.

    structure   names, order, types and parameters agree (Model.check); inputs and outputs are those of before
    reach       whatever differs from before lies in a region
    numbers     each region computes what it computed, within 1e-9 of its largest value, in float64

A pass's author writes none of that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from time import perf_counter
from typing import Any, Protocol

from ..errors import PassError
from ..ir import Graph, Model, Node, Region
from .rewrite import Rewrite

ALLOWED = 1e-9
# Proofs that run side by side; each holds its region's parameters in float64. One core is left to whoever writes the file.
WORKERS = max(1, min(4, (os.cpu_count() or 1) - 1))


class Probe(Protocol):
    """Runs both sides of a region on the same numbers. It is called from several threads at once."""

    def max_error(self, region: Region) -> float:
        """max|after - before| / max|before| over the region's outputs; infinite where shapes differ or a NaN comes out."""
        ...


@dataclass(frozen=True)
class PassRecord:
    """What a pass did: plain values. `max_error` is None where nothing was proven, `params` counts learnable values."""

    name: str
    rewrites: int
    sites: tuple[str, ...]
    misses: tuple[tuple[str, str], ...]
    nodes_before: int
    nodes_after: int
    params_before: int
    params_after: int
    max_error: float | None
    seconds: float

    def data(self) -> dict[str, Any]:
        """For the manifest, which must not depend on the clock: everything but `seconds`, as JSON has it."""
        values = asdict(self) | {"sites": list(self.sites)}
        del values["seconds"]
        return values | {"misses": [{"site": site, "reason": reason} for site, reason in self.misses]}


@dataclass(frozen=True)
class Optimised:
    """The model behind the passes, what each did, and every rewrite in order."""

    model: Model
    records: tuple[PassRecord, ...]
    regions: tuple[Region, ...]


class PassManager:
    """Runs `passes` in order. Without a probe the numbers are not proven; `on_region` is told of each region that was."""

    def __init__(
        self,
        passes: Sequence[Rewrite[Any]],
        probe: Probe | None = None,
        on_region: Callable[[Region, float], None] | None = None,
    ) -> None:
        self._passes = tuple(passes)
        self._probe = probe
        self._on_region = on_region

    def run(self, model: Model) -> Optimised:
        """Raises PassError where a pass broke its promise; the message names it, the node, and what ran before."""
        model.check()
        records: list[PassRecord] = []
        regions: list[Region] = []
        for one in self._passes:
            try:
                model, record, done = self._run(one, model)
            except PassError as error:
                ran = ", ".join(record.name for record in records) or "no other pass"
                raise PassError(f"{error.message} (after: {ran})", hint=error.hint) from error
            records.append(record)
            regions += done
        return Optimised(model, tuple(records), tuple(regions))

    def _run(self, one: Rewrite[Any], before: Model) -> tuple[Model, PassRecord, tuple[Region, ...]]:
        start = perf_counter()
        result = one.run(before)
        after = result.model
        if after is not before:
            _check(one.name, before, after, result.regions)
        probe = self._probe
        error = None if probe is None else prove_regions(one.name, result.regions, probe, self._on_region)
        record = PassRecord(
            one.name,
            result.rewrites,
            tuple(region.site for region in result.regions),
            result.misses,
            len(before.graph),
            len(after.graph),
            before.param_count(),
            after.param_count(),
            error,
            perf_counter() - start,
        )
        return after, record, result.regions


def prove(
    optimised: Optimised, probe: Probe, on_region: Callable[[Region, float], None] | None = None
) -> tuple[PassRecord, ...]:
    """The records of passes that ran without a probe, with the largest error of each. Raises PassError as the manager does."""
    left = iter(optimised.regions)
    records: list[PassRecord] = []
    for record in optimised.records:
        regions = list(islice(left, len(record.sites)))
        try:
            error = prove_regions(record.name, regions, probe, on_region)
        except PassError as failed:
            ran = ", ".join(before.name for before in records) or "no other pass"
            raise PassError(f"{failed.message} (after: {ran})", hint=failed.hint) from failed
        records.append(replace(record, max_error=error))
    return tuple(records)


def prove_regions(
    name: str, regions: Sequence[Region], probe: Probe, on_region: Callable[[Region, float], None] | None = None
) -> float:
    """The largest error of a pass's regions; raises PassError at the first that passes 1e-9."""
    worst = 0.0
    for region, error in zip(regions, errors(probe, regions), strict=True):
        # Written so that a NaN fails too.
        if not error <= ALLOWED:
            raise PassError(
                f"{name} changed the numbers at {region.site!r}: relative error {error:.1e}, allowed {ALLOWED:.0e}"
            )
        worst = max(worst, error)
        if on_region is not None:
            on_region(region, error)
    return worst


def errors(probe: Probe, regions: Sequence[Region]) -> Iterator[float]:
    """The error of each region in order. Regions know nothing of each other, so some are proven side by side."""
    if len(regions) < 2:
        yield from (_error(probe, region) for region in regions)
        return
    pool = ThreadPoolExecutor(WORKERS)
    try:
        yield from pool.map(lambda region: _error(probe, region), regions)
    finally:
        # A region that failed ends the run: nobody waits for the rest.
        pool.shutdown(wait=True, cancel_futures=True)


def _error(probe: Probe, region: Region) -> float:
    try:
        return probe.max_error(region)
    except (IndexError, ValueError, RuntimeError) as error:
        # Parameters are computed here for the first time: a wrong expression fails in numpy, or in PyTorch.
        raise PassError(f"{region.rewrite} cannot be proven at {region.site!r}: {error}") from error


def _check(name: str, before: Model, after: Model, regions: Sequence[Region]) -> None:
    for region in regions:
        _check_types(name, region)
    try:
        after.check()
    except PassError as error:
        raise PassError(f"{name} left an invalid graph: {error.message}") from error
    _check_face(name, before.graph, after.graph)
    _check_reach(name, before, after, regions)


def _check_types(name: str, region: Region) -> None:
    """What leaves a region keeps its type. Asked first, for the check of the graph would name a reader further down."""
    old = {node.name: node.type for node in region.before}
    new = {**region.inputs, **{node.name: node.type for node in region.after}}
    for was, now in region.outputs:
        if old[was] != new[now]:
            raise PassError(f"{name} changed the type of {was!r} at {region.site!r}: from {old[was]} to {new[now]}")


def _check_face(name: str, before: Graph, after: Graph) -> None:
    if list(before.inputs.items()) != list(after.inputs.items()):
        raise PassError(f"{name} changed the inputs of the network")
    for what, old, new in (
        ("output", before.outputs, after.outputs),
        ("train output", before.train_outputs, after.train_outputs),
    ):
        # A train output may go (the whole set, with the heads behind it), but none may change.
        if list(old) != list(new) and (new or what == "output"):
            raise PassError(f"{name} changed the {what}s from {', '.join(old)} to {', '.join(new) or 'none'}")
        for public in new:
            was, now = before.type_of(old[public]), after.type_of(new[public])
            if was != now:
                raise PassError(f"{name} changed the {what} {public!r} from {was} to {now}")


def _check_reach(name: str, before: Model, after: Model, regions: Sequence[Region]) -> None:
    """Outside the regions everything is as it was, save that a reader of a replaced value reads what stands for it."""
    inside = {node.name for region in regions for node in (*region.before, *region.after)}
    latest = stands(regions)
    for node in before.graph:
        if node.name in inside:
            continue
        now = after.graph.producer(node.name)
        if now is None or not _same(node, now, before, after, latest):
            raise PassError(f"{name} changed {node.name!r} without recording it")
    for node in after.graph:
        if node.name not in inside and node.name not in before.graph.nodes:
            raise PassError(f"{name} added {node.name!r} without recording it")
    for public, value in after.graph.outputs.items():
        was = before.graph.outputs[public]
        if value != latest.get(was, was):
            raise PassError(f"{name} changed what output {public!r} reads without recording it")


def _same(old: Node, new: Node, before: Model, after: Model, latest: Mapping[str, str]) -> bool:
    if (old.op, old.type, old.params) != (new.op, new.type, new.params):
        return False
    if any(before.params[held] is not after.params[held] for held in old.params.values()):
        return False
    return tuple(latest.get(value, value) for value in old.inputs) == new.inputs


def stands(regions: Sequence[Region]) -> dict[str, str]:
    """What each replaced value became in the end. Backwards, as what stood for a value may be replaced later."""
    latest: dict[str, str] = {}
    for region in reversed(regions):
        latest.update({old: latest.get(new, new) for old, new in region.outputs if old != new})
    return latest
