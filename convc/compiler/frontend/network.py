"""A whole network elaborated: parameters and variant, inputs and outputs, and what travels with the model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import Problem, SpecError
from ..ir import Graph, ParamType, SymDim
from .blocks import check_requirements
from .context import Context, Defaults, Draft, LimitError
from .declarations import NAME
from .document import Tree
from .elaborate import Elaborator
from .embedding import embed, is_written_out
from .inputs import read_inputs
from .library import File
from .lint import lint
from .preprocess import check_channels, read_labels, read_preprocess
from .references import output_name, read_name
from .scope import Scope
from .settings import Options, spec_params
from .spec import SpecFile
from .steps import fail
from .values import Env, Poison, Poisoned, Tensor, Value, flatten

__all__ = ["Network", "Options", "elaborate", "spec_params"]

# Each level of nesting costs about ten of Python's frames, and an expression inside it some more.
_FRAMES = 12_000


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
    """The network of a file. Raises SpecError with every independent problem found, UsageError for a wrong option."""
    options = options or Options()
    _check(file)
    spec = file.spec
    values = spec_params(spec, variant, options.values)
    draft = Draft()
    with _deep_recursion():
        preprocess, outputs = _run(file, draft, values, options)
    if draft.problems:
        raise SpecError(draft.problems.values())
    name = variant or spec.name
    graph = draft.graph(name, outputs)
    types = MappingProxyType(draft.params)
    return Network(file, name, variant, values, graph, types, preprocess, spec.labels)


def _check(file: File) -> None:
    """What can be said of the files before anything runs."""
    problems = [problem for each in file.reachable() for problem in (*each.spec.problems, *lint(each))]
    spec = file.spec
    if not spec.network and not problems:
        hint = "blocks alone are imported; a network has `network:` with its steps" if spec.blocks else "add `network:`"
        problems.append(Problem("the spec has no network", spec.network_mark or spec.mark, hint))
    if problems:
        raise SpecError(problems)


def _run(
    file: File, draft: Draft, values: Mapping[str, Any], options: Options
) -> tuple[dict[str, Any], dict[str, str]]:
    """Fill the draft; the preprocessing and the outputs. What is wrong with steps is left in the draft."""
    spec = file.spec
    draft.inputs.update(read_inputs(spec, Env(values), options))
    preprocess = read_preprocess(spec.preprocess, Env(values)) if spec.preprocess is not None else {}
    if spec.preprocess is not None:
        check_channels(preprocess, draft.inputs.values(), spec.preprocess.mark)
    read_labels(spec.labels, file.path.parent)
    scope = Scope(taken=frozenset(draft.inputs))
    named: dict[str, Value] = {name: Tensor(name, type_) for name, type_ in draft.inputs.items()}
    scope.names.update(named)
    # Expressions may read a dynamic size by its name; whether they may depend on it is their place's to say.
    dims = (dim for type_ in draft.inputs.values() for dim in type_.shape)
    symbols = {str(dim): dim for dim in dims if isinstance(dim, SymDim)}
    known = {**symbols, **values}
    env = Env(known, next(iter(named.values())), scope)
    ctx = Context("", "", scope, env, file, (Defaults(spec.defaults, known, file),) if spec.defaults else ())
    try:
        check_requirements(f"network {spec.name!r}", spec.require, Env(values), ctx)
        return preprocess, _steps(Elaborator(draft), ctx, preprocess)
    except Poisoned:
        pass
    except LimitError as error:
        known_problems = list(draft.problems.values())
        draft.problems.update({id(p): p for p in error.problems if not any(p is known for known in known_problems)})
    except SpecError as error:
        draft.report(error, ())
    except RecursionError:
        message = "the network is nested too deeply to be elaborated"
        draft.report(SpecError(Problem(message, spec.network_mark or spec.mark)), ())
    return preprocess, {}


def _steps(run: Elaborator, ctx: Context, preprocess: Mapping[str, Any]) -> dict[str, str]:
    spec = ctx.file.spec
    if preprocess.get("embed") and not is_written_out(spec):
        embed(run, preprocess, ctx)
    first = ctx.scope.names[next(iter(run.draft.inputs))]
    assert not callable(first)
    last = run.run(spec.network, first, ctx.with_x(first), alone_is_silent=False)
    found = _outputs(spec, last, ctx.env.with_x(last))
    for name, value in found.items():
        node = run.draft.nodes.get(value)
        if node is not None and node.train_only:
            mark = spec.outputs.mark if spec.outputs is not None else spec.mark
            hint = "a train_only step is an output of the train form by itself"
            fail(f"output {name!r} is {value!r}, which is train_only", mark, hint)
    return found


def _outputs(spec: SpecFile, last: Value, env: Env) -> dict[str, str]:
    if spec.outputs is None:
        if isinstance(last, Poison):
            raise Poisoned
        hint = "name them: `outputs: {p3: head.0, p4: head.1}`"
        mark = spec.network[-1].mark if spec.network else spec.mark
        return {"output": _one("the network ends in", last, mark, hint)}
    if not spec.outputs.entries:
        fail("`outputs` names nothing", spec.outputs.mark, "leave it out: the last step is the output")
    found: dict[str, str] = {}
    for key, tree in spec.outputs.entries:
        if not all(map(NAME.fullmatch, key.text.split("."))):
            fail(f"an output cannot be called {key.text!r}", key.mark, "letters, digits, _ and .")
        scalar = output_name(key.text, tree)
        value = read_name(str(scalar.value), env, scalar)
        found[key.text] = _one(f"output {key.text!r} is", value, tree.mark, f"pick one, e.g. {scalar.value}[0]")
    return found


def _one(what: str, value: Value, mark: Any, hint: str) -> str:
    tensors = list(flatten(value))
    if len(tensors) != 1:
        fail(f"{what} a list of {len(tensors)} values", mark, hint)
    return tensors[0].name


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """Blocks may nest far deeper than Python's default allows; the elaborator's own limits end them, each with a message."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
