"""A step that is a block, or the network of an imported file: its parameters, its own scope, what it gives back.

A block sees its inputs, its parameters and its steps, and nothing else. Its parameters come from the call, then from
`defaults`, then from its own declarations, in order, each seeing those before it and `x`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import Mark, SpecError
from .arguments import condition, default, optional_text, parameter
from .calls import default_levels
from .context import Context, Defaults, brief
from .declarations import Param
from .document import Map, Scalar, Tree
from .homes import at_home
from .library import File
from .merging import hand_over
from .references import output_name, read_name
from .scope import Scope
from .settings import declared_values, variant_data
from .spec import Block, SpecFile
from .steps import Step, is_null, near
from .values import Bundle, Env, Value

if TYPE_CHECKING:
    from .elaborate import Elaborator

# Beside a network's own parameters, in a call of it.
RESERVED = ("variant", "until")
Written = tuple[Tree, Env]


def call_block(run: Elaborator, block: Block, file: File, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """The value of a block, or the list of its outputs. Raises SpecError."""
    scope = _scope(f"block {block.name!r}", block.inputs or ("",), step, inputs, ctx)
    x = inputs[0]
    levels = _levels(f"block {block.name!r}", block.name, tuple(block.params), step, ctx)
    homes = (*_homes(block.name, ctx), file)
    values = _values(f"block {block.name!r}", block.params, levels, homes, Env({}, x, scope), step, ctx, {})
    inner = _enter(f"block {block.name!r}", values, file, step, ctx)._replace(scope=scope, env=Env(values, x, scope))
    check_requirements(f"block {block.name!r}", block.require, inner.env, inner)
    last = run.run(block.body, x, inner)
    if not block.outputs:
        return last
    return _outputs([(name, Scalar(name, block.mark, False, name)) for name in block.outputs], inner.env)


def call_network(run: Elaborator, file: File, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """The network of an imported file: its parameters and variant, and `until`, the id of the step after which it stops.

    Its ids are read as `id.name`. Without `until` it gives what its `outputs:` name.
    """
    spec = file.spec
    what = f"network {spec.name!r}"
    scope = _scope(what, tuple(spec.input.keys()) if spec.input else ("",), step, inputs, ctx)
    levels = _levels(what, spec.name, (*spec.params, *RESERVED), step, ctx)
    variant, until = (_word(name, levels) for name in RESERVED)
    _check_words(spec, variant, until, levels, step, ctx)
    chosen = {} if variant is None else variant_data(spec, variant)
    homes = (*_homes(spec.name, ctx), file)
    values = _values(what, spec.params, levels, homes, Env({}), step, ctx, chosen)
    given = {k: v for k, v in values.items() if any(k in level for level in levels)}
    shown = {"variant": variant, **given} if variant else given
    x = inputs[0]
    inner = _enter(what, shown, file, step, ctx, values)._replace(scope=scope, env=Env(values, x, scope))
    check_requirements(what, spec.require, Env(values), inner)
    last = run.run(spec.network, x, inner, alone_is_silent=False, until=until or "")
    if step.id is not None and step.repeat is None:
        ctx.scope.below[step.id] = scope
    elif step.id is not None:
        hand_over(ctx, scope)
    if until or spec.outputs is None:
        return last
    named = [(key.text, output_name(key.text, tree)) for key, tree in spec.outputs.entries]
    return _outputs(named, inner.env.with_x(last))


def _scope(what: str, names: Sequence[str], step: Step, inputs: list[Value], ctx: Context) -> Scope:
    if len(inputs) != len(names):
        wanted = f"{len(names)} values ({', '.join(names)})" if len(names) > 1 else "one value"
        hint = (
            f"name them with `from: [{', '.join(names)}]`; `parts.*` gives each part of a list"
            if len(names) > 1
            else ""
        )
        raise ctx.problem(f"{what} takes {wanted}, {len(inputs)} were given", step.mark, hint)
    named = {name: value for name, value in zip(names, inputs, strict=True) if name}
    return Scope(None, dict(named), taken=frozenset(named))


def _levels(what: str, name: str, known: Sequence[str], step: Step, ctx: Context) -> list[dict[str, Written]]:
    """What the call and the `defaults:` give, nearest first; null counts as not given."""
    body = step.body
    given: dict[str, Written] = {}
    if isinstance(body, Map):
        for key, value in body.entries:
            if key.text not in known:
                hint = near(key.text, known) or f"parameters: {', '.join(known) or 'none'}"
                raise ctx.problem(f"{what} has no parameter {key.text!r}", key.mark, hint)
            given[key.text] = (value, ctx.env)
    elif body is not None and not is_null(body):
        if not known or known[0] in RESERVED:
            raise ctx.problem(f"{what} takes no argument without a name", body.mark)
        given[known[0]] = (body, ctx.env)
    levels = [given, *default_levels(name, ctx)]
    return [{k: written for k, written in level.items() if not is_null(written[0])} for level in levels]


def check_requirements(what: str, require: Sequence[tuple[Scalar, str]], env: Env, ctx: Context) -> None:
    """Refuse arguments that the `require:` of a block or a network rules out; raises SpecError."""
    for scalar, reason in require:
        if not condition(scalar, env, "require"):
            raise ctx.problem(f"{what} needs {scalar.text}: {reason}", scalar.mark)


def _homes(name: str, ctx: Context) -> list[File]:
    """The files in which `_levels` stand."""
    return [ctx.file, *(level.file for level in ctx.defaults if name in level.calls)]


def _values(
    what: str,
    params: Mapping[str, Param],
    levels: Sequence[Mapping[str, Written]],
    homes: Sequence[File],
    env: Env,
    step: Step,
    ctx: Context,
    chosen: Mapping[str, Any],
) -> dict[str, Any]:
    """Every parameter's value: written in the call or in `defaults`, chosen by a variant, or the declared default.

    Text is at home where it was written: `homes` are the files of the levels, then that of the declarations and variants.
    """
    values: dict[str, Any] = {}
    for name, param in params.items():
        found = (
            at_home(parameter(param, *level[name]), home)
            for home, level in zip(homes[:-1], levels, strict=True)
            if name in level
        )
        value = next((v for v in found if v is not None), chosen.get(name))
        if value is None and param.required:
            raise ctx.problem(f"{what} needs `{name}` ({param.type})", step.mark, param.doc)
        if value is None:
            value = _default(what, param, Env(values, env.x, env.scope), step, ctx)
        values[name] = at_home(value, homes[-1])
    return values


def _default(what: str, param: Param, env: Env, step: Step, ctx: Context) -> Any:
    """A parameter's own value; where it cannot be computed from the others, the call is part of what is said."""
    try:
        return default(param, env)
    except SpecError as error:
        frames = ctx.called(what, step.mark).frames
        raise SpecError([replace(problem, frames=frames) for problem in error.problems]) from error


