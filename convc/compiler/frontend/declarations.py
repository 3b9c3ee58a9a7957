"""Declared parameters: `out: int`, `mid: int = x.channels // 4`, `stride: 1`.

out: int                        a type alone: required
mid: int = x.channels // 4      a default as an expression, which sees the parameters before it
stride: 1                       a default as a plain value, whose kind is the type
eps: number = null              may be left out
act: {type: text = relu, doc: the activation}     any of these, with what `convc show block` says of it
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import Mark, Problem, SpecError
from .document import Map, Scalar, Seq, Tree, plain
from .parsing import WORDS
from .steps import describe, fail, is_null, near

KINDS: Mapping[str, str] = {
    "int": "a whole number", "number": "a number", "bool": "true or false", "text": "text", "list": "a list",
    "padding": "a padding", "any": "a value",
}  # fmt: skip
TYPES = tuple(KINDS)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DECLARED = re.compile(rf"({'|'.join(TYPES)})\s*(?:=\s*(.+))?", re.DOTALL)
# What people call types elsewhere, and anything before an equals sign, is no text that they mean as a default.
_ELSEWHERE = r"integer|float|boolean|str|string|tuple"
_MISSPELT = re.compile(rf"({_ELSEWHERE})|([A-Za-z_]\w*)\s*=[^=].*", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Param:
    """A declared parameter: its type, and its default as an expression (`mid: int = x.channels // 4`) or a plain value."""

    name: str
    type: str
    mark: Mark
    expression: Scalar | None = None
    default: Any = None
    required: bool = False
    doc: str = ""


def read_params(tree: Tree | None, problems: list[Problem]) -> dict[str, Param]:
    """The parameters of a block or a spec, in order; what is wrong with one is added to `problems`."""
    found: dict[str, Param] = {}
    if tree is None or is_null(tree):
        return found
    if not isinstance(tree, Map):
        message = f"`params` is {describe(tree)}, expected a mapping of names to types or defaults"
        problems.append(Problem(message, tree.mark, "e.g. `params: {out: int, stride: 1}`"))
        return found
    for key, value in tree.entries:
        try:
            found[key.text] = _named(key, value)
        except SpecError as error:
            problems.extend(error.problems)
    return found


def _named(key: Scalar, value: Tree) -> Param:
    name = key.text
    if not NAME.fullmatch(name):
        fail(f"a parameter cannot be called {name!r}", key.mark, "letters, digits and _, not a digit first")
    if name in WORDS:
        fail(f"a parameter cannot be called {name!r}: expressions have a meaning for the word", key.mark)
    return _param(name, key.mark, value)


def _param(name: str, mark: Mark, tree: Tree) -> Param:
    if isinstance(tree, Map):
        return _documented(name, mark, tree)
    if isinstance(tree, Seq):
        return Param(name, "list", mark, default=_listed(name, tree))
    value = tree.value
    if isinstance(value, str):
        return _declared(name, mark, tree, value)
    kind = (
        "any" if value is None else "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "number"
    )
    return Param(name, kind, mark, default=value)


def _declared(name: str, mark: Mark, tree: Scalar, value: str) -> Param:
    found = _DECLARED.fullmatch(value.strip())
    # Inside { } YAML makes people quote a default that holds a comma; a quoted word alone is text.
    if found is None or (tree.quoted and found[2] is None):
        _check_type(name, tree, value)
        return Param(name, "text", mark, default=value)
    kind, written = found.groups()
    if written is None:
        return Param(name, kind, mark, required=True)
    # The expression keeps its own place: errors in it point into the line.
    shift = value.index(written, value.index("=") + 1) + (1 if tree.quoted else 0)
    place = replace(tree.mark, column=tree.mark.column + shift, width=len(written))
    return Param(name, kind, mark, expression=Scalar(written, place, False, written))


def _check_type(name: str, tree: Scalar, value: str) -> None:
    """`out: integer = 3` is no text that anybody means."""
    if not tree.quoted and (found := _MISSPELT.fullmatch(value)):
        word = found[1] or found[2]
        hint = f"{near(word, TYPES)} types: {', '.join(TYPES)}; quote it where text is meant"
        fail(f"parameter {name!r} is declared with the type {word!r}, which there is not", tree.mark, hint.strip())


def _documented(name: str, mark: Mark, tree: Map) -> Param:
    keys = set(tree.keys())
    body = tree.get("type") if "type" in keys else tree.get("default")
    if not keys <= {"type", "doc", "default"} or body is None or {"type", "default"} <= keys:
        hint = "declare a type (`out: int`), a default (`stride: 1`), or both with a `doc`: {type: int = 1, doc: ...}"
        fail(f"parameter {name!r} is a mapping", tree.mark, hint)
    doc = tree.get("doc")
    inner = _param(name, mark, body)
    return replace(inner, doc=doc.text if isinstance(doc, Scalar) else "")


def _listed(name: str, tree: Seq) -> Any:
    waiting: list[Tree] = list(tree.items)
    for item in waiting:
        if isinstance(item, Map):
            fail(f"the default of parameter {name!r} holds a mapping, expected numbers, text or lists", item.mark)
        waiting.extend(item.items if isinstance(item, Seq) else ())
    return plain(tree)
