"""Arithmetic and comparison of the values of expressions: Python's meaning, less what it guesses.

    + - *        numbers; dynamic sizes and whole numbers; + joins texts and lists; * repeats a list
    /            always a float (6 / 2 is 3.0, which counts as 3 where a whole number is expected)
    // %         round towards minus infinity; // also divides dynamic sizes
    **           numbers; refused before it is computed where the result would be too large
    == !=        values of one kind; null equals only null
    < <= > >=    numbers, or texts
    in           an item of a list, a piece of a text

Truth values are no numbers, numbers no truth values. Every function raises Fault.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

from ..errors import ShapeError
from ..ir import SymDim
from ..ir.dims import Dim, FloorDiv
from .kinds import (
    LARGEST,
    MAX_ATOMS,
    MAX_DIVISIONS,
    MAX_ITEMS,
    Fault,
    Value,
    checked,
    conversion_hint,
    dynamic,
    is_number,
    is_readable,
    is_text,
    kind,
    numeric,
    shown,
)

_NUMERIC: Mapping[str, Callable[[Value, Value], Value]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow,
}  # fmt: skip
_ORDER: Mapping[str, Callable[[Value, Value], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_SAYING = {
    "+": "add {} and {}", "-": "subtract {1} from {0}", "*": "multiply {} by {}", "/": "divide {} by {}",
    "//": "divide {} by {}", "%": "divide {} by {}", "**": "raise {} to {}",
}  # fmt: skip


def arithmetic(sign: str, left: Value, right: Value) -> Value:
    """`left sign right` for + - * / // % and **."""
    if is_number(left) and is_number(right):
        return _numbers(sign, left, right)
    if isinstance(left, SymDim) or isinstance(right, SymDim):
        return _sizes(sign, left, right)
    if sign == "+" and is_text(left) and is_text(right):
        return checked(left + right)
    if sign == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        return checked(left + right)
    if sign == "*" and isinstance(left, tuple) and type(right) is int:
        return _repeated(left, right)
    if sign == "*" and isinstance(right, tuple) and type(left) is int:
        return _repeated(right, left)
    raise Fault(_cannot(sign, left, right), conversion_hint(left) or conversion_hint(right))


def negative(value: Value) -> Value:
    """`-value`."""
    return arithmetic("*", value, -1) if isinstance(value, SymDim) else -numeric(value, "what `-` stands before")


def positive(value: Value) -> Value:
    """`+value`."""
    return value if isinstance(value, SymDim) else numeric(value, "what `+` stands before")


def compare(sign: str, left: Value, right: Value) -> bool:
    """`left sign right` for == != < <= > >= `in` and `not in`."""
    if sign in _ORDER:
        return _ordered(sign, left, right)
    if sign in ("in", "not in"):
        return _contains(right, left) == (sign == "in")
    _comparable(sign, left, right)
    return _same(left, right) == (sign == "==")


def _numbers(sign: str, left: float, right: float) -> Value:
    if sign == "**":
        _bounded_power(left, right)
    try:
        value = _NUMERIC[sign](left, right)
    except ZeroDivisionError:
        raise Fault("division by zero") from None
    except OverflowError:
        raise Fault(f"the result of {shown(left)} {sign} {shown(right)} is too large") from None
    if isinstance(value, complex):
        raise Fault(f"{shown(left)} ** {shown(right)} is no real number", "the root of a negative number has no value")
    return checked(value)


def _bounded_power(base: float, exponent: float) -> None:
    if type(base) is not int or type(exponent) is not int or exponent < 0 or abs(base) < 2:
        return
    if exponent * math.log2(abs(base)) > math.log2(LARGEST):
        raise Fault(f"{base} ** {exponent} is a whole number beyond 2**53", "sizes and counts are far smaller")


def _sizes(sign: str, left: Value, right: Value) -> Value:
    """Arithmetic with a dynamic size. Every result is bounded, so the next operation on it is cheap."""
    size = left if isinstance(left, SymDim) else right
    for side in (left, right):
        if not isinstance(side, SymDim) and not _is_whole(side):
            raise Fault(_cannot(sign, left, right), f"the dynamic size is {size}; it goes with whole numbers only")
    if sign not in ("+", "-", "*", "//"):
        raise dynamic(size, f"`{sign}`")
    left, right = (side if isinstance(side, SymDim) else int(side) for side in (left, right))
    try:
        value = _NUMERIC[sign](left, right)
    except ShapeError as error:
        raise Fault(error.message, error.hint) from None
    if _atoms(value, 0) > MAX_ATOMS:
        raise Fault("a dynamic size of too many terms", "give the input a fixed size (--size 224)")
    return checked(value)


def _atoms(size: Dim, depth: int) -> int:
    """How much a dynamic size consists of; more than MAX_ATOMS where divisions stand too deep inside each other."""
    if isinstance(size, int):
        return 0
    if depth > MAX_DIVISIONS:
        return MAX_ATOMS + 1
    atoms = [atom for monomial, _ in size.terms for atom in monomial]
    return sum(1 + (_atoms(atom.numerator, depth + 1) if isinstance(atom, FloorDiv) else 0) for atom in atoms)


def _is_whole(value: Value) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer() and abs(value) <= LARGEST)


def _repeated(items: tuple[Value, ...], times: int) -> Value:
    if len(items) * max(0, times) > MAX_ITEMS:
        raise Fault(f"a list of {len(items) * times:,} items, expected at most {MAX_ITEMS:,}")
    return checked(items * times)


def _ordered(sign: str, left: Value, right: Value) -> bool:
    if (is_number(left) and is_number(right)) or (is_text(left) and is_text(right)):
        return _ORDER[sign](left, right)
    for side in (left, right):
        if isinstance(side, SymDim):
            raise dynamic(side, f"`{sign}`")
    hint = conversion_hint(left) or conversion_hint(right)
    raise Fault(f"`{sign}` cannot compare {kind(left)} and {kind(right)}", hint)


def _comparable(sign: str, left: Value, right: Value) -> None:
    for side in (left, right):
        if isinstance(side, SymDim):
            raise dynamic(side, f"`{sign}`")
    if left is None or right is None:
        return
    if kind(left) != kind(right):
        what = f"{kind(left)} ({shown(left)}) and {kind(right)} ({shown(right)})"
        raise Fault(f"`{sign}` cannot compare {what}", "text in an expression is quoted: e.g. `act == 'relu'`")
    if is_readable(left):
        raise Fault(f"`{sign}` cannot compare tensors", "compare what they have: e.g. `x.channels == out`")


def _same(left: Value, right: Value) -> bool:
    """Equality as a value: inside lists, values of two kinds are different and no error."""
    for side in (left, right):
        if isinstance(side, SymDim):
            raise dynamic(side, "the comparison")
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    return kind(left) == kind(right) and bool(left == right)


def _contains(container: Value, item: Value) -> bool:
    if isinstance(container, tuple):
        return any(_same(item, other) for other in container)
    if is_text(container) and is_text(item):
        return item in container
    raise Fault(f"`in` cannot look for {kind(item)} in {kind(container)}", "write a list: e.g. `k in [3, 5]`")


def _cannot(sign: str, left: Value, right: Value) -> str:
    return "cannot " + _SAYING[sign].format(kind(left), kind(right))