def _enter(
    what: str, shown: Mapping[str, Any], file: File, step: Step, ctx: Context, params: Mapping[str, Any] | None = None
) -> Context:
    """One call deeper. Another file's own `defaults` come before those of the file that calls it."""
    if (file is not ctx.file or params is not None) and file.spec.defaults:
        own = Defaults(file.spec.defaults, declared_values(file.spec) if params is None else params, file)
        ctx = ctx._replace(defaults=(own, *ctx.defaults))
    return ctx.called(f"{what} ({brief(shown)})" if shown else what, step.mark)._replace(file=file)


def _outputs(named: Sequence[tuple[str, Scalar]], env: Env) -> Value:
    found = {name: read_name(str(scalar.value), env, scalar) for name, scalar in named}
    return next(iter(found.values())) if len(found) == 1 else Bundle(MappingProxyType(found))


def _word(name: str, levels: Sequence[Mapping[str, Written]]) -> str | None:
    written = (optional_text(*level[name], name) for level in levels if name in level)
    return next((word for word in written if word is not None), None)


def _place(name: str, levels: Sequence[Mapping[str, Written]], step: Step) -> Mark:
    return next((level[name][0].mark for level in levels if name in level), step.mark)


def _check_words(
    spec: SpecFile,
    variant: str | None,
    until: str | None,
    levels: Sequence[Mapping[str, Written]],
    step: Step,
    ctx: Context,
) -> None:
    if variant is not None and variant not in spec.variants:
        hint = near(variant, spec.variants) or f"variants: {', '.join(spec.variants) or 'none'}"
        raise ctx.problem(f"network {spec.name!r} has no variant {variant!r}", _place("variant", levels, step), hint)
    ids = [step.id for step in spec.network if step.id]
    if until is not None and until not in ids:
        hint = near(until, ids) or f"ids: {', '.join(ids)}"
        message = f"network {spec.name!r} has no step {until!r} at its top level"
        raise ctx.problem(message, _place("until", levels, step), hint)
