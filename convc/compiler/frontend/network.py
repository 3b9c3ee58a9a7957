"""A whole network: its parameters and variant, its inputs and outputs; on its own, or as a block of another spec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ..errors import Mark, Problem, SpecError, UsageError
from ..ir import REGISTRY, DType, Graph, ParamType, SymDim, TensorType
from ..ir.dims import Dim
from .arguments import default, expression, given_data, parameter, shown
from .combinators import export
from .context import MAX_ELEMENTS, Context, Defaults, Draft, brief
from .document import Map, Scalar, Seq, Tree, parse, plain
from .elaborate import Elaborator
from .library import File
from .references import read_name
from .spec import SpecFile
from .steps import Step, fail, near
from .values import Bundle, Env, Poison, Poisoned, Scope, Tensor, Value, flatten

_SYMBOL = re.compile(r"[A-Z][A-Za-z0-9_]*")
RESERVED = ("variant", "until")


@dataclass(frozen=True)
class Options:
    """What overrides a spec from outside: `--set`, `--batch`, `--size`. None keeps the spec's."""

    values: Mapping[str, Any] = field(default_factory=dict)
    batch: int | str | None = None
    size: Sequence[int] | str | None = None


@dataclass(frozen=True)
class Network:
    """An elaborated spec: graph and parameter types, and what travels with the model."""

    file: File
    name: str
    variant: str | None
    params: Mapping[str, Any]
    graph: Graph
    param_types: Mapping[str, ParamType]
    preprocess: Mapping[str, Any]
    labels: Tree | None

    @property
    def spec(self) -> SpecFile:
        return self.file.spec

    @property
    def optional(self) -> frozenset[str]:
        """Parameters that only train_only nodes hold: a checkpoint may leave them out."""
        needed = {p for node in self.graph if not node.train_only for p in node.params.values()}
        return frozenset(self.param_types) - needed


def elaborate(file: File, variant: str | None = None, options: Options | None = None) -> Network:
    """The network of a file. Raises SpecError with every independent problem found."""
    from .lint import lint

    options = options or Options()
    spec = file.spec
    problems = [*spec.problems, *(p for f in file.imports for p in f.spec.problems)]
    problems += lint(file)
    if not spec.network and not problems:
        hint = "blocks alone are imported; a network has `network:` with its steps" if spec.blocks else "add `network:`"
        problems.append(Problem("the spec has no network", spec.network_mark or spec.mark, hint))
    if problems:
        raise SpecError(problems)
    values = spec_params(spec, variant, options.values)
    draft = Draft()
    env = Env(values)
    for name, type_ in _inputs(spec, env, options).items():
        draft.inputs[name] = type_
    preprocess = _preprocess(spec, env)
    outputs = _run(file, draft, values, preprocess)
    if draft.problems:
        raise SpecError(draft.problems.values())
    return Network(
        file,
        variant or spec.name,
        variant,
        values,
        draft.graph(variant or spec.name, outputs),
        MappingProxyType(draft.params),
        preprocess,
        spec.labels,
    )


