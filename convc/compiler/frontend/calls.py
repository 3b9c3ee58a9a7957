"""A step that is an operator: its arguments from the call and from `defaults`, its values, and what it may not do.

`act` and `split` are written as operators and are wiring: the activation that a text names, the slices that cover an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import Problem, ShapeError, SpecError
from ..ir import REGISTRY, Op, SymDim, TensorType
from ..ops.max_unpool import MaxUnpool
from ..ops.shape import split_sizes
from .arguments import data, integral, text, whole
from .context import MAX_ELEMENTS, MAX_NODES, MAX_VALUE, Context, Draft, LimitError
from .conversions import operator_argument
from .document import Map, Scalar, Seq, Tree
from .homes import plain
from .references import read_values
from .steps import VALUE_HEADS, Step, describe, is_null, near
from .unpooling import with_places
from .values import Bundle, Env, Tensor, Value, flatten, gathered

if TYPE_CHECKING:
    from .elaborate import Elaborator

LIKE = "like"
NO_ACTIVATION = "none"
Level = Mapping[str, tuple[Tree, Env]]


def head_of(step: Step, ctx: Context) -> str:
    """The operator or block that a step names, by a text parameter where it says `$block`."""
    if not step.head.startswith("$"):
        return step.head
    name = ctx.env.params.get(step.head[1:])
    if isinstance(name, str):
        return name
    hint = near(step.head[1:], [k for k, v in ctx.env.params.items() if isinstance(v, str)])
    declare = f"declare it as text: `params: {{{step.head[1:]}: text}}`"
    raise ctx.problem(f"{step.head!r} reads no text parameter", step.mark, hint or declare)


def call_operator(run: Elaborator, cls: type[Op], step: Step, inputs: list[Value], ctx: Context) -> Value:
    """A node for a step; raises SpecError. Arguments are looked at first: they may be wrong where the values are spoilt."""
    # The call first, then `defaults`, nearest first. Null counts as not given, so the next one is asked.
    args: dict[str, Any] = {}
    for level in (_given(cls, step, ctx), *default_levels(cls.name, ctx)):
        for name, (tree, env) in level.items():
            if name not in args and (value := operator_argument(cls.fields()[name], tree, env)) is not None:
                args[name] = plain(value)
    for name, field in cls.fields().items():
        if field.required and name not in args:
            raise ctx.problem(f"`{cls.name}` needs `{name}`: {field.doc}", step.mark)
    try:
        op = cls(**args)
    except ShapeError as error:
        raise ctx.problem(f"`{cls.name}`: {error.message}", step.mark, error.hint) from error
    if (
        isinstance(step.body, Map)
        and takes_like(cls)
        and (like := step.body.get(LIKE)) is not None
        and not is_null(like)
    ):
        inputs = [*inputs, *read_values(like, ctx.env, lambda number: run.constant(number, step, ctx))]
    if isinstance(op, MaxUnpool) and len(inputs) == 1:
        inputs = with_places(run, op, step, inputs, ctx)
    return run.add(op, _tensors(run, cls, step, inputs, ctx), step, ctx)


def default_levels(name: str, ctx: Context) -> list[dict[str, tuple[Tree, Env]]]:
    """What `defaults:` say of a call, nearest file first; they may read the file's parameters, and the call's `x`."""
    return [
        {key.text: (value, Env(level.params, ctx.env.x)) for key, value in level.calls[name].entries}
        for level in ctx.defaults
        if name in level.calls
    ]


def activate(run: Elaborator, tree: Tree | None, inputs: list[Value], step: Step, ctx: Context) -> Value:
    """`act: relu`, `act: $act`, `act: {leaky_relu: 0.1}`, `act: {kind: $act}`; `none` is the value itself."""
    if tree is None or is_null(tree):
        raise ctx.problem("`act` names no activation", step.mark, "e.g. `- act: relu`")
    argument: Tree | None = None
    if isinstance(tree, Map):
        if len(tree.entries) != 1:
            raise ctx.problem("`act` names one activation", tree.mark, "e.g. `act: {leaky_relu: 0.1}`")
        key, value = tree.entries[0]
        name = text(value, ctx.env, "kind") if key.text == "kind" else key.text
        argument = None if key.text == "kind" else value
    else:
        name = text(tree, ctx.env, "act")
    if name == NO_ACTIVATION:
        return gathered(inputs)
    cls = REGISTRY.get(name)
    if cls is None or cls.group != "activation":
        kinds = sorted(op for op, found in REGISTRY.items() if found.group == "activation")
        hint = near(name, kinds) or f"one of: {', '.join(kinds)}, {NO_ACTIVATION}"
        raise ctx.problem(f"there is no activation {name!r}", tree.mark, hint)
    return call_operator(run, cls, replace(step, head=name, body=argument, options={}), inputs, ctx)


def split_value(
    run: Elaborator,
    x: Tensor,
    parts: int | None,
    sizes: Tree | None,
    axis: Tree | None,
    step: Step,
    ctx: Context,
    labels: Sequence[str] = (),
) -> Bundle:
    """Slices that cover an axis (the channels by default), labelled by place or as given."""
    place = 1 if axis is None else whole(_expression(axis, "axis", ctx), ctx.env, "axis", -8)
    at = place + x.type.rank if place < 0 else place
    if not 0 <= at < x.type.rank:
        raise ctx.problem(f"axis {place} does not exist in {x.type}", step.mark)
    total = x.type.shape[at]
    if isinstance(total, SymDim):
        hint = "only axes of a fixed size are split"
        raise ctx.problem(f"axis {at} of {x.type} is dynamic and cannot be split", step.mark, hint)
    try:
        cuts = split_sizes(total, _sizes(sizes, ctx) if sizes is not None else parts or 0)
    except ShapeError as error:
        raise ctx.problem(error.message, step.mark, error.hint) from error
    if labels and len(cuts) != len(labels):
        raise ctx.problem(f"{len(labels)} branches take {len(cuts)} parts", step.mark)
    values: dict[str, Value] = {}
    start = 0
    for k, cut in enumerate(cuts):
        label = labels[k] if labels else str(k)
        op = REGISTRY["slice"](axis=at, start=start, end=start + cut)  # type: ignore[call-arg]  # its fields
        values[label] = run.add(op, (x,), step, ctx.at(label))
        start += cut
    return Bundle(MappingProxyType(values), counted=not labels)


def takes_like(cls: type[Op]) -> bool:
    """Whether an operator may read its size off a second value: `- resize: {like: skip}`."""
    return cls.arity == (1, 2) and "size" in cls.fields()


def with_names(message: str, names: Sequence[str], types: Sequence[TensorType]) -> str:
    """Put the names of the values in front of their types, in order."""
    at = 0
    if len(types) < 2:
        return message
    for name, type_ in zip(names, types, strict=True):
        shape = str(type_)
        found = message.find(shape, at)
        if found >= 0:
            named = f"{name!r} {shape}"
            message = message[:found] + named + message[found + len(shape) :]
            at = found + len(named)
    return message


def two_steps(name: str, first: Step, second: Step, ctx: Context) -> SpecError:
    """Two steps of one list ran under one id."""
    hint = f"the first is at {first.id_mark}; two steps may share an id only if at most one of them runs"
    return ctx.problem(f"two steps are both called {name!r}", second.id_mark or second.mark, hint)


def check_limits(draft: Draft, op: Op, type_: TensorType, step: Step, ctx: Context) -> None:
    """Refuse a node too many, and values that are empty or beyond every memory."""
    if len(draft.nodes) >= MAX_NODES:
        raise LimitError(Problem(f"the network has more than {MAX_NODES:,} nodes", step.mark, frames=ctx.frames))
    size = 1
    for dim in type_.shape:
        if isinstance(dim, int):
            if dim < 1:
                raise ctx.problem(f"`{op.name}` yields the empty value {type_}", step.mark)
            size *= dim
    if size > MAX_VALUE:
        raise ctx.problem(f"`{op.name}` yields {type_}: more than {MAX_VALUE:,} values", step.mark)


def check_deployed(draft: Draft, tensors: Sequence[Tensor], step: Step, ctx: Context) -> None:
    """Refuse to read, in the deployed network, what only the train form computes."""
    if ctx.train_only:
        return
    for tensor in tensors:
        node = draft.nodes.get(tensor.name)
        if node is not None and node.train_only:
            hint = "mark this step `train_only: true` too, or take the mark off the other"
            raise ctx.problem(f"`{step.head}` reads {tensor.name!r}, which is train_only", step.mark, hint)


def _split(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    body = step.body
    fields: dict[str, Tree] = {key.text: value for key, value in body.entries} if isinstance(body, Map) else {}
    if isinstance(body, (Scalar, Seq)) and not is_null(body):
        fields["sizes" if isinstance(body, Seq) else "parts"] = body
    for name, value in step.options.items():
        if name in fields:
            raise ctx.problem(f"`split` is given {name!r} twice", value.mark)
        fields[name] = value
    fields = {name: value for name, value in fields.items() if not is_null(value)}
    if ("parts" in fields) == ("sizes" in fields):
        hint = "e.g. `- split: 4` or `- split: {sizes: [16, 48]}`"
        raise ctx.problem("`split` needs either a number of equal parts or their `sizes`", step.mark, hint)
    parts = fields.get("parts")
    count = None if parts is None else whole(_expression(parts, "split", ctx), ctx.env, "split", 1)
    x = run.only(gathered(inputs), step, ctx)
    return split_value(run, x, count, fields.get("sizes"), fields.get("axis"), step, ctx)


def _act(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    return activate(run, step.body, inputs, step, ctx)


def _given(cls: type[Op], step: Step, ctx: Context) -> dict[str, tuple[Tree, Env]]:
    """Arguments as written, each with what its expressions may read."""
    body, fields = step.body, cls.fields()
    given: dict[str, tuple[Tree, Env]] = {}
    if isinstance(body, Map):
        for key, value in body.entries:
            if key.text == LIKE and takes_like(cls):
                continue
            if key.text not in fields:
                raise ctx.problem(f"{cls.name!r} has no field {key.text!r}", key.mark, field_hint(key.text, fields))
            given[key.text] = (value, ctx.env)
    elif body is not None and not is_null(body) and step.head not in VALUE_HEADS:
        if cls.principal is None:
            hint = f"it has: {', '.join(fields)}" if fields else "it has no arguments"
            raise ctx.problem(f"`{cls.name}` takes no argument without a name", body.mark, hint)
        given[cls.principal] = (body, ctx.env)
    for name, value in step.options.items():
        if name not in fields:
            raise ctx.problem(f"{cls.name!r} has no field {name!r}", value.mark, field_hint(name, fields))
        if name in given:
            raise ctx.problem(f"`{cls.name}` is given {name!r} twice", value.mark)
        given[name] = (value, ctx.env)
    return given


def field_hint(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """The nearest of an operator's or block's arguments, and all of them."""
    listed = f"fields: {', '.join(known)}" if known else "it has no fields"
    return f"{near(name, known)}  {listed}".strip()


def _tensors(run: Elaborator, cls: type[Op], step: Step, inputs: list[Value], ctx: Context) -> tuple[Tensor, ...]:
    least, most = cls.arity
    if most == 0:
        return ()
    if most == 1:
        if len(inputs) != 1:
            raise ctx.problem(f"`{cls.name}` takes one value, {len(inputs)} were given", step.mark)
        return (run.only(inputs[0], step, ctx),)
    tensors = tuple(t for value in inputs for t in flatten(value))
    if len(tensors) < least or (most is not None and len(tensors) > most):
        hint = f"e.g. `- {cls.name}: [a, b]`" if step.head in VALUE_HEADS else "name them with `from: [a, b]`"
        raise ctx.problem(f"`{cls.name}` takes {cls.arity}, {len(tensors)} were given", step.mark, hint)
    return tensors


def _expression(tree: Tree, what: str, ctx: Context) -> Scalar:
    if isinstance(tree, Scalar):
        return tree
    raise ctx.problem(f"`{what}` is {describe(tree)}, expected a whole number", tree.mark)


def _sizes(tree: Tree, ctx: Context) -> tuple[int, ...]:
    value = data(tree, ctx.env)
    sizes = tuple(map(integral, value)) if isinstance(value, tuple) else ()
    if not sizes or not all(isinstance(v, int) and not isinstance(v, bool) for v in sizes):
        raise ctx.problem("`sizes` is no list of whole numbers", tree.mark, "e.g. `sizes: [16, 48]`")
    if sum(sizes) > MAX_ELEMENTS:
        raise ctx.problem(f"`sizes` add up to more than {MAX_ELEMENTS:,}", tree.mark)
    return sizes


WIRING: Mapping[str, Callable[[Elaborator, Step, list[Value], Context], Value]] = {"act": _act, "split": _split}
