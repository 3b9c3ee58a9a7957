"""The combinators seq, residual, branches, split, share and use: wiring, none has a number of its own. `loops` has `for`.

a combinator with an id         its names are read as id.name
a combinator without            its names are those of the list around it; two branches may use one name for themselves
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .arguments import condition
from .calls import activate, split_value
from .context import Context
from .document import Scalar
from .labels import helper_label
from .loops import run_rows
from .merging import close_round, fitting, hand_over, merge, merged, scalar
from .scope import Claim, Run
from .steps import Branch, Step, fail
from .values import Bundle, Poison, Value, gathered, single

if TYPE_CHECKING:
    from .elaborate import Elaborator


def apply(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """What a combinator makes of its inputs."""
    if step.head == "use":
        return _use(run, step, inputs, ctx)
    if step.is_transparent and step.head != "share":
        return _APPLY[step.head](run, step, inputs, ctx.within(ctx.scope, gathered(inputs)))
    mine = ctx.scope.inner()
    # A named step that repeats is below its own id already, a round each.
    named = step.id is not None and step.repeat is None
    if named and step.id is not None:
        ctx.scope.below[step.id] = mine
    value = _APPLY[step.head](run, step, inputs, ctx.within(mine, gathered(inputs)))
    if not named:
        hand_over(ctx, mine)
    return value


def _seq(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    return _inside(run, step, gathered(inputs), ctx)


def _inside(run: Elaborator, step: Step, x: Value, ctx: Context) -> Value:
    """Unnamed combinators name their steps as if they stood in the list around; others have a list of their own."""
    if step.is_transparent:
        return run.chain(step.steps, x, ctx)
    return run.run(step.steps, x, ctx, alone_is_silent=step.id is None)


def _residual(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    x = gathered(inputs)
    value = _inside(run, step, x, ctx)
    keep = step.options.get("shortcut_when")
    if keep is None or condition(scalar(keep, "shortcut_when"), ctx.env, "shortcut_when"):
        value = _with_shortcut(run, step, x, value, ctx)
    act = step.options.get("act")
    if act is None:
        return value
    return activate(run, act, [value], replace(step, mark=act.mark), ctx.at(helper_label(step, "act", ctx.labels)))


def _with_shortcut(run: Elaborator, step: Step, x: Value, main: Value, ctx: Context) -> Value:
    shortcut = x
    if step.shortcut is not None:
        inner = ctx.scope.inner()
        below = ctx.at("shortcut").within(inner, x)
        shortcut = run.run(step.shortcut, x, below)
        hand_over(ctx, inner)
    for what, value in (("body", main), ("shortcut", shortcut)):
        if not isinstance(value, Poison) and single(value) is None:
            hint = "`residual` adds two values: merge the list first, or write a `shortcut:` that does"
            raise ctx.problem(f"the {what} of `residual` is a list of {len(value)} values", step.mark, hint)
    label = helper_label(step, "merge", ctx.labels)
    return merge(run, "add", {"main": main, "shortcut": shortcut}, None, step, ctx.at(label), fitting(main, shortcut))


def _branches(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    x = gathered(inputs)
    values: dict[str, Value] = {}
    for branch in step.branches:
        if branch.when is None or condition(branch.when, ctx.env, "when"):
            values[branch.name] = _branch(run, step, branch, x, ctx)
    return merged(run, step, values, ctx)


def _branch(run: Elaborator, step: Step, branch: Branch, x: Value, ctx: Context) -> Value:
    mine = ctx.scope.inner()
    if step.id is not None:
        ctx.scope.below.setdefault(branch.name, mine)
    inner = ctx.at(branch.name).called(f"branch {branch.name!r}", branch.mark).within(mine, x)
    value = run.run(branch.steps, x, inner)
    for name, first, second in ctx.scope.adopt(mine):
        ctx.scope.names[name] = _ambiguous(name, first, second, ctx)
    return value


def _ambiguous(name: str, first: Run, second: Run, ctx: Context) -> Claim:
    def claim() -> Value:
        hint = f"give the step with the branches an `id`, and read `id.branch.{name}`; or choose two names"
        places = f"{first.step.id_mark} and {second.step.id_mark}"
        raise ctx.problem(
            f"two branches have a step called {name!r} ({places}), so the name cannot be read", second.step.mark, hint
        )

    return claim


def _split(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    x = run.only(gathered(inputs), step, ctx)
    names = [branch.name for branch in step.branches]
    at = ctx.at(helper_label(step, "split", ctx.labels))
    parts = split_value(run, x, len(names), step.options.get("sizes"), step.options.get("axis"), step, at, names)
    values: dict[str, Value] = {}
    for branch in step.branches:
        part = parts.parts[branch.name]
        if branch.when is None or condition(branch.when, ctx.env.with_x(part), "when"):
            values[branch.name] = _branch(run, step, branch, part, ctx)
    return merged(run, step, values, ctx)


def _share(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """The same weights on each value: the first run names the parameters, later ones read them."""
    values: dict[str, Value] = {}
    for k, x in enumerate(v for value in inputs for v in _each(value)):
        mine = ctx.scope.inner()
        path = ctx.path if k == 0 else ctx.at(f"shared_{k}").path
        inner = ctx.called(f"value {k} of `share`", step.mark)._replace(path=path).within(mine, x)
        values[str(k)] = _inside(run, step, x, inner)
        close_round(ctx.scope, mine, k, step.id)
    return merged(run, step, values, ctx)


def _each(value: Value) -> list[Value]:
    if isinstance(value, Bundle) and value.last is None:
        return list(value.parts.values())
    return [value]


def _use(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """An earlier step once more, with its weights; the names inside it are read below this step's own id."""
    if not isinstance(step.body, Scalar) or not isinstance(step.body.value, str):
        fail("`use` names an earlier step by its id", step.mark, "e.g. `- use: stem`")
    wanted = step.body.value
    found = ctx.scope.run(wanted)
    if found is None:
        hint = "`use` runs an earlier step of this list, or of one around it"
        if ctx.scope.resolve(wanted) is not None:
            hint = f"{wanted!r} is a value, or the id of a step that was skipped; {hint}"
        raise ctx.problem(f"no step called {wanted!r} ran before", step.body.mark, hint)
    first = found.context
    again = first.scope.inner()
    inner = first._replace(path=ctx.path, train_only=ctx.train_only, frames=ctx.frames, nesting=ctx.nesting)
    inner = inner.called(f"`use` of {wanted!r}", step.mark).within(again, gathered(inputs))
    value = run.again(found.step, inputs, inner)
    if step.id is not None and found.step.id in again.below:
        ctx.scope.below[step.id] = again.below[found.step.id]
    return value


_APPLY = {"seq": _seq, "residual": _residual, "branches": _branches, "for": run_rows, "split": _split, "share": _share}
