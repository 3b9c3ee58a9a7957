"""What can be said of a file without running it: strange names, strange fields, expressions that do not parse.

Elaboration would find these too, some only where a step runs; here they are found together, in one run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ..errors import Problem
from ..ir import REGISTRY
from .arguments import fault
from .blocks import RESERVED
from .calls import LIKE, field_hint, takes_like
from .declarations import Param
from .document import Map, Scalar, Seq, Tree
from .expressions import ExpressionError, compile_expression
from .library import WIRING, File
from .steps import COMBINATORS, VALUE_HEADS, Step, near

# Kinds and types where a string is text, or may be.
_WORDS = ("word", "text", "padding", "init", "any", "list")


def lint(file: File) -> list[Problem]:
    """Problems of a file's own blocks, network and defaults."""
    from ..ops import OPS  # registers the operators

    assert OPS
    found: list[Problem] = []
    for block in file.spec.blocks.values():
        found += _params(list(block.params.values()))
        for scalar, _ in block.require:
            found += _expressions(scalar)
        found += _steps(block.body, file)
    found += _params(list(file.spec.params.values()))
    for scalar, _ in file.spec.require:
        found += _expressions(scalar)
    found += _variants(file)
    found += _defaults(file)
    found += _steps(file.spec.network, file)
    return found


def _steps(steps: Sequence[Step], file: File) -> Iterator[Problem]:
    for step in steps:
        yield from _step(step, file)
        for inner in step.lists():
            yield from _steps(inner, file)


def _step(step: Step, file: File) -> Iterator[Problem]:
    conditions = [branch.when for branch in step.branches]
    options = [step.options.get(key) for key in ("shortcut_when", "axis", "sizes")]
    table = step.options.get("in")
    for tree in (step.when, step.repeat, *conditions, *options, table if isinstance(table, Scalar) else None):
        if tree is not None:
            yield from _expressions(tree)
    if step.head in COMBINATORS or step.head in WIRING or step.head.startswith("$"):
        return
    if not file.knows(step.head):
        message, hint = file.stranger(step.head)
        yield Problem(message, step.mark, hint)
        return
    yield from _arguments(step, file)


def _arguments(step: Step, file: File) -> Iterator[Problem]:
    known = _known(step.head, file)
    if isinstance(step.body, Map):
        yield from _fields(step.head, step.body, known)
    elif isinstance(step.body, Scalar) and step.head not in VALUE_HEADS and known:
        principal = _principal(step.head, file)
        if principal is not None and known.get(principal, "any") not in _WORDS:
            yield from _expressions(step.body)


def _known(head: str, file: File) -> Mapping[str, str]:
    """What a head may be given, each with its kind or type."""
    found = file.block(head)
    if found is not None:
        return {name: param.type for name, param in found[0].params.items()}
    if head in REGISTRY:
        cls = REGISTRY[head]
        return {
            **{name: field.kind for name, field in cls.fields().items()},
            **({LIKE: "any"} if takes_like(cls) else {}),
        }
    spec = file.networks[head].spec
    return {**{name: param.type for name, param in spec.params.items()}, **dict.fromkeys(RESERVED, "text")}


def _principal(head: str, file: File) -> str | None:
    found = file.block(head)
    if found is not None:
        return next(iter(found[0].params), None)
    return REGISTRY[head].principal if head in REGISTRY else None


def _fields(head: str, body: Map, known: Mapping[str, str]) -> Iterator[Problem]:
    for key, value in body.entries:
        if key.text not in known:
            yield Problem(f"{head!r} has no field {key.text!r}", key.mark, field_hint(key.text, known))
        elif known[key.text] not in _WORDS:
            yield from _expressions(value)


def _params(params: Sequence[Param]) -> Iterator[Problem]:
    for param in params:
        if param.expression is not None and param.type not in ("text", "padding", "any"):
            yield from _expressions(param.expression)


def _variants(file: File) -> Iterator[Problem]:
    for name, body in file.spec.variants.items():
        for key, _ in body.entries:
            if key.text not in file.spec.params:
                hint = near(key.text, file.spec.params) or f"parameters: {', '.join(file.spec.params) or 'none'}"
                yield Problem(f"variant {name!r} sets {key.text!r}, which is no parameter", key.mark, hint)


def _defaults(file: File) -> Iterator[Problem]:
    for name, body in file.spec.defaults.items():
        if not file.knows(name) or name in WIRING:
            names: Collection[str] = (*REGISTRY, *file.block_names())
            yield Problem(f"`defaults` names {name!r}, which is no operator or block", body.mark, near(name, names))
        else:
            yield from _fields(name, body, _known(name, file))


def _expressions(tree: Tree) -> Iterator[Problem]:
    """Every expression of a value that does not parse."""
    if isinstance(tree, Seq):
        for item in tree.items:
            yield from _expressions(item)
    elif isinstance(tree, Scalar) and isinstance(tree.value, str):
        try:
            compile_expression(tree.value)
        except ExpressionError as error:
            yield fault(tree, error)
