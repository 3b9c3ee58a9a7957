"""Several values become one, and the names of inner lists those of the list around: what every combinator ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import SpecError
from ..ir import REGISTRY, TensorType
from .arguments import text, whole
from .calls import two_steps
from .context import Context
from .document import Scalar, Tree
from .labels import helper_label
from .scope import Scope
from .steps import Step, fail
from .values import Bundle, Value, flatten, single

if TYPE_CHECKING:
    from .elaborate import Elaborator

MERGES = ("add", "concat", "mul", "sub", "div", "max", "min", "stack", "matmul")
NO_MERGE = "none"


def hand_over(ctx: Context, inner: Scope) -> None:
    """The names of a combinator without an id become those of the list around it; raises SpecError where one is there."""
    for name, first, second in ctx.scope.adopt(inner):
        raise two_steps(name, first.step, second.step, ctx)


def close_round(loop: Scope, row: Scope, index: int, name: str | None) -> None:
    """A round's names: the loop's own until the next round, and below its index where the loop has an id."""
    loop.follow(row)
    if name is not None:
        loop.below[str(index)] = row


def merged(run: Elaborator, step: Step, values: Mapping[str, Value], ctx: Context) -> Value:
    """The branches or rows of a step by its `merge:`; without one, their list."""
    how = step.options.get("merge")
    name = NO_MERGE if how is None else text(how, ctx.env, "merge")
    if name == NO_MERGE:
        if (axis := step.options.get("axis")) is not None and step.head != "split":
            raise ctx.problem("`axis` goes with `merge:`, and nothing is merged here", axis.mark)
        return Bundle(MappingProxyType(dict(values)), counted=step.head in ("for", "share"))
    if not values:
        raise ctx.problem(f"no branch of `{step.head}` exists here, so there is nothing to merge", step.mark)
    axis = step.options.get("axis")
    return merge(run, name, values, axis, step, ctx.at(helper_label(step, "merge", ctx.labels)))


def merge(
    run: Elaborator, name: str, values: Mapping[str, Value], axis: Tree | None, step: Step, ctx: Context, hint: str = ""
) -> Value:
    """One value of several: any operator of several values. A single value is itself."""
    if name not in MERGES:
        mark = step.options["merge"].mark if "merge" in step.options else step.mark
        raise ctx.problem(f"`merge` is {name!r}", mark, f"one of: {', '.join(MERGES)}, {NO_MERGE}")
    found = [(label, tensor) for label, value in values.items() for tensor in flatten(value)]
    cls = REGISTRY[name]
    if axis is not None and "axis" not in cls.fields():
        if step.head != "split":
            raise ctx.problem(f"`{name}` has no axis", axis.mark)
        axis = None
    if len(found) == 1 and name != "stack":
        return found[0][1]
    args: dict[str, Any] = {} if axis is None else {"axis": whole(scalar(axis, "axis"), ctx.env, "axis", -8)}
    try:
        return run.add(cls(**args), tuple(t for _, t in found), step, ctx, [label for label, _ in found])
    except SpecError as error:
        raise type(error)(replace(p, hint=p.hint or hint) for p in error.problems) from error


def scalar(tree: Tree, what: str) -> Scalar:
    """The expression of a key beside a combinator; raises SpecError."""
    if isinstance(tree, Scalar):
        return tree
    fail(f"`{what}` is a list or a mapping, expected an expression", tree.mark)


def fitting(main: Value, shortcut: Value) -> str:
    """What to write where the two ways of a residual do not fit: a projection with the numbers of this place."""
    hint = "give the residual a `shortcut: [{{conv_bn: {{{}}}}}]`, or let `shortcut_when:` drop it"
    wanted, given = single(main), single(shortcut)
    return hint.format("..." if wanted is None or given is None else _projection(wanted.type, given.type))


def _projection(wanted: TensorType, given: TensorType) -> str:
    parts = [f"out: {wanted.shape[1]}" if wanted.rank > 1 else "...", "kernel: 1"]
    if wanted.rank == given.rank and wanted.rank > 2 and wanted.spatial != given.spatial:
        small, large = wanted.spatial[-1], given.spatial[-1]
        fixed = isinstance(small, int) and isinstance(large, int) and 0 < small < large
        parts.append(f"stride: {-(-large // small)}" if fixed else "stride: ...")
    return ", ".join(parts)
