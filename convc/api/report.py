"""What `build` prints, and the same as data: before and after, what was proven, what stayed and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .builder import Build


def build_report(build: Build, *, explain: bool = False, verbose: bool = False) -> str:
    """The report for a person; `explain` lists every site of every pass, `verbose` the times."""
    manifest = build.manifest
    parts = [
        f"{build.network.graph.name} -> {build.path}",
        _before_after(build),
        *_passes(build, explain),
        *_stayed(build),
    ]
    parts += [_proof(build), _amplified(build)]
    parts += [f"note: {note}" for note in build.numbers.notes]
    if not build.numbers.sha256:
        parts.append(f"note: {manifest['weights']['note']}")
    if verbose:
        parts.append("times: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in build.seconds.items()))
    return "\n".join(part for part in parts if part)


def build_data(build: Build) -> dict[str, Any]:
    """The manifest, with what does not belong into it: the folder and the times."""
    return {
        **build.manifest,
        "folder": str(build.folder),
        "seconds": dict(build.seconds),
        "notes": list(build.numbers.notes),
    }


def _before_after(build: Build) -> str:
    """Nodes, parameters, MACs and bytes as written and as deployed, then the operators whose number is another."""
    before, after = build.manifest["source"], build.manifest["deployed"]
    rows = [(name, before[name], after[name]) for name in ("nodes", "params", "macs", "bytes")]
    old, new = before["operators"], after["operators"]
    rows += [
        (f"  {op}", old.get(op, 0), new.get(op, 0)) for op in sorted({*old, *new}) if old.get(op, 0) != new.get(op, 0)
    ]
    counted = ", ".join(f"{k} = {v}" for k, v in build.manifest["counted_at"].items())
    widths = [max(len(str(r[0])) for r in rows), *(max(len(f"{r[i]:,}") for r in rows) for i in (1, 2))]
    lines = [f"  {r[0]:<{widths[0]}}  {r[1]:>{widths[1]},}  ->  {r[2]:>{widths[2]},}" for r in rows]
    return "\n".join([*lines, f"  (MACs and bytes at {counted})" if counted else ""]).rstrip()


def _passes(build: Build, explain: bool) -> Iterator[str]:
    for record in build.compiled.records:
        if record.rewrites:
            error = f", largest relative error {record.max_error:.1e}" if record.max_error is not None else ""
            yield f"  {record.name}: {record.rewrites} rewrites{error}"
        if explain:
            yield from (f"    applied  {site}" for site in record.sites)
            yield from (f"    refused  {site}: {why}" for site, why in record.misses)
        elif misses := [miss for miss in record.misses if miss[0] in build.compiled.model.graph.nodes]:
            yield _refused(record.name, misses)


def _refused(name: str, misses: list[tuple[str, str]]) -> str:
    """How many sites a pass left that no later one took, and why the first."""
    site, why = misses[0]
    others = f"; {len(misses) - 1} more, --explain lists them" if len(misses) > 1 else ""
    return f"  {name} left {site}: {why}{others}"


def _stayed(build: Build) -> Iterator[str]:
    """Batch norms that are left, each with the reason: nobody should have to guess why."""
    left = {node.name for node in build.compiled.model.graph if node.op.name == "batch_norm"}
    reasons = {site: why for record in build.compiled.records for site, why in record.misses if site in left}
    for name in sorted(left):
        yield f"  batch norm stays: {name}: {reasons.get(name, 'its pass did not run')}"


def _proof(build: Build) -> str:
    found = build.verification
    if found.report is None:
        return f"not verified: {found.skipped}"
    regions = sum(record.rewrites for record in build.compiled.records)
    worst = max(d.error / d.bound for case in found.report.cases for d in case.parity.differences)
    sizes = "; ".join(
        ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in case.inputs.items())
        for case in found.report.cases
    )
    where = found.report.provider.name
    rewrites = f"{regions} rewrites proven in float64; " if regions else ""
    return f"verified: {rewrites}ONNX Runtime ({where}) against PyTorch at {sizes}: {worst:.0%} of the bound at worst"


def _amplified(build: Build) -> str:
    """What rounding does to the network, where the proof of the whole says little for it."""
    noise = build.compiled.rounding
    if noise is None:
        return ""
    return (
        f"warning: rounding of the input in float64 moves the outputs by {noise:.0e} of their size: with these weights the"
        " network amplifies rounding, and the proof rests on each rewrite by itself"
    )
