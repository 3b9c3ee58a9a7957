"""An operator's arguments by the kinds of its fields (see ir/op.py), and padding, which is a word or numbers.

A size that is only known when the network runs is refused by name, except in the kinds `dim` and `dims`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Mark, ShapeError
from ..ir import Field, SymDim
from .arguments import FIXED_SIZE, PADDING_WORDS, data, expression, integral, optional_text, shown
from .document import Map, Scalar, Tree
from .expressions import ExpressionError, interpolate
from .steps import fail, is_null, near
from .values import Env

# Sizes are refused here, long before anything is allocated: a shape's product may still be refused later.
LARGEST = 2**31 - 1
MAX_LISTED = 6


def operator_argument(field: Field, tree: Tree, env: Env) -> Any:
    """The value of an operator's argument by its kind, None for null (not given); raises SpecError at its place."""
    if is_null(tree):
        return None
    if field.kind == "word":
        word = optional_text(tree, env, field.name)
        if word is not None and word not in field.choices:
            hint = near(word, field.choices) or f"one of: {', '.join(field.choices)}"
            fail(f"`{field.name}` is {word!r}", tree.mark, hint)
        return word
    if field.kind == "text":
        return optional_text(tree, env, field.name)
    if field.kind == "padding":
        return padding(tree, env, field.name)
    value = _init_value(tree, env) if field.kind == "init" else _plain_value(field, tree, env)
    return None if value is None else _CONVERT[field.kind](field.name, value, tree.mark)


def padding(tree: Tree, env: Env, what: str) -> Any:
    """A padding word, a count, or a list of counts; None for null."""
    if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
        value = data(tree, env)
    elif tree.value in PADDING_WORDS:
        return tree.value
    elif tree.value.startswith("$"):
        value = _read(tree, env)
    elif tree.value.isidentifier() and tree.value not in env:
        hint = near(tree.value, PADDING_WORDS) or f"words: {', '.join(PADDING_WORDS)}, or a number"
        fail(f"`{what}` is {tree.value!r}, which is no padding", tree.mark, hint)
    else:
        value = expression(tree, env)
    if isinstance(value, str) and value not in PADDING_WORDS:
        fail(f"`{what}` is {value!r}", tree.mark, near(value, PADDING_WORDS) or f"words: {', '.join(PADDING_WORDS)}")
    return value if value is None or isinstance(value, str) else _spatial(what, value, tree.mark, least=0)


def _read(tree: Scalar, env: Env) -> Any:
    try:
        return interpolate(str(tree.value), env)
    except ExpressionError as error:
        fail(f"in the text `{tree.value}`: {error.message}", tree.mark, error.hint)


def _plain_value(field: Field, tree: Tree, env: Env) -> Any:
    if isinstance(tree, Map):
        fail(f"`{field.name}` is a mapping, expected {_EXPECTED[field.kind]}", tree.mark)
    return data(tree, env)


def _init_value(tree: Tree, env: Env) -> Any:
    """A word, a number, or a word with its number: `zeros`, `0.25`, `{normal: 0.02}`."""
    if isinstance(tree, Map):
        return {key.text: data(value, env) for key, value in tree.entries}
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        if tree.value.startswith("$"):
            return _read(tree, env)
        return expression(tree, env) if tree.value in env or not tree.value.isidentifier() else tree.value
    return data(tree, env)


def _count(what: str, value: Any, mark: Mark, least: int = 0, most: int = LARGEST) -> int:
    value = integral(value)
    if isinstance(value, SymDim):
        fail(f"`{what}` depends on the dynamic size {value}", mark, FIXED_SIZE)
    if not isinstance(value, int) or isinstance(value, bool):
        fail(f"`{what}` is {shown(value)}, expected a whole number", mark, _data_hint(value))
    if not least <= value <= most:
        limit = f"at least {least:,}" if value < least else f"at most {most:,}"
        fail(f"`{what}` is {value:,}, expected {limit}", mark)
    return value


def _data_hint(value: Any) -> str:
    return "the cells of a loop's rows are data, not expressions" if isinstance(value, str) else ""


def _size(what: str, value: Any, mark: Mark) -> int:
    return _count(what, value, mark, least=1)


def _int(what: str, value: Any, mark: Mark) -> int:
    return _count(what, value, mark, least=-LARGEST)


def _number(what: str, value: Any, mark: Mark) -> float:
    if isinstance(value, SymDim):
        fail(f"`{what}` depends on the dynamic size {value}", mark, FIXED_SIZE)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        fail(f"`{what}` is {shown(value)}, expected a number", mark, _data_hint(value))
    return float(value)


def _bool(what: str, value: Any, mark: Mark) -> bool:
    if not isinstance(value, bool):
        fail(f"`{what}` is {shown(value)}, expected true or false", mark)
    return value


def _spatial(what: str, value: Any, mark: Mark, least: int = 1) -> Any:
    if isinstance(value, (list, tuple)):
        if not 1 <= len(value) <= MAX_LISTED:
            fail(f"`{what}` lists {len(value)} numbers, expected one per spatial axis", mark)
        return tuple(_count(what, item, mark, least) for item in value)
    return _count(what, value, mark, least)


def _ints(what: str, value: Any, mark: Mark) -> tuple[int, ...]:
    items = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(_int(what, item, mark) for item in items)


def _dim(what: str, value: Any, mark: Mark) -> Any:
    return value if isinstance(value, SymDim) else _int(what, value, mark)


def _dims(what: str, value: Any, mark: Mark) -> tuple[Any, ...]:
    items = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(_dim(what, item, mark) for item in items)


def _numbers(what: str, value: Any, mark: Mark) -> tuple[float, ...]:
    items = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(_number(what, item, mark) for item in items)


def _data(what: str, value: Any, mark: Mark) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_data(what, item, mark) for item in value)
    return value if isinstance(value, int) else _number(what, value, mark)


def _init(what: str, value: Any, mark: Mark) -> Any:
    from ..ops.init import parse_init

    try:
        return parse_init(value)
    except ShapeError as error:
        fail(f"`{what}`: {error.message}", mark, error.hint)


_CONVERT: Mapping[str, Callable[[str, Any, Mark], Any]] = {
    "size": _size,
    "count": _count,
    "int": _int,
    "number": _number,
    "numbers": _numbers,
    "bool": _bool,
    "spatial": _spatial,
    "spatial0": lambda what, value, mark: _spatial(what, value, mark, least=0),
    "ints": _ints,
    "dim": _dim,
    "dims": _dims,
    "data": _data,
    "init": _init,
}
_EXPECTED: Mapping[str, str] = {
    **dict.fromkeys(("size", "count", "int"), "a whole number"),
    **dict.fromkeys(("number", "numbers"), "a number"),
    **dict.fromkeys(("spatial", "spatial0", "dim"), "a size"),
    "bool": "true or false",
    "ints": "a list of whole numbers",
    "dims": "a list of sizes",
    "data": "numbers",
}
