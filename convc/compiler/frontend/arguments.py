"""What a person wrote for a value, turned into what its place asks for: an expression, text, a list, a block's parameter.

Where a number or a truth value is expected a plain string is an expression; where text is expected it is that text, and only
`$name` reads a parameter. In a slot that takes words or numbers the listed words win. `null` counts as not given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import Mark, Problem
from ..ir import SymDim
from .document import Map, Scalar, Seq, Tree
from .expressions import ExpressionError, compile_expression, interpolate
from .spec import KINDS, Param
from .steps import describe, fail, is_null, near
from .values import Env

PADDING_WORDS = ("half", "valid", "same_upper", "same_lower", "causal")
FIXED_SIZE = "give the input a fixed size: --size 224"


def expression(scalar: Scalar, env: Env) -> Any:
    """The value of an expression, or of a number or truth value written plainly; raises SpecError at its column."""
    if not isinstance(scalar.value, str):
        return scalar.value
    try:
        return compile_expression(scalar.value).evaluate(env)
    except ExpressionError as error:
        found = fault(scalar, error)
    fail(found.message, found.mark or scalar.mark, found.hint)


def fault(scalar: Scalar, error: ExpressionError) -> Problem:
    """What is wrong with an expression, at its place in the line."""
    mark, text = scalar.mark, str(scalar.value)
    if 0 <= error.offset < len(text) and "\n" not in text:
        shift = error.offset + (1 if scalar.quoted else 0)
        mark = replace(mark, column=mark.column + shift, width=max(1, min(mark.width - shift, 40)))
    return Problem(f"in the expression `{short(text)}`: {error.message}", mark, error.hint)


def condition(scalar: Scalar, env: Env, what: str) -> bool:
    """A truth value; a dynamic size or a number is refused."""
    value = expression(scalar, env)
    if isinstance(value, bool):
        return value
    fail(f"`{what}` is {shown(value)}, expected a truth value", scalar.mark, "compare: e.g. `stride == 1`")


def whole(scalar: Scalar, env: Env, what: str, least: int = 0) -> int:
    """A whole number that does not depend on a dynamic size."""
    value = integral(expression(scalar, env))
    if isinstance(value, SymDim):
        fail(f"`{what}` depends on the dynamic size {value}", scalar.mark, FIXED_SIZE)
    if not isinstance(value, int) or isinstance(value, bool):
        fail(f"`{what}` is {shown(value)}, expected a whole number", scalar.mark)
    if value < least:
        fail(f"`{what}` is {value}, expected at least {least}", scalar.mark)
    return value


def text(tree: Tree, env: Env, what: str) -> str:
    """Text, with `$name` read from the parameters; raises SpecError, for null too."""
    value = optional_text(tree, env, what)
    if value is None:
        fail(f"`{what}` is null, expected text", tree.mark)
    return value


def optional_text(tree: Tree, env: Env, what: str) -> str | None:
    """The same, where null counts as not given."""
    if is_null(tree):
        return None
    if isinstance(tree, Scalar) and not isinstance(tree.value, bool):
        value = tree.text if not isinstance(tree.value, str) else _interpolated(tree, env)
        if value is None or isinstance(value, str):
            return value
        fail(f"`{what}` is {shown(value)}, expected text", tree.mark)
    fail(f"`{what}` is {describe(tree)}, expected text", tree.mark)


def data(tree: Tree, env: Env, texts: bool = False) -> Any:
    """Numbers in nested lists, as tuples; every string is an expression, or with `texts` a quoted item may be text."""
    if isinstance(tree, Seq):
        return tuple(_item(item, env, texts) for item in tree.items)
    if isinstance(tree, Map):
        fail("a mapping stands where numbers or a list are expected", tree.mark)
    return expression(tree, env)


def parameter(param: Param, tree: Tree, env: Env) -> Any:
    """The value of a block's argument by the parameter's declared type; None, which counts as not given, for null."""
    what = param.name
    if is_null(tree):
        return None
    if param.type == "text":
        return optional_text(tree, env, what)
    if param.type == "padding":
        from .conversions import padding

        return padding(tree, env, what)
    if param.type == "any":
        return _any(tree, env)
    if param.type != "list" and not isinstance(tree, Scalar):
        hint = f"declare it `{what}: any = ...` if lists are meant to be given" if isinstance(tree, Seq) else ""
        fail(f"`{what}` is {describe(tree)}, expected {KINDS[param.type]}", tree.mark, hint)
    value = data(tree, env, texts=True)
    return None if value is None else _typed(param, value, tree.mark)


def default(param: Param, env: Env) -> Any:
    """The value of a parameter that was not given; null where it may be left out."""
    written = param.expression
    if written is None:
        return frozen(param.default)
    if isinstance(written.value, str) and written.value.strip() == "null":
        return None
    if param.type == "text" and isinstance(written.value, str) and (bare := _unquoted(written.value)) is not None:
        return bare
    return parameter(param, written, env)


def given_data(param: Param, value: Any, mark: Mark, where: str) -> Any:
    """What `variants`, `--set` or Python gives a spec's parameter: data, checked against the declared type; None for null."""
    if value is None:
        return None
    if not _is_data(value):
        fail(
            f"{where} `{param.name}` is {shown(value)}, expected data: numbers, text, truth values, or lists of these",
            mark,
        )
    if param.type in ("list", "any", "padding") and isinstance(value, (list, tuple)):
        return frozen(value)
    if param.type in ("text", "any", "padding") and isinstance(value, str):
        if param.type == "padding" and value not in PADDING_WORDS:
            hint = near(value, PADDING_WORDS) or f"words: {', '.join(PADDING_WORDS)}, or numbers"
            fail(f"{where} `{param.name}` is {value!r}", mark, hint)
        return value
    if isinstance(value, (str, list, tuple)) or param.type == "text":
        hint = (
            "what is set from outside is data: expressions are computed inside the spec"
            if isinstance(value, str)
            else ""
        )
        fail(f"{where} `{param.name}` is {shown(value)}, expected {KINDS[param.type]}", mark, hint)
    return _typed(param, value, mark, f"{where} ")


