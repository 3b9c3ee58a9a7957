"""The words of an expression.

number   12  012  0x1F  0o17  1e-5  .5       as in YAML
text     'relu'  "relu"
name     letters, digits and _
word     true false null and or not if else in
part     .channels  .0                       behind a name, a part, `]` or `)`; elsewhere `.5` is a number
sign     + - * / // % ** == != < <= > >= ( ) [ ] , : =
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .kinds import LARGEST, ExpressionError, Value
from .scalars import ScalarError, number

MAX_LENGTH = 2_000

CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
WORDS = frozenset(("and", "or", "not", "if", "else", "in", *CONSTANTS))

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"\.[ \t\r\n]*([A-Za-z_][A-Za-z0-9_]*|[0-9]+)")
_SIGN = re.compile(r"\*\*|//|==|!=|<=|>=|[-+*/%<>()\[\],:=]")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
# What other languages write, longest first.
_FOREIGN = (
    ("&&", "write `and`"), ("||", "write `or`"), ("!", "write `not`"), ("?", "write `a if condition else b`"),
    ("^", "a power is written `**`"), ("$", "`$` is for text: an expression reads a parameter by its name alone"),
    ("{", "an expression has no { }: lists are written in [ ]"), (".", "a part is read as `x.channels` or `widths.0`"),
)  # fmt: skip
_PYTHON = {"True": "true", "False": "false", "None": "null", "is": "==", "lambda": ""}


class Token(NamedTuple):
    """`text` as written, `value` what it stands for, `at` its place in the expression, from 0."""

    kind: str
    text: str
    value: Value
    at: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of an expression, `end` last; raises ExpressionError at what is none."""
    if len(text) > MAX_LENGTH:
        message = f"an expression of {len(text):,} characters, expected at most {MAX_LENGTH:,}"
        raise ExpressionError(message, 0, "name parts of it by parameters")
    at = 0
    previous: Token | None = None
    while True:
        at = _end(_SPACE.match(text, at))
        if at == len(text):
            yield Token("end", "", None, at)
            return
        previous = _token(text, at, previous)
        yield previous
        at += len(previous.text)


def _token(text: str, at: int, previous: Token | None) -> Token:
    if text[at] == "." and previous is not None and _has_parts(previous):
        return _part(text, at)
    if found := _NUMBER.match(text, at):
        return _number(text, at, found.group())
    if found := _NAME.match(text, at):
        return _name(found.group(), at)
    if found := _TEXT.match(text, at):
        return Token("text", found.group(), found.group()[1:-1], at)
    if text[at] in "'\"":
        raise ExpressionError("a quoted text is not closed", at, "a text ends with the quote it began with")
    if found := _SIGN.match(text, at):
        return Token("sign", found.group(), None, at)
    hint = next((hint for sign, hint in _FOREIGN if text.startswith(sign, at)), "")
    raise ExpressionError(f"{text[at]!r} cannot stand in an expression", at, hint)


def _has_parts(token: Token) -> bool:
    return token.kind in ("name", "part", "text") or token.text in ("]", ")")


def _part(text: str, at: int) -> Token:
    if found := _PART.match(text, at):
        return Token("part", found.group(), found.group(1), at)
    if text[at + 1 :].lstrip().startswith("*"):
        hint = "`parts.*` stands where values are listed; an expression reads one: parts[0]"
        raise ExpressionError("`.*` cannot stand in an expression", at, hint)
    raise ExpressionError("no name stands behind the `.`", at, "e.g. `x.channels` or `widths.0`")


def _number(text: str, at: int, written: str) -> Token:
    end = at + len(written)
    if end < len(text) and (text[end].isalnum() or text[end] in "_."):
        rest = re.compile(r"[\w.]*").match(text, at)
        raise ExpressionError(f"{text[at : _end(rest)]!r} is no number", at, "a name begins with a letter")
    try:
        value = number(written.lower())
    except ScalarError as error:
        raise ExpressionError(error.message, at) from None
    if isinstance(value, int) and value > LARGEST:
        raise ExpressionError(f"the whole number {written} is beyond 2**53", at, "sizes and counts are far smaller")
    return Token("number", written, value, at)


def _name(word: str, at: int) -> Token:
    if word in _PYTHON:
        hint = f"write `{_PYTHON[word]}`" if _PYTHON[word] else "the functions of expressions are a closed list"
        raise ExpressionError(f"`{word}` is no word of expressions", at, hint)
    return Token("word" if word in WORDS else "name", word, None, at)


def _end(found: re.Match[str] | None) -> int:
    assert found is not None
    return found.end()
