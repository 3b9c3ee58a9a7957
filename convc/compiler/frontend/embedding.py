"""`preprocess: {embed: true}`: the network takes pixels and computes y = (x * scale - mean) / std itself.

Per channel c it is x * a[c] + b[c] with a = scale / std and b = -mean / std: two nodes, which passes may fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..ir import REGISTRY, DType, TensorType
from .context import Context
from .steps import Step
from .values import Tensor

if TYPE_CHECKING:
    from .elaborate import Elaborator
    from .spec import SpecFile

# Where the nodes' names begin.
PATH = "preprocess"


def is_image(type_: TensorType) -> bool:
    """Whether an input is one that preprocessing is about: floats with channels and space."""
    return type_.rank > 2 and type_.dtype is DType.float32


def is_written_out(spec: SpecFile) -> bool:
    """Whether the network's steps hold the arithmetic already: spec.resolved.yaml writes it out, with its `source`."""
    return any(step.source is not None and (step.id or "").startswith(f"{PATH}.") for step in spec.network)


def embed(run: Elaborator, preprocess: Mapping[str, Any], ctx: Context) -> None:
    """Put the arithmetic behind every image input; its name then reads as what comes out. Raises SpecError."""
    spec = ctx.file.spec
    assert spec.preprocess is not None
    step = Step(PATH, spec.preprocess.mark, None)
    images = [name for name, type_ in run.draft.inputs.items() if is_image(type_)]
    for name in images:
        at = ctx.at(PATH).at(name if len(images) > 1 else "")
        x = Tensor(name, run.draft.inputs[name])
        ctx.scope.names[name] = _normalised(run, x, preprocess, step, at)


def _normalised(run: Elaborator, x: Tensor, preprocess: Mapping[str, Any], step: Step, at: Context) -> Tensor:
    mean, std = _each(preprocess.get("mean", [0.0]), x), _each(preprocess.get("std", [1.0]), x)
    factor = [preprocess.get("scale", 1.0) / deviation for deviation in std]
    shift = [-centre / deviation for centre, deviation in zip(mean, std, strict=True)]
    for name, numbers, head in (("factor", factor, "mul"), ("shift", shift, "add")):
        column = tuple(_nested(number, x.type.rank - 2) for number in numbers)
        value = REGISTRY["constant"](value=column)  # type: ignore[call-arg]  # its one field
        held = run.add(value, (), step, at.at(name))
        x = run.add(REGISTRY[head](), (x, held), step, at.at(head))
    return x


def _each(numbers: Sequence[float], x: Tensor) -> list[float]:
    """One number per channel; a single one serves all."""
    return list(numbers) * (x.type.channels if len(numbers) == 1 else 1)


def _nested(number: float, depth: int) -> Any:
    return (_nested(number, depth - 1),) if depth else number
