"""A spec elaborated: parameters set, blocks expanded, loops unrolled, shapes known on the way. The result is a graph.

    list of steps -> chain -> step -> rounds -> apply: a combinator, a block, a network, an operator

A step that fails is reported and yields Poison; what reads it stays silent, so that independent mistakes show in one run.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ShapeError, SpecError
from ..ir import REGISTRY, Node, Op, TensorType
from . import blocks, calls, combinators
from .arguments import condition, whole
from .context import MAX_ROUNDS, ROUND, Context, Draft, LimitError
from .document import Scalar, Seq, Tree
from .homes import home_of
from .labels import Labels, label_steps
from .merging import close_round, hand_over
from .parameters import name_parameter
from .references import read_values
from .scope import Claim, Run, Scope
from .steps import VALUE_HEADS, Step, is_null
from .values import POISON, Poisoned, Tensor, Value, rounds, single

# What a number among the values of a skipped step stands for: nobody reads it, so it becomes no node.
_NUMBER = Tensor("", TensorType(()))


class Elaborator:
    """Runs steps and collects nodes in a Draft."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        # The list is kept beside its labels: an identity is only good while its owner lives.
        self._labels: dict[tuple[int, bool], tuple[Sequence[Step], Labels]] = {}

    def run(
        self, steps: Sequence[Step], x: Value, ctx: Context, alone_is_silent: bool = True, until: str = ""
    ) -> Value:
        """The value after the steps of a naming list (a body, a branch, a row)."""
        key = (id(steps), alone_is_silent)
        if key not in self._labels:
            self._labels[key] = (steps, label_steps(steps, alone_is_silent))
        return self.chain(steps, x, ctx._replace(labels=self._labels[key][1]), until)

    def chain(self, steps: Sequence[Step], x: Value, ctx: Context, until: str = "") -> Value:
        """The same within a naming list that is already labelled; `until` is the id of the step it ends with."""
        last = next((step for step in reversed(steps) if until and step.id == until), None)
        for step in steps:
            try:
                x = self.step(step, x, ctx)
            except LimitError:
                raise
            except SpecError as error:
                self.draft.report(error, ctx.frames)
                x = self._spoilt(step, ctx.scope)
            except Poisoned:
                x = self._spoilt(step, ctx.scope)
            if step is last or (until and step.id == until and until in ctx.scope.runs):
                break
        return x

    def step(self, step: Step, x: Value, ctx: Context) -> Value:
        """The value that the next step reads; raises SpecError, or Poisoned where an earlier mistake spoilt what it reads."""
        self.draft.count(step.mark)
        ctx = ctx.with_x(x)
        if step.when is not None and not condition(step.when, ctx.env, "when"):
            return self._skipped(step, x, ctx)
        times = None if step.repeat is None else _times(step.repeat, ctx)
        if times == 0:
            return self._skipped(step, x, ctx)
        self._check_id(step, ctx)
        inner = ctx.at(ctx.labels.get((id(step), ""), ""))
        inputs = self._inputs(step, ctx, inner)
        if step.train_only:
            self._aside(step, times, inputs, inner._replace(train_only=True))
            return x
        value = self.rounds(step, times, inputs, inner)
        self._define(step, value, inner)
        return value

    def again(self, step: Step, inputs: list[Value], ctx: Context) -> Value:
        """A step that ran before, with all its rounds; `ctx` says where its nodes go."""
        return self.rounds(step, None if step.repeat is None else _times(step.repeat, ctx), inputs, ctx)

    def rounds(self, step: Step, times: int | None, inputs: list[Value], ctx: Context) -> Value:
        """A step once, or so many times in a chain; a loop's name shows each round those before it."""
        if times is None:
            return self.apply(step, inputs, ctx)
        done: list[Value] = []
        loop = Scope(ctx.scope)
        if step.id is not None:
            ctx.scope.below[step.id] = loop
        for i in range(times):
            self.draft.count(step.mark)
            if step.id is not None:
                loop.names[step.id] = rounds(done)
            row = loop.inner()
            inner = ctx.at(str(i)).called(f"{ROUND} {i} of `repeat`", step.mark).within(row, ctx.env.x, {"i": i})
            value = self.apply(step, inputs, inner)
            close_round(loop, row, i, step.id)
            done.append(value)
            inputs = [value]
        if step.id is None:
            hand_over(ctx, loop)
        return rounds(done)

    def apply(self, step: Step, inputs: list[Value], ctx: Context) -> Value:
        """What a step's head makes of its inputs; `ctx.path` is where its names go."""
        ctx = ctx.nested(step)
        if inputs:
            ctx = ctx.with_x(inputs[0])
        if step.is_combinator:
            return combinators.apply(self, step, inputs, ctx)
        head = calls.head_of(step, ctx)
        file = home_of(head, ctx.file)
        found = file.block(head)
        if found is not None:
            return blocks.call_block(self, *found, step, inputs, ctx)
        if head in calls.WIRING:
            return calls.WIRING[head](self, step, inputs, ctx)
        if head in REGISTRY:
            return calls.call_operator(self, REGISTRY[head], step, inputs, ctx)
        if (network := file.networks.get(head)) is not None:
            return blocks.call_network(self, network, step, inputs, ctx)
        message, hint = file.stranger(head)
        raise ctx.problem(message, step.mark, hint)

    def add(self, op: Op, tensors: tuple[Tensor, ...], step: Step, ctx: Context, names: Sequence[str] = ()) -> Tensor:
        """A node for the operator at `ctx.path`; raises SpecError with the values (by `names`) whose types do not fit."""
        types = tuple(t.type for t in tensors)
        try:
            op = op.bind(*types)
            type_ = op.infer(*types)
            wanted = op.params(*types)
        except ShapeError as error:
            message = calls.with_names(error.message, names or [t.name for t in tensors], types)
            raise ctx.problem(message, step.mark, error.hint) from error
        calls.check_limits(self.draft, op, type_, step, ctx)
        calls.check_deployed(self.draft, tensors, step, ctx)
        name = self.draft.unique(ctx.path or op.name)
        params = {role: name_parameter(self.draft, role, kind, op, step, ctx, name) for role, kind in wanted.items()}
        inputs = tuple(t.name for t in tensors)
        self.draft.nodes[name] = Node(name, op, inputs, type_, params, (ctx.origin(name, step),), ctx.train_only)
        return Tensor(name, type_)

    def only(self, value: Value, step: Step, ctx: Context) -> Tensor:
        """The one tensor of a value; raises SpecError for a list."""
        tensor = single(value)
        if tensor is None:
            hint = "pick one, e.g. `from: parts[0]`, or merge them, e.g. `- concat: parts.*`"
            raise ctx.problem(f"`{step.head}` takes one value, this is a list of {len(value)}", step.mark, hint)
        return tensor

    def constant(self, value: float, step: Step, ctx: Context) -> Tensor:
        """A number among values becomes a node beside the step."""
        op = REGISTRY["constant"](value=value)  # type: ignore[call-arg]  # its one field
        return self.add(op, (), step, ctx.at("constant"))

    def _inputs(self, step: Step, ctx: Context, inner: Context) -> list[Value]:
        assert ctx.env.x is not None
        values = _written(step)
        if values is None:
            return [ctx.env.x]
        found = read_values(values, ctx.env, lambda number: self.constant(number, step, inner))
        if not found:
            raise ctx.problem(f"`{step.head}` is given an empty list of values", values.mark)
        return found

    def _aside(self, step: Step, times: int | None, inputs: list[Value], ctx: Context) -> None:
        """A branch of the train form: what goes wrong in it is its own."""
        try:
            value = self.rounds(step, times, inputs, ctx)
            tensor = self.only(value, step, ctx)
            self._define(step, value, ctx)
            self.draft.train_outputs[ctx.path or tensor.name] = tensor.name
        except LimitError:
            raise
        except SpecError as error:
            self.draft.report(error, ctx.frames)
            self._spoilt(step, ctx.scope)
        except Poisoned:
            self._spoilt(step, ctx.scope)

    def _check_id(self, step: Step, ctx: Context) -> None:
        """Before it runs: of two steps with one id the second is a mistake, and so is every name inside it."""
        if step.id is None:
            return
        if (other := ctx.scope.runs.get(step.id)) is not None:
            raise calls.two_steps(step.id, other.step, step, ctx)
        if ctx.scope.is_taken(step.id):
            raise ctx.problem(f"a step has the name of the input {step.id!r}", step.id_mark or step.mark)

    def _define(self, step: Step, value: Value, ctx: Context) -> None:
        if step.id is not None:
            ctx.scope.names[step.id] = value
            ctx.scope.runs[step.id] = Run(step, ctx)

    def _skipped(self, step: Step, x: Value, ctx: Context) -> Value:
        """A skipped step is as if it were not written; its id, when read, gives what the step would have read."""
        if step.id is not None and step.id not in ctx.scope.runs:
            ctx.scope.names[step.id] = self._unread(step, x, ctx)
        return x

    def _unread(self, step: Step, x: Value, ctx: Context) -> Value | Claim:
        values = _written(step)
        if values is None:
            return x
        try:
            found = read_values(values, ctx.env, lambda _: _NUMBER)
        except SpecError as error:
            # Nothing in a skipped step is evaluated, so it may name what is not there, as long as nobody reads it.
            kept = error

            def claim() -> Value:
                raise kept

            return claim
        except Poisoned:
            return POISON
        return next((value for value in found if value is not _NUMBER), x)

    def _spoilt(self, step: Step, scope: Scope) -> Value:
        """Poison under every name that a failed step would have given, so that reading one is no second mistake."""
        if step.id is not None:
            scope.names[step.id] = POISON
            return POISON
        for steps in step.lists():
            for inner in steps:
                if inner.id is None or inner.id not in scope.names:
                    self._spoilt(inner, scope)
        return POISON


def _written(step: Step) -> Tree | None:
    """The values that a step names, or None where it reads the step before."""
    if step.reads is not None:
        return step.reads
    body = step.body if step.head in VALUE_HEADS else None
    return body if isinstance(body, (Seq, Scalar)) and not is_null(body) else None


def _times(repeat: Scalar, ctx: Context) -> int:
    times = whole(repeat, ctx.env, "repeat")
    if times > MAX_ROUNDS:
        raise ctx.problem(f"`repeat` is {times:,}, the limit is {MAX_ROUNDS:,} rounds", repeat.mark)
    return times
