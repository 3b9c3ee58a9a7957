"""What a person wrote for an argument, turned into the value its kind asks for.

Where a number or a truth value is expected a plain string is an expression; where text is expected it is that text, and only
`$name` reads a parameter. In a slot that takes words or numbers the listed words win.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import Mark, ShapeError
from ..ir import Field, SymDim
from .document import Map, Scalar, Seq, Tree, plain
from .expressions import ExpressionError, compile_expression, interpolate
from .spec import Param
from .steps import describe, fail, near
from .values import Env

PADDING_WORDS = ("half", "valid", "same_upper", "same_lower", "causal")
# Sizes are refused here, long before anything is allocated: a shape's product may still be refused later.
LARGEST = 2**31 - 1


def expression(scalar: Scalar, env: Env) -> Any:
    """The value of an expression, or of a number or truth value written plainly; raises SpecError at its column."""
    if not isinstance(scalar.value, str):
        return scalar.value
    try:
        return compile_expression(scalar.value).evaluate(env)
    except ExpressionError as error:
        shift = error.offset + (1 if scalar.quoted else 0)
        mark = scalar.mark
        if 0 <= error.offset < len(scalar.value) and "\n" not in scalar.value:
            mark = replace(mark, column=mark.column + shift, width=max(1, min(mark.width - shift, 40)))
        fail(f"in the expression `{_short(scalar.value)}`: {error.message}", mark, error.hint)


def condition(scalar: Scalar, env: Env, what: str) -> bool:
    """A truth value; a dynamic size or a number is refused."""
    value = expression(scalar, env)
    if isinstance(value, bool):
        return value
    fail(f"`{what}` is {shown(value)}, expected a truth value", scalar.mark, "compare: e.g. `stride == 1`")


def whole(scalar: Scalar, env: Env, what: str, least: int = 0) -> int:
    """A whole number that does not depend on a dynamic size."""
    value = _integral(expression(scalar, env))
    if isinstance(value, SymDim):
        fail(f"`{what}` depends on the dynamic size {value}", scalar.mark, "give the input a fixed size: --size 224")
    if not isinstance(value, int) or isinstance(value, bool):
        fail(f"`{what}` is {shown(value)}, expected a whole number", scalar.mark)
    if value < least:
        fail(f"`{what}` is {value}, expected at least {least}", scalar.mark)
    return value


def text(tree: Tree, env: Env, what: str) -> str:
    """Text, with `$name` read from the parameters."""
    if isinstance(tree, Scalar) and tree.value is not None and not isinstance(tree.value, bool):
        value = _interpolated(tree, env)
        if isinstance(value, str):
            return value
    fail(f"`{what}` is {describe(tree)}, expected text", tree.mark)


def data(tree: Tree, env: Env) -> Any:
    """Lists and plain values of a list argument: plain text in it is an expression, quoted text is text."""
    if isinstance(tree, Seq):
        return tuple(data(item, env) for item in tree.items)
    if isinstance(tree, Map):
        fail("a mapping stands where numbers or a list are expected", tree.mark)
    if tree.quoted and isinstance(tree.value, str) and not _is_expression(tree.value, env):
        return tree.value
    return expression(tree, env)


def parameter(param: Param, tree: Tree, env: Env) -> Any:
    """The value of a block's argument by the parameter's declared type; None, which counts as not given, for null."""
    what = param.name
    if param.type == "text":
        return text(tree, env, what)
    if param.type == "padding":
        return padding(tree, env, what)
    if param.type == "any":
        return _any(tree, env)
    if param.type == "list":
        value = data(tree, env)
        if value is not None and not isinstance(value, tuple):
            fail(f"`{what}` is {shown(value)}, expected a list", tree.mark, f"write `[{_short(str(value))}]` for a list of one")
        return value
    if not isinstance(tree, Scalar):
        hint = f"declare it `{what}: any = ...` if lists are meant to be given" if isinstance(tree, Seq) else ""
        fail(f"`{what}` is {describe(tree)}, expected {_KINDS[param.type]}", tree.mark, hint)
    value = expression(tree, env)
    return None if value is None else _typed(param, value, tree.mark)


def default(param: Param, env: Env) -> Any:
    """The value of a parameter that was not given."""
    if param.expression is None:
        return _frozen(param.default)
    if param.type == "number" and param.expression.value == "null":
        return None
    if param.type in ("padding", "text"):
        return parameter(param, param.expression, env)
    value = expression(param.expression, env)
    return None if value is None else _typed(param, value, param.expression.mark)


def given_data(param: Param, value: Any, mark: Mark, where: str) -> Any:
    """What `variants`, `--set` or Python gives a spec's parameter: data, checked against the declared type."""
    if param.type == "text":
        if isinstance(value, str):
            return value
        fail(f"{where} `{param.name}` is {shown(value)}, expected text", mark)
    if value is None:
        return None
    if isinstance(value, (list, tuple)) and param.type in ("list", "any", "padding"):
        return _frozen(value)
    if isinstance(value, str) and param.type in ("any", "padding"):
        return value
    if isinstance(value, (str, list, tuple, dict)):
        fail(f"{where} `{param.name}` is {shown(value)}, expected {_KINDS[param.type]}", mark)
    return _typed(param, value, mark)