def spec_params(spec: SpecFile, variant: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The spec's parameters: `--set` over the variant over the defaults; later defaults see the earlier values."""
    chosen: dict[str, tuple[Any, Mark, str]] = {}
    if variant is not None:
        if variant not in spec.variants:
            hint = near(variant, spec.variants) or f"variants: {', '.join(spec.variants) or 'none'}"
            raise UsageError(f"{spec.source.name} has no variant {variant!r}", hint=hint)
        for key, value in spec.variants[variant].entries:
            if str(key.value) not in spec.params:
                hint = near(str(key.value), spec.params) or f"parameters: {', '.join(spec.params)}"
                fail(f"variant {variant!r} sets {key.value!r}, which is no parameter", key.mark, hint)
            chosen[str(key.value)] = (plain(value), value.mark, f"variant {variant!r}:")
    for name, value in given.items():
        if name not in spec.params:
            hint = near(name, spec.params) or f"parameters: {', '.join(spec.params) or 'none'}"
            raise UsageError(f"{spec.name} has no parameter {name!r}", hint=hint)
        mark = spec.params[name].mark
        chosen[name] = (_set_value(value), mark, "--set")
    values: dict[str, Any] = {}
    for name, param in spec.params.items():
        if name in chosen:
            values[name] = _given(param, *chosen[name])
        elif param.required:
            raise UsageError(f"{spec.name} needs a value for {name!r}", hint=f"--set {name}=... ({param.type})")
        else:
            values[name] = default(param, Env(values))
    return values


def _given(param: Any, value: Any, mark: Mark, where: str) -> Any:
    """A value from outside; what `--set` got wrong is a matter of arguments, not of the file."""
    try:
        return given_data(param, value, mark, where)
    except SpecError as error:
        if where == "--set":
            raise UsageError(error.message, hint=error.hint) from error
        raise


def _set_value(value: Any) -> Any:
    """`--set widths=[1, 2]` is data, read as YAML reads it."""
    if not isinstance(value, str):
        return value
    try:
        return plain(parse(value, "--set")) if value.strip() else ""
    except SpecError as error:
        raise UsageError(f"--set {value!r}: {error.message}", hint=error.hint) from error


def run_network(run: Elaborator, file: File, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """The network of an imported file as a block: its params, `variant`, and `until`, the step after which it stops."""
    spec = file.spec
    given = {str(k.value): (k, v) for k, v in step.body.entries} if isinstance(step.body, Map) else {}
    variant = _word(given.get("variant"), ctx)
    until = _word(given.get("until"), ctx)
    values = spec_params(spec, variant, {})
    for name, (key, tree) in given.items():
        if name in RESERVED:
            continue
        if name not in spec.params:
            hint = near(name, (*spec.params, *RESERVED)) or f"parameters: {', '.join((*spec.params, *RESERVED))}"
            raise ctx.problem(f"network {spec.name!r} has no parameter {name!r}", key.mark, hint)
        values[name] = parameter(spec.params[name], tree, ctx.env)
    steps = _until(spec, until, given, ctx)
    if len(inputs) != 1:
        raise ctx.problem(f"network {spec.name!r} takes one value, {len(inputs)} were given", step.mark)
    scope = ctx.scope.inner()
    shown_params = brief({k: v for k, v in values.items() if k in given})
    inner = replace(ctx.called(f"network {spec.name!r} ({shown_params})", step.mark), scope=scope, file=file)
    own = (Defaults(spec.defaults, Env(values)),) if spec.defaults else ()
    # A network sees its own names alone, as a block does: its scope is lent a parent only to hand its ids out.
    inside = Scope()
    inner = replace(inner, scope=inside, env=Env(values, None, inside), defaults=own + ctx.defaults)
    value = run.run(steps, inputs[0], inner, alone_is_silent=False)
    if step.id is not None:
        inside.parent = ctx.scope
        export(inside, step.id)
        inside.parent = None
    return value


def _nested(number: float, depth: int) -> Any:
    return (_nested(number, depth - 1),) if depth else number


def _until(spec: SpecFile, until: str | None, given: Mapping[str, tuple[Scalar, Tree]], ctx: Context) -> tuple[Step, ...]:
    if until is None:
        return spec.network
    for index, step in enumerate(spec.network):
        if step.id == until:
            return spec.network[: index + 1]
    ids = [step.id for step in spec.network if step.id]
    hint = near(until, ids) or f"ids: {', '.join(ids)}"
    raise ctx.problem(f"network {spec.name!r} has no step {until!r} at its top level", given["until"][1].mark, hint)


def _word(entry: tuple[Scalar, Tree] | None, ctx: Context) -> str | None:
    if entry is None:
        return None
    from .arguments import text

    return text(entry[1], ctx.env, str(entry[0].value))


def _run(file: File, draft: Draft, values: Mapping[str, Any], preprocess: Mapping[str, Any]) -> dict[str, str]:
    spec = file.spec
    scope = Scope()
    inputs: dict[str, Value] = {name: Tensor(name, type_) for name, type_ in draft.inputs.items()}
    scope.names.update(inputs)
    first = next(iter(inputs.values()))
    # Expressions may read a dynamic size by its name; whether they may depend on it is their place's to say.
    symbols = {str(dim): dim for type_ in draft.inputs.values() for dim in type_.shape if isinstance(dim, SymDim)}
    env = Env({**symbols, **values}, first, scope)
    defaults = (Defaults(spec.defaults, Env(values)),) if spec.defaults else ()
    ctx = Context("", "", scope, env, file, defaults)
    run = Elaborator(draft)
    if preprocess.get("embed"):
        first = _embedded(run, first, preprocess, ctx)
    last = run.run(spec.network, first, ctx, alone_is_silent=False)
    try:
        return _outputs(spec, last, env.with_x(last))
    except Poisoned:
        return {}
    except SpecError as error:
        draft.report(error, ())
        return {}


def _embedded(run: Elaborator, x: Value, preprocess: Mapping[str, Any], ctx: Context) -> Value:
    """`embed: true`: the network takes pixels and computes (x * scale - mean) / std itself, as x * a + b per channel."""
    spec = ctx.file.spec
    assert isinstance(x, Tensor) and spec.preprocess is not None
    step = Step("preprocess", spec.preprocess.mark, None)
    channels = x.type.channels
    mean, std = ((*preprocess.get(key, (neutral,)),) for key, neutral in (("mean", 0.0), ("std", 1.0)))
    if any(len(values) not in (1, channels) for values in (mean, std)):
        fail(f"`preprocess` has {len(mean)} means and {len(std)} deviations for {channels} channels", spec.preprocess.mark)
    pairs = [(mean[c % len(mean)], std[c % len(std)]) for c in range(channels)]
    factor = [preprocess.get("scale", 1.0) / deviation for _, deviation in pairs]
    shift = [-centre / deviation for centre, deviation in pairs]
    at = ctx.at("preprocess")
    for name, numbers, head in (("factor", factor, "mul"), ("shift", shift, "add")):
        column = tuple(_nested(number, x.type.rank - 2) for number in numbers)
        value = REGISTRY["constant"](value=column)  # type: ignore[call-arg]  # its one field
        held = run.add(value, (), step, at.at(name))
        x = run.add(REGISTRY[head](), (x, held), step, at.at(head))
    return x


def _outputs(spec: SpecFile, last: Value, env: Env) -> dict[str, str]:
    if spec.outputs is None:
        if isinstance(last, Poison):
            raise Poisoned
        tensors = list(flatten(last))
        if len(tensors) != 1:
            hint = "name them: `outputs: {p3: head.0, p4: head.1}`"
            fail(f"the network ends in a list of {len(tensors)} values", spec.network_mark or spec.mark, hint)
        return {"output": tensors[0].name}
    if not spec.outputs.entries:
        fail("`outputs` names nothing", spec.outputs.mark, "leave it out: the last step is the output")
    found: dict[str, str] = {}
    for key, tree in spec.outputs.entries:
        name = str(key.value)
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
            fail(f"an output cannot be called {name!r}", key.mark, "letters, digits, _ and .")
        if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
            fail(f"output {name!r} names no value", tree.mark, "e.g. `outputs: {p3: head.0}`")
        tensors = list(flatten(read_name(tree.value, env, tree)))
        if len(tensors) != 1:
            fail(f"output {name!r} is a list of {len(tensors)} values", tree.mark, f"pick one, e.g. {tree.value}[0]")
        found[name] = tensors[0].name
    return found


def _inputs(spec: SpecFile, env: Env, options: Options) -> dict[str, TensorType]:
    if spec.input is None or not spec.input.entries:
        fail("the spec has no input", spec.mark, "`input: {image: [N, 3, 224, 224]}`")
    found: dict[str, TensorType] = {}
    for key, tree in spec.input.entries:
        name = str(key.value)
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or name == "x":
            fail(f"an input cannot be called {name!r}", key.mark, "letters, digits and _")
        dtype = DType.float32
        if isinstance(tree, Map):
            fields = {str(k.value): v for k, v in tree.entries}
            dtype = _dtype(fields.get("dtype"))
            tree = fields.get("shape", tree)
        if not isinstance(tree, Seq) or not tree.items:
            fail(f"input {name!r} has no shape", tree.mark, "`[N, 3, 224, 224]`: upper-case names are dynamic")
        dims = [_dim(item, spec, env) for item in tree.items]
        found[name] = TensorType(tuple(_override(dims, options, name, spec)), dtype)
        _bounded(found[name], tree)
    return found


def _bounded(type_: TensorType, tree: Tree) -> None:
    size = 1
    for dim in type_.shape:
        size *= dim if isinstance(dim, int) else 1
    if size > MAX_ELEMENTS:
        fail(f"the input {type_} has more than {MAX_ELEMENTS:,} values", tree.mark)


def _dtype(tree: Tree | None) -> DType:
    if tree is None:
        return DType.float32
    if isinstance(tree, Scalar) and tree.value in ("float32", "int64"):
        return DType(tree.value)
    fail("an input's dtype is float32 or int64", tree.mark)


def _dim(tree: Tree, spec: SpecFile, env: Env) -> Dim:
    if not isinstance(tree, Scalar):
        fail("a dimension is a number, an expression or an upper-case name", tree.mark)
    if isinstance(tree.value, str) and _SYMBOL.fullmatch(tree.value) and tree.value not in env.params:
        promise = spec.symbols.get(tree.value, {})
        return SymDim.symbol(tree.value, promise.get("multiple", 1), promise.get("min", 1))
    value = expression(tree, env)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        fail(f"a dimension is {shown(value)}, expected a whole number", tree.mark, "an upper-case name is dynamic: `N`")
    if value < 1:
        fail(f"a dimension is {value}, expected at least 1", tree.mark)
    if value > MAX_ELEMENTS:
        fail(f"a dimension is {value:,}, the limit is {MAX_ELEMENTS:,}", tree.mark)
    return value


def _override(dims: list[Dim], options: Options, name: str, spec: SpecFile) -> list[Dim]:
    if options.batch is not None and dims:
        dims[0] = SymDim.symbol("N") if options.batch == "dynamic" else int(options.batch)
    if options.size is None or len(dims) < 3:
        return dims
    if options.size == "dynamic":
        names = ("D", "H", "W")[-(len(dims) - 2) :]
        return [*dims[:2], *(_promised(n, spec) for n in names)]
    sizes = list(options.size) if not isinstance(options.size, str) else []
    sizes = sizes * (len(dims) - 2) if len(sizes) == 1 else sizes
    if len(sizes) != len(dims) - 2:
        raise UsageError(f"--size gives {len(sizes)} sizes, input {name!r} has {len(dims) - 2} spatial axes")
    return [*dims[:2], *sizes]


def _promised(name: str, spec: SpecFile) -> SymDim:
    promise = spec.symbols.get(name, {})
    return SymDim.symbol(name, promise.get("multiple", 1), promise.get("min", 1))


def _preprocess(spec: SpecFile, env: Env) -> dict[str, Any]:
    from .preprocess import read_preprocess

    return read_preprocess(spec.preprocess, env) if spec.preprocess is not None else {}


__all__ = ["Bundle", "Network", "Options", "elaborate", "run_network", "spec_params"]