def shown(value: Any) -> str:
    """A value in an error message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, str):
        return f"the text {short(value)!r}"
    if isinstance(value, (list, tuple)):
        return f"the list {short(str(list(value)))}"
    if isinstance(value, SymDim):
        return f"the dynamic size {value}"
    if isinstance(value, dict):
        return "a mapping"
    return f"{value}" if isinstance(value, (int, float)) else f"a {type(value).__name__.lower()}"


def integral(value: Any) -> Any:
    """A float that is a whole number, as one."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def frozen(value: Any) -> Any:
    """Lists as tuples, inner ones too."""
    return tuple(frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def short(value: str) -> str:
    return value if len(value) <= 60 else value[:57] + "..."


def _typed(param: Param, value: Any, mark: Mark, where: str = "") -> Any:
    value = integral(value) if param.type == "int" else value
    if isinstance(value, SymDim):
        hint = (
            f"{FIXED_SIZE}; or declare it `{param.name}: any` where it only sizes a reshape, resize, slice, crop or pad"
        )
        fail(f"`{param.name}` depends on the dynamic size {value}", mark, hint)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = {
        "int": is_number and isinstance(value, int),
        "number": is_number,
        "bool": isinstance(value, bool),
        "list": isinstance(value, (list, tuple)),
        "text": isinstance(value, str),
        "padding": is_number,
    }.get(param.type, True)
    if not good:
        hint = f"declare it `{param.name}: number = ...`" if param.type == "int" and is_number else ""
        hint = f"write `[{short(str(value))}]` for a list of one" if param.type == "list" else hint
        fail(f"{where}`{param.name}` is {shown(value)}, expected {KINDS[param.type]}", mark, hint)
    return frozen(value)


def _any(tree: Tree, env: Env) -> Any:
    if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
        return data(tree, env, texts=True)
    if tree.value in PADDING_WORDS:
        return tree.value
    return _interpolated(tree, env) if tree.value.startswith("$") else _item(tree, env, texts=True)


def _item(tree: Tree, env: Env, texts: bool) -> Any:
    if isinstance(tree, Scalar) and texts and tree.quoted and isinstance(tree.value, str):
        return expression(tree, env) if _is_expression(tree.value, env) else tree.value
    return data(tree, env, texts)


def _is_expression(value: str, env: Env) -> bool:
    """Whether quoted text is an expression that YAML's commas or brackets made somebody quote."""
    if value.isidentifier():
        return False
    try:
        names = compile_expression(value).names
    except ExpressionError:
        return False
    return all(name in env for name in names)


def _interpolated(tree: Scalar, env: Env) -> Any:
    try:
        return interpolate(str(tree.value), env)
    except ExpressionError as error:
        fail(f"in the text `{short(str(tree.value))}`: {error.message}", tree.mark, error.hint)


def _unquoted(value: str) -> str | None:
    """`mode: text = 'nearest'`: quotes around the whole text are not part of it."""
    quote = value[:1]
    return (
        value[1:-1]
        if quote in ("'", '"') and len(value) > 1 and value.endswith(quote) and quote not in value[1:-1]
        else None
    )


def _is_data(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_data, value))
    return value is None or isinstance(value, (bool, int, float, str))
