"""The pipeline as one function: a model with numbers -> passes, each proven -> ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .errors import PassError, ProviderError, UsageError
from .ir import Model, Region
from .passes import ALLOWED, PASSES, PIPELINES, TARGETS, Optimised, PassManager, PassRecord, Probe
from .passes import prove as prove_records
from .passes.manager import errors
from .passes.rewrite import Rewrite
from .passes.worth import WORTHS
from .tuning import Decision

if TYPE_CHECKING:
    from .lower.onnx_model import OnnxModel

# The level from which on passes for one target run.
FOR_TARGET = 2

WITHOUT_PROOF = "build with --no-verify: the model is the same, but nothing is proven"


@dataclass(frozen=True)
class Compiled:
    """The model before and after the passes, and what each did.

    `aliases` maps every value of the rewritten graph to the value of the source it stands for, where there is one.
    `whole_error` is that of the network before and after; `rounding` what rounding alone does to it, where that is more than
    the proof allows (see probe/conditioning.py).
    """

    source: Model
    optimised: Optimised
    passes: tuple[Rewrite[Any], ...]
    aliases: Mapping[str, str]
    whole_error: float | None = None
    rounding: float | None = None

    @property
    def model(self) -> Model:
        """The rewritten model."""
        return self.optimised.model

    @property
    def records(self) -> tuple[PassRecord, ...]:
        return self.optimised.records


def compile_model(
    model: Model,
    *,
    level: int = 2,
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
    target: str = "generic",
    cost_model: bool = True,
    decisions: Mapping[str, Decision] | None = None,
) -> Compiled:
    """Run the passes of a level for a target, structure checked, numbers not yet proven: `prove` does that.

    cost_model  False: passes do whatever is exact, whether it pays or not
    decisions   from a tuning record: what holds for a pass instead

    Raises PassError where a pass left an invalid graph, UsageError for unknown passes.
    """
    passes = pipeline(level, enable, disable, target, cost_model, decisions)
    optimised = PassManager(passes).run(model)
    return Compiled(model, optimised, passes, aliases(optimised.model, optimised.regions))


def prove(compiled: Compiled, seed: int = 0) -> Compiled:
    """Ring two of the proof: every rewritten place in float64, then the whole network before and after, both to 1e-9.

    The rewritten model is not touched, so it can be written while this runs. Raises PassError, naming pass and node, and
    ProviderError where torch is missing.
    """
    need_torch("the proof runs", WITHOUT_PROOF)
    from .probe import TorchProbe, randomised, rounding, whole

    regions = compiled.optimised.regions
    other = randomised(compiled.source, seed) if regions else None
    records = _by_places(compiled, TorchProbe(seed), other)
    if records is None:
        records = _one_by_one(compiled, TorchProbe(seed, thorough=True), other)
    error = whole(compiled.source, compiled.model, seed) if regions else 0.0
    noise = None if error <= ALLOWED else rounding(compiled.source, seed)
    if not error <= max(ALLOWED, noise or 0.0):
        ran = ", ".join(record.name for record in records)
        raise PassError(
            f"the passes together changed the network: relative error {error:.1e}, allowed {ALLOWED:.0e} ({ran})"
        )
    return replace(compiled, optimised=replace(compiled.optimised, records=records), whole_error=error, rounding=noise)


def _by_places(compiled: Compiled, probe: Probe, other: Model | None) -> tuple[PassRecord, ...] | None:
    """The records with the largest error of each pass, rewrites that meet compared as one; None where they differ.

    Statistics that say nothing (mean 0, variance 1) make every folding look right: then `other` has random ones, and what the
    passes did is proven with those. What hangs on the model's own numbers, a shift of 0 left out say, is proven with them too.
    """
    from .probe import joined, with_numbers

    places = joined(compiled.source, compiled.model, compiled.optimised.regions, compiled.aliases)
    told = own = [place.whole for place in places]
    if other is not None:
        told = with_numbers(own, {id(old): other.params[name] for name, old in compiled.source.params.items()})
    try:
        found = list(errors(probe, told))
        wrong = [i for i, error in enumerate(found) if not error <= ALLOWED]
        if wrong and other is not None:
            found = _reconsidered(compiled, probe, other, own, found, wrong)
    except PassError:
        return None
    if any(not error <= ALLOWED for error in found):
        return None
    worst: dict[str, float] = {}
    for place, error in zip(places, found, strict=True):
        worst.update({region.rewrite: max(worst.get(region.rewrite, 0.0), error) for region in place.rewrites})
    return tuple(replace(record, max_error=worst.get(record.name, 0.0)) for record in compiled.records)


def _reconsidered(
    compiled: Compiled, probe: Probe, other: Model, own: Sequence[Region], found: Sequence[float], wrong: Sequence[int]
) -> list[float]:
    """The errors of places, the wrong ones with their own numbers, and as the passes rewrite `other`.

    Some rewrites hang on the numbers: a shift that is 0 is left out, and with another in its place the outcome lacks it.
    """
    again = PassManager(compiled.passes).run(other)
    checks = [[own[i] for i in wrong]]
    if _sites(again.records) == _sites(compiled.records):
        from .probe import joined

        there = joined(other, again.model, again.regions, aliases(again.model, again.regions))
        if [place.whole.site for place in there] == [whole.site for whole in own]:
            checks.append([there[i].whole for i in wrong])
    result = list(found)
    for i, *each in zip(wrong, *(errors(probe, regions) for regions in checks), strict=True):
        result[i] = max(each)
    return result


def _sites(records: Iterable[PassRecord]) -> list[tuple[str, ...]]:
    return [record.sites for record in records]


def _one_by_one(compiled: Compiled, probe: Probe, other: Model | None) -> tuple[PassRecord, ...]:
    """Every rewrite by itself; raises PassError, naming pass and node, at the first that changed the numbers."""
    if other is None:
        return prove_records(compiled.optimised, probe)
    tried = PassManager(compiled.passes, probe).run(other).records
    done = compiled.records
    if _sites(tried) != _sites(done):
        # Some rewrites hang on the numbers themselves, a shift of 0 say.
        return prove_records(compiled.optimised, probe)
    return tuple(replace(old, max_error=new.max_error) for old, new in zip(done, tried, strict=True))


def need_torch(what: str, otherwise: str = "") -> None:
    """Raises ProviderError where torch is not installed: `what` runs in torch, and what can be done `otherwise`."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        hint = "pip install torch" + (f", or {otherwise}" if otherwise else "")
        raise ProviderError(f"{what} in torch, which is not installed", hint=hint)