def operator_argument(field: Field, tree: Tree, env: Env) -> Any:
    """The value of an operator's argument by its kind, None for null (not given); raises SpecError at its place."""
    if isinstance(tree, Scalar) and tree.value is None:
        return None
    if field.kind == "word":
        word = _word(tree, env, field)
        if word not in field.choices:
            hint = near(word, field.choices) or f"one of: {', '.join(field.choices)}"
            fail(f"`{field.name}` is {word!r}", tree.mark, hint)
        return word
    if field.kind == "text":
        return text(tree, env, field.name)
    if field.kind == "padding":
        return padding(tree, env, field.name)
    value = _raw(field, tree, env)
    return None if value is None else _CONVERT[field.kind](field.name, value, tree.mark)


def padding(tree: Tree, env: Env, what: str) -> Any:
    """A padding word, a count, or a list of counts."""
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        if tree.value in PADDING_WORDS:
            return tree.value
        if tree.value.startswith("$"):
            return padding_value(what, interpolate(tree.value, env), tree.mark)
        value = _expression_or_word(tree, env, PADDING_WORDS)
        return padding_value(what, value, tree.mark)
    return padding_value(what, data(tree, env), tree.mark)


def padding_value(what: str, value: Any, mark: Mark) -> Any:
    if isinstance(value, str):
        if value in PADDING_WORDS:
            return value
        fail(f"`{what}` is {value!r}", mark, near(value, PADDING_WORDS) or f"words: {', '.join(PADDING_WORDS)}")
    return _spatial(what, value, mark, least=0)


