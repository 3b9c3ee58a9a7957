"""Where a value is expected: `stem`, `branch.left`, `parts[k]`, `parts.*`, a number, or one of these under a condition."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from .arguments import shown
from .document import Scalar, Seq, Tree
from .expressions import ExpressionError, compile_expression
from .scope import Group, NoPart, step_down
from .steps import describe, fail, near
from .values import MAX_LISTED, Bundle, Env, Poison, Poisoned, Tensor, Value, bundle

_PATH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_NUMBER = re.compile(r"\d+(\.\d*)?")
_SHOWN_NAMES = 12
Constant = Callable[[float], Tensor]


def read_values(tree: Tree, env: Env, constant: Constant) -> list[Value]:
    """The values a `from:` or an operator's list names; `parts.*` gives each part, an inner list is one value.

    Raises SpecError, and Poisoned where `*` asks for the parts of what an earlier mistake spoilt.
    """
    if not isinstance(tree, Seq):
        return _spread(tree, env, constant)
    values: list[Value] = []
    for item in tree.items:
        if isinstance(item, Seq):
            values.append(bundle(read_values(item, env, constant)))
        else:
            values.extend(_spread(item, env, constant))
    return values


def read_name(text: str, env: Env, scalar: Scalar) -> Value:
    """The value that an output or a reference names; raises SpecError."""
    found = _found(text.strip(), env, scalar)
    if isinstance(found, (Tensor, Bundle, Poison)):
        return found
    fail(f"{text!r} is {shown(found)}, expected the name of a value", scalar.mark)


def output_name(name: str, tree: Tree) -> Scalar:
    """The value that an output stands for, as written; raises SpecError."""
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        return tree
    fail(
        f"output {name!r} is {describe(tree)}, expected the name of a value", tree.mark, "e.g. `outputs: {p3: head.0}`"
    )


def _spread(tree: Tree, env: Env, constant: Constant) -> list[Value]:
    if not isinstance(tree, Scalar):
        fail(f"{describe(tree)} stands where the name of a value is expected", tree.mark)
    if isinstance(tree.value, (int, float)) and not isinstance(tree.value, bool):
        return [constant(float(tree.value))]
    if not isinstance(tree.value, str):
        fail(f"{tree.text or 'nothing'!r} names no value", tree.mark)
    text = tree.value.strip()
    if text.endswith(".*"):
        return _parts(read_name(text[:-2], env, tree))
    found = _found(text, env, tree)
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return [constant(float(found))]
    if isinstance(found, (Tensor, Bundle, Poison)):
        return [found]
    fail(f"{text!r} is {shown(found)}, expected the name of a value", tree.mark)


def _parts(value: Value) -> list[Value]:
    """A single value counts as a list of one."""
    if isinstance(value, Poison):
        raise Poisoned
    return list(value.parts.values()) if isinstance(value, Bundle) else [value]


def _found(text: str, env: Env, scalar: Scalar) -> Any:
    """A name leads to a value before it is taken for a parameter: what is read here are values."""
    if not _PATH.fullmatch(text):
        return _by_expression(text, env, scalar)
    try:
        value = _value(text, env)
    except NoPart as error:
        fail(error.message, scalar.mark, error.hint)
    if value is not None:
        return value
    if _NUMBER.fullmatch(text) or text.partition(".")[0] in env.params:
        return _by_expression(text, env, scalar)
    fail(f"no value is called {text!r} here", scalar.mark, _hint(text, env))


def _value(text: str, env: Env) -> Value | None:
    head, _, rest = text.partition(".")
    if head != "x" or env.x is None:
        return env.scope.resolve(text) if env.scope is not None else None
    return _part_of(env.x, rest, text)


def _part_of(value: Value, path: str, text: str) -> Value:
    """`x.0`, `x.left`: a part of the incoming value."""
    for word in path.split(".") if path else ():
        value = step_down(value, word, text)
    return value


def _hint(text: str, env: Env) -> str:
    known = [*(islice(env.scope.known(), MAX_LISTED) if env.scope is not None else ()), "x"]
    if hint := near(text, known) or near(text.partition(".")[0], known):
        return hint
    return f"names that can be read here: {', '.join(known[:_SHOWN_NAMES])}" + (
        " ..." if len(known) > _SHOWN_NAMES else ""
    )


def _by_expression(text: str, env: Env, scalar: Scalar) -> Any:
    try:
        found = compile_expression(text).evaluate(Env(env.params, env.x, env.scope, values_first=True))
    except ExpressionError as error:
        fail(f"{text!r} names no value: {error.message}", scalar.mark, error.hint)
    return found.value if isinstance(found, Group) else found
