"""The combinators: seq, residual, branches, for, split, share, use. Each is wiring; none has a number of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import Mark, SpecError
from ..ir import REGISTRY
from .arguments import condition, expression, shown, text
from .context import MAX_ROUNDS, Context, brief
from .document import Map, Scalar, Seq, Tree, plain
from .steps import Branch, Step, fail, helper_label
from .values import Bundle, Env, Poison, Poisoned, Scope, Value, bundle, flatten

if TYPE_CHECKING:
    from .elaborate import Elaborator

MERGES = ("add", "concat", "mul", "sub", "div", "max", "min", "stack", "matmul")


def apply(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """What a combinator makes of its inputs."""
    if step.head == "use":
        return _use(run, step, inputs, ctx)
    if step.head == "share":
        return _share(run, step, inputs, ctx)
    x = inputs[0] if len(inputs) == 1 else bundle(inputs)
    scope = ctx.scope.inner() if step.id is not None else ctx.scope
    ctx = replace(ctx, scope=scope, env=Env(ctx.env.params, x, scope))
    value = _APPLY[step.head](run, step, x, ctx)
    if step.id is not None:
        export(scope, step.id)
    return value


def export(scope: Scope, name: str) -> None:
    """Names defined inside a named combinator are read as `id.name` after it."""
    assert scope.parent is not None
    for inner, value in scope.names.items():
        if inner != name:
            scope.parent.names[f"{name}.{inner}"] = value


def _seq(run: Elaborator, step: Step, x: Value, ctx: Context) -> Value:
    return _inside(run, step, step.steps, x, ctx)


def _inside(run: Elaborator, step: Step, steps: Sequence[Step], x: Value, ctx: Context) -> Value:
    """Unnamed seq and residual name their steps as if they stood in the list around; named ones have a list of their own."""
    return run.chain(steps, x, ctx) if step.is_transparent else run.run(steps, x, ctx, alone_is_silent=step.id is None)


def _residual(run: Elaborator, step: Step, x: Value, ctx: Context) -> Value:
    main = _inside(run, step, step.steps, x, ctx)
    keep = step.options.get("shortcut_when")
    value = main
    if keep is None or condition(_scalar(keep, "shortcut_when"), ctx.env.with_x(x), "shortcut_when"):
        shortcut = x if step.shortcut is None else run.run(step.shortcut, x, ctx.at("shortcut"))
        label = helper_label(step, "merge", ctx.labels)
        hint = "give the residual a `shortcut: [{conv_bn: {...}}]` that fits, or let `shortcut_when:` drop it"
        value = merge(run, "add", [main, shortcut], None, step, ctx.at(label), hint)
    act = step.options.get("act")
    if act is None:
        return value
    if isinstance(value, Poison):
        raise Poisoned
    return run.activate(act, [value], replace(step, mark=act.mark), ctx.at(helper_label(step, "act", ctx.labels)))


def _branches(run: Elaborator, step: Step, x: Value, ctx: Context) -> Value:
    values: dict[str, Value] = {}
    for branch in step.branches:
        if branch.when is None or condition(branch.when, ctx.env.with_x(x), "when"):
            values[branch.name] = _branch(run, branch, x, ctx)
    return _merged(run, step, values, ctx)


def _branch(run: Elaborator, branch: Branch, x: Value, ctx: Context) -> Value:
    return run.run(branch.steps, x, ctx.at(branch.name).called(f"branch {branch.name!r}", branch.mark))


def _split(run: Elaborator, step: Step, x: Value, ctx: Context) -> Value:
    tensor = next(flatten(x)) if not isinstance(x, Bundle) or len(list(flatten(x))) == 1 else None
    if tensor is None:
        raise ctx.problem(f"`split` takes one value, this is a list of {len(x)}", step.mark)
    names = [branch.name for branch in step.branches]
    at = ctx.at(helper_label(step, "split", ctx.labels))
    sizes = step.options.get("sizes")
    parts = run.split(tensor, len(names), sizes, step.options.get("axis"), step, at, names)
    values: dict[str, Value] = {}
    for branch in step.branches:
        part = parts.parts[branch.name]
        inner = replace(ctx, env=ctx.env.with_x(part))
        values[branch.name] = _branch(run, branch, part, inner)
    return _merged(run, step, values, ctx)


def _merged(run: Elaborator, step: Step, values: Mapping[str, Value], ctx: Context) -> Value:
    how = step.options.get("merge")
    name = "none" if how is None else text(how, ctx.env, "merge")
    if name == "none":
        return Bundle(MappingProxyType(dict(values)))
    if not values:
        raise ctx.problem(f"no branch of `{step.head}` exists here, so there is nothing to merge", step.mark)
    return merge(run, name, list(values.values()), step.options.get("axis"), step, ctx.at(helper_label(step, "merge", ctx.labels)))


def merge(
    run: Elaborator, name: str, values: list[Value], axis: Tree | None, step: Step, ctx: Context, hint: str = ""
) -> Value:
    """One value of several: any operator of several values. A single value is itself."""
    if name not in MERGES:
        mark = step.options["merge"].mark if "merge" in step.options else step.mark
        raise ctx.problem(f"`merge` is {name!r}", mark, f"one of: {', '.join(MERGES)}, none")
    tensors = tuple(t for value in values for t in flatten(value))
    if len(tensors) == 1 and name != "stack":
        return tensors[0]
    cls = REGISTRY[name]
    args: dict[str, Any] = {}
    if axis is not None:
        if "axis" not in cls.fields():
            raise ctx.problem(f"`{name}` has no axis", axis.mark)
        value = expression(_scalar(axis, "axis"), ctx.env)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ctx.problem(f"`axis` is {shown(value)}, expected a whole number", axis.mark)
        args["axis"] = value
    try:
        return run.add(cls(**args), tensors, step, ctx)
    except SpecError as error:
        raise SpecError(replace(p, hint=p.hint or hint) for p in error.problems) from error


def _for(run: Elaborator, step: Step, x: Value, ctx: Context) -> Value:
    names, rows = _rows(step, ctx)
    chained = "merge" not in step.options
    done: dict[str, Value] = {}
    current = x
    for index, (row, mark) in enumerate(rows):
        cells = _cells(names, row, mark, step)
        scope = ctx.scope.inner() if step.id is not None else ctx.scope
        if step.id is not None:
            scope.names[step.id] = Bundle(dict(done), current if done else None)
        inner = ctx.at(str(index)).called(f"loop row {index} ({brief(cells)})", mark)
        env = Env({**ctx.env.params, **cells, "row": index}, current, scope)
        value = run.run(step.steps, current if chained else x, replace(inner, scope=scope, env=env))
        done[str(index)] = value
        if step.id is not None:
            for name, found in scope.names.items():
                if name != step.id:
                    ctx.scope.names[f"{index}.{name}"] = found
        current = value if chained else x
    if not chained:
        return _merged(run, step, done, ctx)
    return Bundle(MappingProxyType(done), current) if done else x


def _rows(step: Step, ctx: Context) -> tuple[list[str], list[tuple[Any, Mark]]]:
    body = step.body
    items = body.items if isinstance(body, Seq) else (body,) if isinstance(body, Scalar) else ()
    names = [i.value for i in items if isinstance(i, Scalar) and isinstance(i.value, str) and i.value.isidentifier()]
    if not names or len(names) != len(items) or len(set(names)) != len(names):
        fail("`for` takes different names, one per column", step.mark, "e.g. `for: [c, n, s]`")
    table = step.options["in"]
    if isinstance(table, Seq):
        return names, [(_data(item), item.mark) for item in table.items]
    value = expression(_scalar(table, "in"), ctx.env)
    if not isinstance(value, (tuple, list)):
        raise ctx.problem(f"`in` is {shown(value)}, expected a list of rows", table.mark, "e.g. `range(4)` or `zip(a, b)`")
    if len(value) > MAX_ROUNDS:
        raise ctx.problem(f"`in` has {len(value):,} rows, the limit is {MAX_ROUNDS:,}", table.mark)
    return names, [(row, table.mark) for row in value]


def _data(tree: Tree) -> Any:
    if isinstance(tree, Map):
        fail("a row is a mapping, expected a list of cells", tree.mark)
    return _frozen(plain(tree))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


def _cells(names: Sequence[str], row: Any, mark: Mark, step: Step) -> dict[str, Any]:
    if isinstance(step.body, Scalar):
        return {names[0]: row}
    if not isinstance(row, (tuple, list)) or len(row) != len(names):
        count = len(row) if isinstance(row, (tuple, list)) else 1
        fail(f"a row has {count} cells for the {len(names)} columns {', '.join(names)}", mark, "`null` or 0 fills a column")
    return dict(zip(names, row, strict=True))


def _share(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """The same weights on each value: the first run names the parameters, later ones read them."""
    values: dict[str, Value] = {}
    for k, x in enumerate(v for value in inputs for v in _each(value)):
        scope = ctx.scope.inner()
        path = ctx.path if k == 0 else ctx.at(f"shared_{k}").path
        inner = replace(ctx.called(f"value {k} of `share`", step.mark), path=path, scope=scope)
        values[str(k)] = run.run(step.steps, x, replace(inner, env=Env(ctx.env.params, x, scope)))
    return _merged(run, step, values, ctx)


def _each(value: Value) -> list[Value]:
    if isinstance(value, Bundle) and value.last is None:
        return list(value.parts.values())
    return [value]


def _use(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """An earlier step once more, with its weights."""
    if not isinstance(step.body, Scalar) or not isinstance(step.body.value, str):
        fail("`use` names an earlier step by its id", step.mark, "e.g. `- use: stem`")
    wanted = step.body.value
    scope: Scope | None = ctx.scope
    while scope is not None:
        if (record := run.records(scope).get(wanted)) is not None:
            first, context, _ = record
            inner = replace(context.called(f"`use` of {wanted!r}", step.mark), path=ctx.path, train_only=ctx.train_only)
            x = inputs[0] if len(inputs) == 1 else bundle(inputs)
            return run.rerun(first, inputs, replace(inner, env=inner.env.with_x(x)))
        scope = scope.parent
    fail(f"no step called {wanted!r} ran before", step.body.mark, "`use` runs an earlier step of this list or around it")


def _scalar(tree: Tree, what: str) -> Scalar:
    if isinstance(tree, Scalar):
        return tree
    fail(f"`{what}` is a list or a mapping, expected an expression", tree.mark)


_APPLY = {"seq": _seq, "residual": _residual, "branches": _branches, "for": _for, "split": _split}
