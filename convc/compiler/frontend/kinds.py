"""The values of expressions: their kinds, and the bounds that every one of them keeps.

    Value = int | float | bool | str | None | tuple of values | SymDim | Readable

A list is a tuple. Whole numbers stay within 2**53, where floats still count exactly; floats are finite.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeGuard

from ..errors import ConvcError
from ..ir import SymDim

Value = Any

LARGEST = 2**53
MAX_ITEMS = 10_000
MAX_TEXT = 10_000
MAX_LIST_DEPTH = 16
# Of a dynamic size: symbols and floor divisions in all, and floor divisions inside each other. Real ones have a few.
MAX_ATOMS = 40
MAX_DIVISIONS = 6


class ExpressionError(ConvcError):
    """An expression is wrong. `offset` counts characters from 0 in its text."""

    def __init__(self, message: str, offset: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class Fault(Exception):
    """What is wrong with values, said where nobody knows the place; the evaluator makes an ExpressionError of it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Readable(Protocol):
    """A value with named parts that expressions may read: `x.channels`, `branch.left`."""

    def read(self, name: str) -> Value:
        """The part called `name`; raises KeyError with a sentence that says what there is."""

    def __len__(self) -> int: ...


def is_number(value: Value) -> TypeGuard[int | float]:
    """Whether a value counts; truth values do not."""
    return type(value) is int or type(value) is float


def is_readable(value: Value) -> TypeGuard[Readable]:
    """Whether a value has parts to read by name; asking the protocol itself costs ten times as much."""
    return hasattr(value, "read")


def is_text(value: Value) -> TypeGuard[str]:
    return isinstance(value, str)


def kind(value: Value) -> str:
    """What a value is, for a message: `a number`, `text`, `a list` ..."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a truth value"
    if is_number(value):
        return "a number"
    if is_text(value):
        return "text"
    if isinstance(value, tuple):
        return "a list"
    return "a dynamic size" if isinstance(value, SymDim) else "a tensor"


def shown(value: Value) -> str:
    """A value as a person would write it, cut where it is long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if is_text(value):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, tuple):
        items = [shown(item) for item in value[:6]]
        return "[" + ", ".join(items + ["..."] * (len(value) > 6)) + "]"
    return str(value) if is_number(value) or isinstance(value, SymDim) else kind(value)


def checked(value: Value) -> Value:
    """The value, with its lists as tuples; raises Fault where it leaves the bounds."""
    if type(value) is int:
        if -LARGEST <= value <= LARGEST:
            return value
        raise Fault("a whole number beyond 2**53", "sizes and counts are far smaller")
    if type(value) is float:
        if math.isfinite(value):
            return value
        raise Fault("a number that is not finite (NaN or infinity)")
    if isinstance(value, (tuple, list)):
        return checked_list(value)
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise Fault(f"a text of more than {MAX_TEXT:,} characters")
    return value


def checked_list(items: tuple[Value, ...] | list[Value]) -> tuple[Value, ...]:
    """A list whose items, inner ones counted, are at most MAX_ITEMS; raises Fault."""
    if len(items) > MAX_ITEMS:
        raise Fault(f"a list of {len(items):,} items, expected at most {MAX_ITEMS:,}")
    _counted(items, 0, 0)
    return tuple(_frozen(item) for item in items)


def whole(value: Value, what: str) -> int:
    """A whole number; a float that is one counts. Raises Fault."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(checked(int(value)))
    if isinstance(value, SymDim):
        raise dynamic(value, what)
    raise Fault(f"{what} is {shown(value)}, expected a whole number")


def numeric(value: Value, what: str) -> int | float:
    """A number; raises Fault."""
    if is_number(value):
        return value
    if isinstance(value, SymDim):
        raise dynamic(value, what)
    raise Fault(f"{what} is {shown(value)} ({kind(value)}), expected a number", conversion_hint(value))


def truth(value: Value, what: str) -> bool:
    """A truth value; raises Fault, for numbers and null too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, SymDim):
        raise dynamic(value, what)
    hint = "compare: e.g. `n != 0`" if is_number(value) else "compare: e.g. `a != null`"
    raise Fault(f"{what} is {shown(value)}, expected a truth value", hint)


def dynamic(size: SymDim, what: str) -> Fault:
    """The fault of a dynamic size where its number would have to be known."""
    hint = "give the input a fixed size (--size 224); dynamic sizes know only + - * and //"
    return Fault(f"{what} depends on the dynamic size {size}, which is known only when the network runs", hint)


def conversion_hint(value: Value) -> str:
    """What to write instead of a value that does not count."""
    if isinstance(value, bool):
        return "a truth value is no number: write `1 if ... else 0`"
    if value is None:
        return "`null` is what was not given: ask `... != null` first"
    if is_readable(value):
        return "no arithmetic on tensors: operators do that, e.g. `- add: [a, b]`"
    return ""


def _counted(items: tuple[Value, ...] | list[Value], count: int, depth: int) -> int:
    # Lists share their parts, so a small one can stand for endlessly many items: the count stops at the limit.
    if depth > MAX_LIST_DEPTH:
        raise Fault(f"lists nested deeper than {MAX_LIST_DEPTH}")
    count += len(items)
    if count > MAX_ITEMS:
        raise Fault(f"a list of more than {MAX_ITEMS:,} items, inner ones counted")
    for item in items:
        if isinstance(item, (tuple, list)):
            count = _counted(item, count, depth + 1)
    return count


def _frozen(value: Value) -> Value:
    return tuple(_frozen(item) for item in value) if isinstance(value, (tuple, list)) else value