def pipeline(
    level: int,
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
    target: str = "generic",
    cost_model: bool = True,
    decisions: Mapping[str, Decision] | None = None,
) -> tuple[Rewrite[Any], ...]:
    """The passes of a level and a target, with some added in their place and some taken out, judging what pays by the
    target's cost model, or not at all. Raises UsageError."""
    if target not in TARGETS:
        raise UsageError(f"there is no target {target!r}", hint=f"targets: {', '.join(TARGETS)}")
    for name in (*enable, *disable):
        if name not in PASSES:
            raise UsageError(f"there is no pass {name!r}", hint=f"passes: {', '.join(PASSES)}")
    extra = TARGETS[target] if level >= FOR_TARGET else ()
    names = {p.name for p in (*PIPELINES[level], *extra)} | set(enable)
    decided = decisions or {}
    never = {*disable, *(name for name, decision in decided.items() if decision == "never")}
    return tuple(
        p.judged_by(replace(WORTHS[target], enabled=cost_model and decided.get(name) != "always"))
        for name, p in PASSES.items()
        if name in names - never
    )


def aliases(model: Model, regions: Iterable[Region]) -> dict[str, str]:
    """For each value of the rewritten model, the value of the source model that it equals."""
    stands: dict[str, str] = {}
    for region in regions:
        old = {after: stands.get(before, before) for before, after in region.outputs}
        for node in (*region.before, *region.after):
            stands[node.name] = ""
        stands.update(old)
    named = {node.name: stands.get(node.name, node.name) for node in model.graph}
    return {name: source for name, source in named.items() if source}


def emit(
    model: Model,
    via: str,
    opset: int,
    ir_version: int,
    metadata: Mapping[str, str],
    lacking: frozenset[str] = frozenset(),
) -> OnnxModel:
    """The ONNX model, by our own emitter or through torch.onnx.export; checked by onnx.checker.

    Raises ProviderError where the road goes through torch and it is not there.
    """
    from ..version import __version__
    from .lower.to_onnx import check, to_onnx

    if via == "torch":
        need_torch("--via torch exports", "build with --via direct")
        from .lower.via_torch import export_through_torch

        made = export_through_torch(
            model, opset=opset, ir_version=ir_version, metadata=metadata, producer_version=__version__
        )
    else:
        made = to_onnx(
            model,
            opset=opset,
            ir_version=ir_version,
            metadata=metadata,
            producer_version=__version__,
            lacking=lacking,
        )
    check(made)
    return made
