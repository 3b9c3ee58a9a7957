"""Plain words of a YAML file as values: the core schema of YAML 1.2, section 10.3.2.

    ~ null (nothing)      null             012 -7 +3         whole numbers, in ten
    true False            truth values     0o17 0x1F         whole numbers, in eight and sixteen
    1e-5 .5 3.            numbers          no on 1:30 1_000  text, as everything else

`.nan` and `.inf` are numbers of the schema that no spec can use, and are refused.
"""

from __future__ import annotations

import math
import re

Plain = int | float | bool | str | None

# Enough for every double written out in full; a longer row of digits is a mistake or an attack.
MAX_DIGITS = 30

_WORDS: dict[str, Plain] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_STARTS = frozenset("-+.0123456789")


class ScalarError(ValueError):
    """A word that is a number, but none that can be used; `hint` says what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def resolve(text: str) -> Plain:
    """The value of a plain word; raises ScalarError for NaN, infinities and endless digits."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    value = number(text)
    return text if value is None else value


def number(text: str) -> int | float | None:
    """The number that `text` writes, or None; raises ScalarError as `resolve` does."""
    if _NOT_FINITE.fullmatch(text):
        name = "NaN" if text.lower().endswith("nan") else "infinity"
        raise ScalarError(f"{text} is {name}, expected a finite number", f"quote it where text is meant: '{text}'")
    is_int = _INT.fullmatch(text) is not None
    if not is_int and not _FLOAT.fullmatch(text):
        return None
    if len(text) > MAX_DIGITS + 2:
        hint = "round it, or quote it where text is meant"
        raise ScalarError(f"a number of {len(text)} characters, expected at most {MAX_DIGITS} digits", hint)
    if is_int:
        return int(text[2:], 16 if text[1] == "x" else 8) if text[1:2] in ("x", "o") else int(text)
    value = float(text)
    if not math.isfinite(value):
        raise ScalarError(f"{text} is infinity, expected a finite number", "the largest number is about 1.8e308")
    return value
