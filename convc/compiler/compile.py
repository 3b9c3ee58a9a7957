"""The pipeline as one function: a model with numbers -> passes, each proven -> ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .ir import Model, Region
from .passes import PASSES, PIPELINES, PassManager, PassRecord
from .passes.rewrite import Rewrite

if TYPE_CHECKING:
    from .lower.onnx_model import OnnxModel


@dataclass(frozen=True)
class Compiled:
    """The model before and after the passes, and what each did.

    `aliases` maps every value of the rewritten graph to the value of the source it stands for, where there is one.
    """

    source: Model
    model: Model
    records: tuple[PassRecord, ...]
    aliases: Mapping[str, str]
    proven: bool


def compile_model(
    model: Model,
    *,
    level: int = 2,
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
    prove: bool = True,
    seed: int = 0,
) -> Compiled:
    """Run the passes of a level. With `prove`, every rewritten region is compared in float64, which needs torch.

    Raises PassError where a pass broke its promise, UsageError for unknown passes.
    """
    probe = None
    if prove:
        from .probe import TorchProbe

        probe = TorchProbe(seed)
    optimised = PassManager(pipeline(level, enable, disable), probe).run(model)
    return Compiled(model, optimised.model, optimised.records, aliases(optimised.model, optimised.regions), prove)


def pipeline(level: int, enable: Sequence[str] = (), disable: Sequence[str] = ()) -> tuple[Rewrite[Any], ...]:
    """The passes of a level, with some added in their place and some taken out. Raises UsageError."""
    for name in (*enable, *disable):
        if name not in PASSES:
            raise UsageError(f"there is no pass {name!r}", hint=f"passes: {', '.join(PASSES)}")
    names = {p.name for p in PIPELINES[level]} | set(enable)
    return tuple(p for name, p in PASSES.items() if name in names and name not in disable)


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


def emit(model: Model, via: str, opset: int, ir_version: int, metadata: Mapping[str, str]) -> OnnxModel:
    """The ONNX model, by our own emitter or through torch.onnx.export; checked by onnx.checker."""
    from ..version import __version__
    from .lower.to_onnx import check, to_onnx

    if via == "torch":
        from .lower.via_torch import export_through_torch

        made = export_through_torch(
            model, opset=opset, ir_version=ir_version, metadata=metadata, producer_version=__version__
        )
    else:
        made = to_onnx(model, opset=opset, ir_version=ir_version, metadata=metadata, producer_version=__version__)
    check(made)
    return made
