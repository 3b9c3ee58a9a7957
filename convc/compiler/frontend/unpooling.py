"""`max_unpool: pool1` names the pool that it undoes; where the maxima stood is a node beside that pool, made once.

pool1 = max_pool(f)      pool1.indices = max_pool_indices(f)      max_unpool(x, pool1.indices, f)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir import Node
from ..ops.max_unpool import MaxPoolIndices, MaxUnpool
from ..ops.pool import MaxPool
from .context import Context
from .document import Scalar
from .references import read_values
from .steps import Step
from .values import Tensor, Value

if TYPE_CHECKING:
    from .elaborate import Elaborator

INDICES = "indices"


def with_places(run: Elaborator, op: MaxUnpool, step: Step, inputs: list[Value], ctx: Context) -> list[Value]:
    """The values that unpooling reads; raises SpecError where `pool` names no max_pool, or one that cannot be undone."""
    node = _pool(run, op.pool, step, ctx)
    read = node.inputs[0]
    before = Tensor(read, run.draft.nodes[read].type if read in run.draft.nodes else run.draft.inputs[read])
    return [*inputs, _places(run, node, before, step, ctx), before]


def _pool(run: Elaborator, name: str, step: Step, ctx: Context) -> Node:
    written = Scalar(name, step.mark, False, name)
    found = read_values(written, ctx.env, lambda number: run.constant(number, step, ctx))
    tensor = run.only(found[0], step, ctx)
    node = run.draft.nodes.get(tensor.name)
    if node is None or type(node.op) is not MaxPool:
        what = "an input" if node is None else f"`{node.op.name}`"
        hint = "give the max_pool an `id:` and name that; where a loop ends with the pool, `stage.2` is that of row 2"
        raise ctx.problem(f"`max_unpool` undoes a max_pool, and {name!r} is {what}", step.mark, hint)
    return node


def _places(run: Elaborator, pool: Node, before: Tensor, step: Step, ctx: Context) -> Tensor:
    name = f"{pool.name}.{INDICES}"
    known = run.draft.nodes.get(name)
    if known is not None and isinstance(known.op, MaxPoolIndices) and known.inputs == pool.inputs:
        return Tensor(name, known.type)
    places = MaxPoolIndices(**pool.op.arguments())
    return run.add(places, (before,), step, ctx._replace(path=name, params_path=name))
