"""A spec elaborated: parameters set, blocks expanded, loops unrolled, shapes known on the way. The result is a graph.

A step that fails is reported and yields Poison; what reads it stays silent, so that independent mistakes show in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ..errors import ShapeError, SpecError
from ..ir import REGISTRY, Node, Op, ParamType, SymDim, TensorType
from ..ops.shape import split_sizes
from . import combinators
from .arguments import condition, default, operator_argument, parameter, text, whole
from .context import MAX_ELEMENTS, MAX_NODES, MAX_ROUNDS, MAX_VALUE, Context, Defaults, Draft, brief
from .document import Map, Scalar, Seq, Tree
from .library import File
from .references import read_name, read_values
from .spec import Block, Param
from .steps import VALUE_HEADS, Step, describe, label_steps, near
from .values import POISON, Bundle, Env, Poison, Poisoned, Scope, Tensor, Value, bundle, flatten, single

LIKE = "like"


class Elaborator:
    """Runs steps and collects nodes in a Draft."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._labels: dict[tuple[int, bool], tuple[Sequence[Step], Mapping[tuple[int, str], str]]] = {}
        self._records: dict[int, dict[str, tuple[Step, Context, str]]] = {}
        self._owner: dict[tuple[int, str], Step] = {}

    # -- lists and steps

    def run(self, steps: Sequence[Step], x: Value, ctx: Context, alone_is_silent: bool = True) -> Value:
        """The value after the steps of a naming list (a body, a branch, a row)."""
        key = (id(steps), alone_is_silent)
        if key not in self._labels:
            self._labels[key] = (steps, label_steps(steps, alone_is_silent))
        return self.chain(steps, x, replace(ctx, labels=self._labels[key][1]))

    def chain(self, steps: Sequence[Step], x: Value, ctx: Context) -> Value:
        """The same within a naming list that is already labelled (the steps of an unnamed seq or residual)."""
        for step in steps:
            before = x
            try:
                x = self.step(step, x, ctx)
            except SpecError as error:
                self.draft.report(error, ctx.frames)
                x = self._spoilt(step, before, ctx)
            except Poisoned:
                x = self._spoilt(step, before, ctx)
        return x

    def step(self, step: Step, x: Value, ctx: Context) -> Value:
        ctx = replace(ctx, env=ctx.env.with_x(x))
        if step.when is not None and not condition(step.when, ctx.env, "when"):
            return self._skipped(step, x, ctx)
        if step.train_only:
            ctx = replace(ctx, train_only=True)
        label = ctx.labels.get((id(step), ""), "")
        inner = ctx.at(label)
        inputs = self._inputs(step, x, ctx, inner)
        value = self.rerun(step, inputs, inner)
        if step.train_only:
            self.draft.train_outputs[inner.path] = self._only(value, step, ctx).name
            return x
        self._define(step, value, ctx, inner)
        return value

    def apply(self, step: Step, inputs: list[Value], ctx: Context) -> Value:
        """What a step's head makes of its inputs; `ctx.path` is where its names go."""
        if inputs and isinstance(inputs[0], Poison):
            raise Poisoned
        if inputs:
            ctx = replace(ctx, env=ctx.env.with_x(inputs[0]))
        if step.is_combinator:
            return combinators.apply(self, step, inputs, ctx)
        head = self._head(step, ctx)
        found = ctx.file.block(head)
        if found is not None:
            return self._block(*found, step, inputs, ctx)
        if head in ctx.file.networks:
            from .network import run_network

            return run_network(self, ctx.file.networks[head], step, inputs, ctx)
        if head == "act":
            return self.activate(step.body, inputs, step, ctx)
        if head == "split":
            return self._split(step, inputs, ctx)
        if head in REGISTRY:
            return self._operator(REGISTRY[head], step, inputs, ctx)
        known = (*REGISTRY, *ctx.file.block_names(), "act", "split")
        hint = near(head, known) or "`convc list ops` and `convc list blocks` show what there is"
        raise ctx.problem(f"there is no operator, block or combinator called {head!r}", step.mark, hint)

    def rerun(self, step: Step, inputs: list[Value], ctx: Context) -> Value:
        """A step with its rounds; `use` calls it where the step ran before, with another path for the nodes."""
        return self._repeat(step, inputs, ctx) if step.repeat is not None else self.apply(step, inputs, ctx)

    # -- names

    def records(self, scope: Scope) -> dict[str, tuple[Step, Context, str]]:
        """Steps that ran in a scope, for `use`."""
        return self._records.setdefault(id(scope), {})

    def _define(self, step: Step, value: Value, ctx: Context, inner: Context) -> None:
        name = step.id
        if name is None:
            return
        key = (id(ctx.scope), name)
        other = self._owner.get(key)
        if other is not None and other is not step and name in ctx.scope.ran:
            hint = f"the first is at {other.id_mark}; two steps may share an id only if at most one of them runs"
            raise ctx.problem(f"two steps are both called {name!r}", step.id_mark or step.mark, hint)
        self._owner[key] = step
        ctx.scope.names[name] = value
        ctx.scope.ran.add(name)
        self.records(ctx.scope)[name] = (step, inner, inner.path)

    def _skipped(self, step: Step, x: Value, ctx: Context) -> Value:
        """A skipped step is as if it were not written; its id, when read, gives what the step would have read."""
        if step.id is not None and step.id not in ctx.scope.ran:

            def read() -> Value:
                inputs = self._inputs(step, x, ctx, ctx)
                return inputs[0] if inputs else x

            ctx.scope.names[step.id] = read
        return x

    def _spoilt(self, step: Step, before: Value, ctx: Context) -> Value:
        if step.train_only:
            return before
        if step.id is not None:
            ctx.scope.names[step.id] = POISON
        return POISON

    # -- inputs

    def _inputs(self, step: Step, x: Value, ctx: Context, inner: Context) -> list[Value]:
        if step.reads is not None:
            return read_values(step.reads, ctx.env, self._constants(step, inner))
        values = step.body if step.head in VALUE_HEADS else None
        if isinstance(values, (Seq, Scalar)) and not (isinstance(values, Scalar) and values.value is None):
            return read_values(values, ctx.env, self._constants(step, inner))
        return [x]

    def _constants(self, step: Step, ctx: Context) -> Callable[[float], Tensor]:
        """A number among values becomes a constant node beside the step."""

        def constant(value: float) -> Tensor:
            op = REGISTRY["constant"](value=value)  # type: ignore[call-arg]  # its one field
            return self.add(op, (), step, ctx.at("constant"))

        return constant

    def _only(self, value: Value, step: Step, ctx: Context) -> Tensor:
        tensor = single(value)
        if tensor is None:
            hint = "pick one, e.g. `from: parts[0]`, or merge them, e.g. `- concat: parts.*`"
            raise ctx.problem(f"`{step.head}` takes one value, this is a list of {len(value)}", step.mark, hint)
        return tensor

    # -- operators

    def _head(self, step: Step, ctx: Context) -> str:
        if not step.head.startswith("$"):
            return step.head
        name = ctx.env.params.get(step.head[1:])
        if not isinstance(name, str):
            hint = f"declare it as text: `params: {{{step.head[1:]}: text}}`"
            raise ctx.problem(f"{step.head!r} reads no text parameter", step.mark, hint)
        return name

    def _operator(self, cls: type[Op], step: Step, inputs: list[Value], ctx: Context) -> Value:
        if isinstance(step.body, Map) and takes_like(cls):
            like = {str(k.value): v for k, v in step.body.entries}.get(LIKE)
            inputs = inputs if like is None else [*inputs, *read_values(like, ctx.env, self._constants(step, ctx))]
        tensors = self._tensors(cls, step, inputs, ctx)
        args: dict[str, Any] = {}
        # The call first, then `defaults`, nearest first. Null counts as not given, so the next one is asked.
        for level in (self._given(cls, step, ctx), *self._defaults(cls.name, ctx)):
            for name, (tree, env) in level.items():
                if name not in args and (value := operator_argument(cls.fields()[name], tree, env)) is not None:
                    args[name] = value
        for name, field in cls.fields().items():
            if field.required and name not in args:
                raise ctx.problem(f"`{cls.name}` needs `{name}`: {field.doc}", step.mark)
        try:
            op = cls(**args)
        except ShapeError as error:
            raise ctx.problem(f"`{cls.name}`: {error.message}", step.mark, error.hint) from error
        return self.add(op, tensors, step, ctx)

    def _given(self, cls: type[Op], step: Step, ctx: Context) -> dict[str, tuple[Tree, Env]]:
        """Arguments as written, each with what its expressions may read."""
        body = step.body
        given: dict[str, tuple[Tree, Env]] = {}
        entries = [(k, v) for k, v in body.entries] if isinstance(body, Map) else []
        is_values = step.head in VALUE_HEADS and not isinstance(body, Map)
        if isinstance(body, (Scalar, Seq)) and not is_values and not _empty(body):
            if cls.principal is None:
                hint = f"it has: {', '.join(cls.fields()) or 'no arguments'}"
                raise ctx.problem(f"`{cls.name}` takes no argument without a name", body.mark, hint)
            given[cls.principal] = (body, ctx.env)
        for key, value in entries:
            name = str(key.value)
            if name == LIKE and takes_like(cls):
                continue
            if name not in cls.fields():
                known = tuple(cls.fields())
                hint = near(name, known)
                listed = f"fields: {', '.join(known)}" if known else "it has no fields"
                raise ctx.problem(f"{cls.name!r} has no field {name!r}", key.mark, f"{hint}  {listed}".strip())
            given[name] = (value, ctx.env)
        for name, value in step.options.items():
            if name not in cls.fields():
                raise ctx.problem(f"{cls.name!r} has no field {name!r}", value.mark, near(name, cls.fields()))
            given[name] = (value, ctx.env)
        return given

    def _tensors(self, cls: type[Op], step: Step, inputs: list[Value], ctx: Context) -> tuple[Tensor, ...]:
        if cls.arity.most == 0:
            return ()
        if cls.arity.most == 1:
            if len(inputs) != 1:
                raise ctx.problem(f"`{cls.name}` takes one value, {len(inputs)} were given", step.mark)
            return (self._only(inputs[0], step, ctx),)
        tensors = tuple(t for value in inputs for t in flatten(value))
        least, most = cls.arity
        if len(tensors) < least or (most is not None and len(tensors) > most):
            hint = f"e.g. `- {cls.name}: [a, b]`" if step.head in VALUE_HEADS else "name them with `from: [a, b]`"
            raise ctx.problem(f"`{cls.name}` takes {cls.arity}, {len(tensors)} were given", step.mark, hint)
        return tensors

    def add(self, op: Op, tensors: tuple[Tensor, ...], step: Step, ctx: Context) -> Tensor:
        """A node for the operator at `ctx.path`; raises SpecError with the names and types that do not fit."""
        types = tuple(t.type for t in tensors)
        try:
            op = op.bind(*types)
            type_ = op.infer(*types)
            wanted = op.params(*types)
        except ShapeError as error:
            raise ctx.problem(_with_names(error.message, tensors), step.mark, error.hint) from error
        self._limits(op, type_, step, ctx)
        name = self._unique(ctx.path or op.name)
        params = {role: self._param(role, type_, op, step, ctx, name) for role, type_ in wanted.items()}
        node = Node(
            name,
            op,
            tuple(t.name for t in tensors),
            type_,
            MappingProxyType(params),
            (ctx.origin(name, step),),
            ctx.train_only,
        )
        self.draft.nodes[name] = node
        return Tensor(name, type_)

    def _unique(self, path: str) -> str:
        """The path, or the next free number: two parameters of one name are refused, two sums are not worth an error."""
        taken = (self.draft.nodes, self.draft.inputs)
        name, count = path, 1
        while any(name in names for names in taken):
            count += 1
            name = f"{path}_{count}"
        return name

    def _param(self, role: str, type_: ParamType, op: Op, step: Step, ctx: Context, node: str) -> str:
        base = ctx.params_path or op.name
        # The tensor of a `parameter` step bears the step's own name.
        name = base if role == "value" else f"{base}.{role}"
        known = self.draft.params.get(name)
        if known is None:
            self.draft.params[name] = type_
            self.draft.owners[name] = node
            self.draft.elements += type_.numel
            if type_.numel > MAX_ELEMENTS or self.draft.elements > MAX_ELEMENTS:
                raise ctx.problem(
                    f"the parameters pass {MAX_ELEMENTS:,} values with {name!r} {list(type_.shape)}",
                    step.mark,
                    "that is the limit of one model: are the channels what was meant?",
                )
        elif ctx.params_path == ctx.path and self.draft.owners[name] != node:
            hint = f"give one of them an `id:`; the first is node {self.draft.owners[name]!r}"
            raise ctx.problem(f"two steps have a parameter called {name!r}", step.mark, hint)
        elif known.shape != type_.shape:
            message = f"{name!r} is shared, but needs shape {list(type_.shape)} here and {list(known.shape)} there"
            raise ctx.problem(message, step.mark, "shared weights need values of the same channels")
        return name

    def _limits(self, op: Op, type_: TensorType, step: Step, ctx: Context) -> None:
        if len(self.draft.nodes) >= MAX_NODES:
            raise ctx.problem(f"the network has more than {MAX_NODES:,} nodes", step.mark)
        size = 1
        for dim in type_.shape:
            if isinstance(dim, int):
                if dim < 1:
                    raise ctx.problem(f"`{op.name}` yields the empty value {type_}", step.mark)
                size *= dim
        if size > MAX_VALUE:
            raise ctx.problem(f"`{op.name}` yields {type_}: more than {MAX_VALUE:,} values", step.mark)

    # -- operators that are wiring

    def activate(self, tree: Tree | None, inputs: list[Value], step: Step, ctx: Context) -> Value:
        """`act: relu`, `act: $act`, `act: {leaky_relu: 0.1}`, `act: {kind: $act}`; `none` is the value itself."""
        if tree is None:
            raise ctx.problem("`act` names no activation", step.mark, "e.g. `- act: relu`")
        argument: Tree | None = None
        if isinstance(tree, Map):
            if len(tree.entries) != 1:
                raise ctx.problem("`act` names one activation", tree.mark, "e.g. `act: {leaky_relu: 0.1}`")
            key, value = tree.entries[0]
            name = text(value, ctx.env, "kind") if key.value == "kind" else str(key.value)
            argument = None if key.value == "kind" else value
        else:
            name = text(tree, ctx.env, "act")
        if name == "none":
            return inputs[0] if len(inputs) == 1 else bundle(inputs)
        cls = REGISTRY.get(name)
        kinds = sorted(op for op, c in REGISTRY.items() if c.group == "activation")
        if cls is None or cls.group != "activation":
            raise ctx.problem(f"there is no activation {name!r}", tree.mark, near(name, kinds) or f"one of: {', '.join(kinds)}, none")
        return self._operator(cls, replace(step, head=name, body=argument, options={}), inputs, ctx)

    def _split(self, step: Step, inputs: list[Value], ctx: Context) -> Value:
        fields = {str(k.value): v for k, v in step.body.entries} if isinstance(step.body, Map) else {}
        if isinstance(step.body, (Scalar, Seq)):
            fields = {"sizes" if isinstance(step.body, Seq) else "parts": step.body}
        axis = fields.get("axis")
        return self.split(self._only(inputs[0], step, ctx), fields.get("parts"), fields.get("sizes"), axis, step, ctx)

    def split(
        self,
        x: Tensor,
        parts: Tree | int | None,
        sizes: Tree | None,
        axis: Tree | None,
        step: Step,
        ctx: Context,
        labels: Sequence[str] = (),
    ) -> Bundle:
        """Slices that cover an axis (the channels by default), labelled by place or as given."""
        at = whole(axis, ctx.env, "axis", -8) if isinstance(axis, Scalar) else 1
        at += x.type.rank if at < 0 else 0
        if not 0 <= at < x.type.rank:
            raise ctx.problem(f"axis {at} does not exist in {x.type}", step.mark)
        total = x.type.shape[at]
        if isinstance(total, SymDim):
            raise ctx.problem(f"axis {at} of {x.type} is dynamic and cannot be split", step.mark)
        count = whole(parts, ctx.env, "split", 1) if isinstance(parts, Scalar) else parts if isinstance(parts, int) else None
        listed = None if sizes is None else _sizes(sizes, ctx)
        try:
            cuts = split_sizes(total, listed if listed is not None else count if count is not None else 0)
        except ShapeError as error:
            raise ctx.problem(error.message, step.mark, error.hint) from error
        if labels and len(cuts) != len(labels):
            raise ctx.problem(f"{len(labels)} branches take {len(cuts)} parts", step.mark)
        values: dict[str, Value] = {}
        start = 0
        for k, cut in enumerate(cuts):
            label = labels[k] if labels else str(k)
            op = REGISTRY["slice"](axis=at, start=start, end=start + cut)  # type: ignore[call-arg]  # its fields
            values[label] = self.add(op, (x,), step, ctx.at(label))
            start += cut
        return Bundle(MappingProxyType(values))

    # -- blocks

    def _block(self, block: Block, file: File, step: Step, inputs: list[Value], ctx: Context) -> Value:
        names = block.inputs or ("",)
        if len(inputs) != len(names):
            wanted = f"{len(names)} values ({', '.join(names)})" if block.inputs else "one value"
            hint = "name them with `from: [a, b]`" if len(names) > 1 else ""
            raise ctx.problem(f"block {block.name!r} takes {wanted}, {len(inputs)} were given", step.mark, hint)
        values = self.block_arguments(block.name, block.params, step, ctx, inputs[0] if inputs else None)
        scope = Scope()
        scope.names.update({name: value for name, value in zip(names, inputs, strict=True) if name})
        if file is not ctx.file:
            own = (Defaults(file.spec.defaults, Env({}, None, None)),) if file.spec.defaults else ()
            ctx = replace(ctx, defaults=own + ctx.defaults, file=file)
        shown = f"block {block.name!r} ({brief(values)})" if values else f"block {block.name!r}"
        inner = replace(ctx.called(shown, step.mark), scope=scope, env=Env(values, None, scope))
        x = inputs[0] if inputs else POISON
        last = self.run(block.body, x, inner)
        if not block.outputs:
            return last
        env = replace(inner.env.with_x(x))
        found = {name: self._named(name, env, block) for name in block.outputs}
        return next(iter(found.values())) if len(found) == 1 else Bundle(MappingProxyType(found))

    def _named(self, name: str, env: Env, block: Block) -> Value:
        return read_name(name, env, Scalar(name, block.mark, False, name))

    def block_arguments(
        self, name: str, params: Mapping[str, Param], step: Step, ctx: Context, x: Value | None, reserved: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """A block's parameters: from the call, then `defaults`, then its own default. Raises SpecError."""
        body = step.body
        given: dict[str, tuple[Tree, Env]] = {}
        if isinstance(body, Map):
            for key, value in body.entries:
                if str(key.value) in reserved:
                    continue
                if str(key.value) not in params:
                    hint = near(str(key.value), params) or f"parameters: {', '.join(params) or 'none'}"
                    raise ctx.problem(f"block {name!r} has no parameter {key.value!r}", key.mark, hint)
                given[str(key.value)] = (value, ctx.env)
        elif body is not None and not _empty(body):
            if not params:
                raise ctx.problem(f"block {name!r} takes no arguments", body.mark)
            given[next(iter(params))] = (body, ctx.env)
        values: dict[str, Any] = {}
        levels = (given, *self._defaults(name, ctx))
        for key_name, param in params.items():
            written = [level[key_name] for level in levels if key_name in level and not _empty(level[key_name][0])]
            value = next((v for tree, env in written if (v := parameter(param, tree, env)) is not None), None)
            if value is not None:
                values[key_name] = value
            elif param.required:
                raise ctx.problem(f"block {name!r} needs `{key_name}` ({param.type})", step.mark, param.doc)
            else:
                values[key_name] = default(param, Env(values, x, None))
        return values

    def _defaults(self, name: str, ctx: Context) -> list[dict[str, tuple[Tree, Env]]]:
        found = []
        for level in ctx.defaults:
            if (call := level.calls.get(name)) is not None:
                found.append({str(key.value): (value, level.env) for key, value in call.entries})
        return found

    # -- repeat

    def _repeat(self, step: Step, inputs: list[Value], ctx: Context) -> Value:
        assert step.repeat is not None
        times = whole(step.repeat, ctx.env, "repeat")
        if times > MAX_ROUNDS:
            raise ctx.problem(f"`repeat` is {times:,}, the limit is {MAX_ROUNDS:,} rounds", step.repeat.mark)
        if times == 0:
            return inputs[0] if len(inputs) == 1 else bundle(inputs)
        rounds: dict[str, Value] = {}
        values = inputs
        base = ctx.scope
        for i in range(times):
            scope = base.inner() if step.id else base
            if step.id:
                scope.names[step.id] = Bundle(dict(rounds), rounds[str(i - 1)] if i else None)
            inner = replace(ctx.at(str(i)).called(f"round {i} of `repeat`", step.mark), scope=scope)
            inner = replace(inner, env=Env({**ctx.env.params, "i": i}, ctx.env.x, scope))
            value = self.apply(step, values, inner)
            rounds[str(i)] = value
            values = [value]
        return Bundle(MappingProxyType(rounds), rounds[str(times - 1)])


def takes_like(cls: type[Op]) -> bool:
    """Whether an operator may read its size off a second value: `- resize: {like: skip}`."""
    return cls.arity == (1, 2) and "size" in cls.fields()


def _empty(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.value is None


def _sizes(tree: Tree, ctx: Context) -> tuple[int, ...]:
    from .arguments import data

    value = data(tree, ctx.env)
    if not isinstance(value, tuple) or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        raise ctx.problem(f"`sizes` is {describe(tree)}, expected a list of whole numbers", tree.mark)
    return value


def _with_names(message: str, tensors: Sequence[Tensor]) -> str:
    """Put the names of the values in front of their types, in order."""
    at = 0
    if len(tensors) < 2:
        return message
    for tensor in tensors:
        shape = str(tensor.type)
        found = message.find(shape, at)
        if found < 0:
            return message
        named = f"{tensor.name!r} {shape}"
        message = message[:found] + named + message[found + len(shape) :]
        at = found + len(named)
    return message