def shown(value: Any) -> str:
    """A value in an error message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, str):
        return f"the text {_short(value)!r}"
    if isinstance(value, (list, tuple)):
        return f"the list {_short(str(list(value)))}"
    if isinstance(value, SymDim):
        return f"the dynamic size {value}"
    return f"{value}" if isinstance(value, (int, float)) else f"a {type(value).__name__.lower()}"


_KINDS = {
    "int": "a whole number", "number": "a number", "bool": "true or false", "list": "a list", "padding": "a padding",
    "any": "a value", "text": "text",
}  # fmt: skip


def _typed(param: Param, value: Any, mark: Mark) -> Any:
    value = _integral(value) if param.type == "int" else value
    if isinstance(value, SymDim):
        fail(f"`{param.name}` depends on the dynamic size {value}", mark, "give the input a fixed size: --size 224")
    good = {
        "int": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "list": isinstance(value, (list, tuple)),
        "text": isinstance(value, str),
    }.get(param.type, True)
    if not good:
        hint = f"declare it `{param.name}: number = ...`" if param.type == "int" and isinstance(value, float) else ""
        fail(f"`{param.name}` is {shown(value)}, expected {_KINDS[param.type]}", mark, hint)
    return _frozen(value)


def _any(tree: Tree, env: Env) -> Any:
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        if tree.value in PADDING_WORDS:
            return tree.value
        if tree.value.startswith("$"):
            return _interpolated(tree, env)
        return expression(tree, env)
    return data(tree, env)


def _interpolated(tree: Scalar, env: Env) -> Any:
    if not isinstance(tree.value, str):
        return tree.text
    try:
        return interpolate(tree.value, env)
    except ExpressionError as error:
        fail(f"in the text `{_short(tree.value)}`: {error.message}", tree.mark, error.hint)


def _word(tree: Tree, env: Env, field: Field) -> str:
    return text(tree, env, field.name)


def _expression_or_word(tree: Scalar, env: Env, words: tuple[str, ...]) -> Any:
    """An expression; a single unknown word is answered with the words that would do."""
    value = str(tree.value)
    if value.isidentifier() and value not in env:
        fail(f"{value!r} is no padding", tree.mark, near(value, words) or f"words: {', '.join(words)}, or a number")
    return expression(tree, env)


def _is_expression(value: str, env: Env) -> bool:
    try:
        names = compile_expression(value).names
    except ExpressionError:
        return False
    return all(name in env for name in names) and not value.isidentifier()


def _raw(field: Field, tree: Tree, env: Env) -> Any:
    if isinstance(tree, Map):
        if field.kind == "init":
            return {str(k): v for k, v in dict(plain(tree)).items()}  # type: ignore[call-overload]
        fail(f"`{field.name}` is a mapping, expected {_EXPECTED[field.kind]}", tree.mark)
    if field.kind in ("init", "data") and isinstance(tree, Scalar) and isinstance(tree.value, str):
        return tree.value if field.kind == "init" and not tree.value.startswith("$") else _any(tree, env)
    return data(tree, env)


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _count(what: str, value: Any, mark: Mark, least: int = 0, most: int = LARGEST) -> int:
    value = _integral(value)
    if isinstance(value, SymDim):
        fail(f"`{what}` depends on the dynamic size {value}", mark, "give the input a fixed size: --size 224")
    if not isinstance(value, int) or isinstance(value, bool):
        fail(f"`{what}` is {shown(value)}, expected a whole number", mark)
    if not least <= value <= most:
        limit = f"at least {least}" if value < least else f"at most {most}"
        fail(f"`{what}` is {value}, expected {limit}", mark)
    return value


def _size(what: str, value: Any, mark: Mark) -> int:
    return _count(what, value, mark, least=1)


def _int(what: str, value: Any, mark: Mark) -> int:
    return _count(what, value, mark, least=-LARGEST)


def _number(what: str, value: Any, mark: Mark) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        fail(f"`{what}` is {shown(value)}, expected a number", mark)
    return float(value)


def _bool(what: str, value: Any, mark: Mark) -> bool:
    if not isinstance(value, bool):
        fail(f"`{what}` is {shown(value)}, expected true or false", mark)
    return value


def _spatial(what: str, value: Any, mark: Mark, least: int = 1) -> Any:
    if isinstance(value, (list, tuple)):
        if not 1 <= len(value) <= 6:
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


def _numbers(what: str, value: Any, mark: Mark) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_number(what, item, mark) for item in value)
    return _number(what, value, mark)


def _data(what: str, value: Any, mark: Mark) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_data(what, item, mark) for item in value)
    return value if isinstance(value, bool) else (value if isinstance(value, int) else _number(what, value, mark))


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
_EXPECTED = {
    "size": "a whole number", "count": "a whole number", "int": "a whole number", "number": "a number", "bool": "true or false",
    "spatial": "a size", "spatial0": "a size", "ints": "a list of whole numbers", "dim": "a size", "dims": "a list of sizes",
    "data": "numbers", "numbers": "numbers", "init": "a filling",
}  # fmt: skip


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _short(value: str) -> str:
    return value if len(value) <= 60 else value[:57] + "..."
