"""Expressions: `divisible(c * width)`, `stride == 1 and x.channels == out`, `widths[1:]`.

A small typed evaluator over its own grammar (`syntax`); nothing is ever given to Python to run. It is bounded in length,
depth, magnitude (whole numbers within 2**53, floats finite) and size (lists of 10,000 items). `and`, `or` and
`a if c else b` compute only what they need.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from .evaluation import Env, Evaluation, lookup
from .kinds import ExpressionError, Readable, Value, is_text, kind, shown
from .nodes import Name, Node, walk
from .syntax import parse

__all__ = ["Expression", "ExpressionError", "Readable", "Value", "compile_expression", "interpolate"]

_SLOT = re.compile(r"\$(?:\$|([A-Za-z_][A-Za-z0-9_]*))?")


@dataclass(frozen=True)
class Expression:
    """A parsed expression, and the names it reads."""

    text: str
    names: frozenset[str]
    _tree: Node = field(repr=False, compare=False)

    def evaluate(self, env: Env) -> Value:
        """Its value; lists are tuples. Raises ExpressionError at the place that has none."""
        try:
            return Evaluation(env).value(self._tree)
        except RecursionError:
            raise ExpressionError("nested too deeply to be computed", 0, "name a part of it by a parameter") from None


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """The expression that `text` writes; raises ExpressionError where it is none."""
    try:
        tree = parse(text)
    except RecursionError:
        raise ExpressionError("nested too deeply to be read", 0, "name a part of it by a parameter") from None
    return Expression(text, frozenset(node.name for node in walk(tree) if isinstance(node, Name)), tree)


def interpolate(text: str, env: Env) -> Value:
    """Text with its `$name`s read. A lone `$name` gives the value itself, of any kind; `$$` is a dollar.

    Inside a longer text a name gives text or a whole number. Raises ExpressionError.
    """
    lone = _SLOT.fullmatch(text)
    if lone is not None and lone.group(1):
        return lookup(lone.group(1), env, 0)
    return _SLOT.sub(lambda found: _slot(found, env), text)


def _slot(found: re.Match[str], env: Env) -> str:
    name = found.group(1)
    if name is None:
        if found.group() == "$$":
            return "$"
        raise ExpressionError("no name stands behind the `$`", found.start(), "write `$$` for a dollar")
    value = lookup(name, env, found.start())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if is_text(value) or type(value) is int:
        return str(value)
    message = f"`${name}` is {kind(value)} ({shown(value)}), expected text or a whole number inside a longer text"
    raise ExpressionError(message, found.start())
