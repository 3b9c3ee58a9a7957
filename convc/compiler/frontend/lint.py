"""What can be said of a file without running it: strange names, strange fields, expressions that do not parse.

Elaboration would find these too, one at a time; here they are found together, in one run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..errors import Problem
from ..ir import REGISTRY
from .document import Map, Scalar
from .elaborate import LIKE, takes_like
from .expressions import ExpressionError, compile_expression
from .library import File
from .spec import Param
from .steps import COMBINATORS, Step, near

WIRING = ("act", "split")


def lint(file: File) -> list[Problem]:
    """Problems of a file's own blocks, network and defaults."""
    from ..ops import OPS  # registers the operators

    assert OPS
    found: list[Problem] = []
    for block in file.spec.blocks.values():
        found += _steps(block.body, file)
        found += _params(list(block.params.values()))
    found += _steps(file.spec.network, file)
    found += _params(list(file.spec.params.values()))
    found += _defaults(file)
    return found


def _steps(steps: Sequence[Step], file: File) -> Iterator[Problem]:
    for step in steps:
        yield from _step(step, file)
        yield from _steps(step.steps, file)
        yield from _steps(step.shortcut or (), file)
        for branch in step.branches:
            yield from _steps(branch.steps, file)


def _step(step: Step, file: File) -> Iterator[Problem]:
    for scalar in (step.when, step.repeat):
        if scalar is not None:
            yield from _expression(scalar)
    if step.head in COMBINATORS or step.head in WIRING or step.head.startswith("$"):
        return
    known = _arguments(step.head, file)
    if known is None:
        names = (*REGISTRY, *file.block_names(), *WIRING, *COMBINATORS)
        hint = near(step.head, names) or "`convc list ops` and `convc list blocks` show what there is"
        yield Problem(f"there is no operator, block or combinator called {step.head!r}", step.mark, hint)
    elif isinstance(step.body, Map):
        yield from _fields(step.head, step.body, known)


def _arguments(head: str, file: File) -> Collection[str] | None:
    """What a head may be given, or None for a stranger."""
    found = file.block(head)
    if found is not None:
        return tuple(found[0].params)
    if head in file.networks:
        return (*file.networks[head].spec.params, "variant", "until")
    if head not in REGISTRY:
        return None
    return (*REGISTRY[head].fields(), *((LIKE,) if takes_like(REGISTRY[head]) else ()))


def _fields(head: str, body: Map, known: Collection[str]) -> Iterator[Problem]:
    for key, _ in body.entries:
        if str(key.value) not in known:
            hint = near(str(key.value), known)
            listed = f"fields: {', '.join(known)}" if known else "it has no fields"
            yield Problem(f"{head!r} has no field {str(key.value)!r}", key.mark, f"{hint}  {listed}".strip())


def _params(params: Sequence[Param]) -> Iterator[Problem]:
    for param in params:
        if param.expression is not None and param.type not in ("text", "padding"):
            yield from _expression(param.expression)


def _defaults(file: File) -> Iterator[Problem]:
    for name, body in file.spec.defaults.items():
        known = _arguments(name, file)
        if known is None:
            names = (*REGISTRY, *file.block_names())
            yield Problem(f"`defaults` names {name!r}, which is no operator or block", body.mark, near(name, names))
        else:
            yield from _fields(name, body, known)


def _expression(scalar: Scalar) -> Iterator[Problem]:
    if not isinstance(scalar.value, str):
        return
    try:
        compile_expression(scalar.value)
    except ExpressionError as error:
        yield Problem(f"in the expression `{scalar.value[:60]}`: {error.message}", scalar.mark, error.hint)
