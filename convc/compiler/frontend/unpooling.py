"""`- max_unpool: pool1`: the step names the pool that it undoes, and finds the places of the maxima beside it.

A node has one value, so the places are a node of their own, `pool1.indices`, which reads what the pool read. All steps that
undo one pool share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir import REGISTRY, Node
from ..ops.max_unpool import MaxPoolIndices, MaxUnpool
from ..ops.pool import MaxPool
from .context import Context
from .document import Map, Scalar, Tree
from .references import read_name
from .steps import Step, is_null
from .values import Tensor, Value, single

if TYPE_CHECKING:
    from .elaborate import Elaborator


def unpool(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """Values put back where the pool named by the step found them; raises SpecError."""
    if len(inputs) == 3:
        from .calls import call_operator

        # As a resolved spec writes it, with the places and what the pool read.
        return call_operator(run, REGISTRY["max_unpool"], step, inputs, ctx)
    x = run.only(inputs[0], step, ctx) if len(inputs) == 1 else None
    if x is None:
        raise ctx.problem(f"`max_unpool` takes one value, {len(inputs)} were given", step.mark)
    name = _pool_name(step, ctx)
    pool = _pool(run, name, step, ctx)
    before = _tensor(run, pool.inputs[0])
    indices = _indices(run, pool, before, step, ctx)
    return run.add(MaxUnpool(pool=str(name.value)), (x, indices, before), step, ctx)


def _indices(run: Elaborator, pool: Node, before: Tensor, step: Step, ctx: Context) -> Tensor:
    """The places of the pool's maxima, from a node beside it, which is made once."""
    name = f"{pool.name}.indices"
    known = run.draft.nodes.get(name)
    if known is not None and isinstance(known.op, MaxPoolIndices) and known.inputs == (before.name,):
        return Tensor(name, known.type)
    arguments = {field: getattr(pool.op, field) for field in pool.op.fields()}
    return run.add(MaxPoolIndices(**arguments), (before,), step, ctx._replace(path=name, params_path=name))


def _pool_name(step: Step, ctx: Context) -> Scalar:
    body: Tree | None = step.body
    if isinstance(body, Map):
        for key, _ in body.entries:
            if key.text != "pool":
                raise ctx.problem(f"'max_unpool' has no field {key.text!r}", key.mark, "fields: pool")
        body = body.get("pool")
    if body is None or is_null(body):
        raise ctx.problem("`max_unpool` names no pool", step.mark, "give the pool an `id`, e.g. `- max_unpool: pool1`")
    if not isinstance(body, Scalar) or not isinstance(body.value, str):
        raise ctx.problem("`pool` of `max_unpool` is no name", body.mark, "the `id` of an earlier max_pool")
    return body


def _pool(run: Elaborator, name: Scalar, step: Step, ctx: Context) -> Node:
    value = single(read_name(str(name.value), ctx.env, name))
    node = run.draft.nodes.get(value.name) if value is not None else None
    if node is None or type(node.op) is not MaxPool:
        what = "a list of values" if value is None else "an input" if node is None else f"`{node.op.name}`"
        raise ctx.problem(f"{str(name.value)!r} is {what}, and `max_unpool` undoes a max_pool", name.mark)
    return node


def _tensor(run: Elaborator, name: str) -> Tensor:
    node = run.draft.nodes.get(name)
    return Tensor(name, run.draft.inputs[name] if node is None else node.type)
