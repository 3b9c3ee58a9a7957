"""The names of parameters: PATH.ROLE, the path being the step's. Two of one name are refused, shared ones must fit."""

from __future__ import annotations

from ..errors import Problem
from ..ir import Op, ParamType
from .context import MAX_ELEMENTS, Context, Draft, LimitError
from .steps import Step


def name_parameter(draft: Draft, role: str, type_: ParamType, op: Op, step: Step, ctx: Context, node: str) -> str:
    """The name of a node's parameter, which is new, or the same step's from an earlier run. Raises SpecError."""
    base = ctx.params_path or op.name
    # The tensor of a `parameter` step bears the step's own name.
    name = base if role == "value" else f"{base}.{role}"
    known = draft.params.get(name)
    if known is None:
        _new(draft, name, type_, step, ctx, node)
    elif ctx.params_path == ctx.path and draft.owners[name] != node:
        hint = f"give this step, or the combinator around it, an `id:`; {_holder(draft, name)}"
        raise ctx.problem(f"two steps have a parameter called {name!r}", step.mark, hint)
    elif known.shape != type_.shape:
        message = f"{name!r} is shared, but needs shape {list(type_.shape)} here and {list(known.shape)} there"
        raise ctx.problem(message, step.mark, "shared weights need values of the same channels")
    return name


def _new(draft: Draft, name: str, type_: ParamType, step: Step, ctx: Context, node: str) -> None:
    draft.params[name] = type_
    draft.owners[name] = node
    draft.elements += type_.numel
    if draft.elements > MAX_ELEMENTS:
        message = f"the parameters pass {MAX_ELEMENTS:,} values with {name!r} {list(type_.shape)}"
        hint = "that is the limit of one model: are the channels what was meant?"
        raise LimitError(Problem(message, step.mark, hint, ctx.frames))


def _holder(draft: Draft, name: str) -> str:
    """Where the parameter's first step stands."""
    node = draft.nodes.get(draft.owners[name])
    if node is None or not node.origins or node.origins[0].mark is None:
        return "the first stands above it"
    return f"the first is the `{node.op.name}` at {node.origins[0].mark}"
