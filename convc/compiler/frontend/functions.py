"""The functions that expressions may call; the list is closed.

    divisible(v, d=8, limit=0.9)   n = max(d, int(v + d / 2) // d * d), plus d where n < limit * v: channels rounded
                                   to a multiple of d, never by more than a tenth down (Howard et al., 2017, code)
    nearest_odd(v)                 t = int(v), or t + 1 where t is even: the kernel of Wang et al., 2020, eq. 12,
                                   k = nearest_odd((log2(C) + 1) / 2)
    round(v, digits=0)             Python's: halves go to the even neighbour; without digits a whole number
    zip(a, b, ...)                 lists of one length: what is longer is never cut off silently

`range`, `zip` and `enumerate` give lists. Every function raises Fault.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from ..ir import SymDim
from .kinds import MAX_ITEMS, Fault, Value, checked, is_number, is_readable, is_text, kind, numeric, shown, whole
from .operators import arithmetic

# Beyond this Python computes a power of ten of that size first.
_MAX_PLACES = 15


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its arguments: the first `required` must be given, each may be named; `rest` takes any number."""

    name: str
    call: Callable[..., Value]
    params: tuple[str, ...]
    required: int = 1
    rest: bool = False

    @property
    def usage(self) -> str:
        """`divisible(v, d, limit)`: what a message shows."""
        return f"{self.name}({', '.join(self.params)}{', ...' if self.rest else ''})"

    def __call__(self, args: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """The bounded result; raises Fault where arguments are missing, too many, unknown, or of a wrong kind."""
        if len(args) > len(self.params) and not self.rest:
            raise Fault(f"`{self.name}` takes at most {len(self.params)} arguments, {len(args)} were given", self.usage)
        for name in named:
            if self.rest or name not in self.params:
                raise Fault(f"`{self.name}` has no argument called {name!r}", self.usage)
            if self.params.index(name) < len(args):
                raise Fault(f"`{self.name}` is given {name!r} twice", self.usage)
        missing = [name for name in self.params[len(args) : self.required] if name not in named]
        if missing:
            raise Fault(f"`{self.name}` is not given {missing[0]!r}", self.usage)
        try:
            return checked(self.call(*args, **named))
        except OverflowError:
            raise Fault(f"the result of `{self.name}` is too large") from None


def items_of(value: Value, what: str) -> tuple[Value, ...]:
    """A list; raises Fault."""
    if isinstance(value, tuple):
        return value
    raise Fault(f"{what} is {kind(value)}, expected a list")


def divisible(v: Value, d: Value = 8, limit: Value = 0.9) -> int:
    """`v` rounded to a multiple of `d`, and not below `limit * v`."""
    value, step = numeric(v, "`divisible`'s v"), whole(d, "`divisible`'s d")
    if step < 1:
        raise Fault(f"`divisible`'s d is {step}, expected at least 1")
    result = max(step, int(value + step / 2) // step * step)
    return result + step if result < numeric(limit, "`divisible`'s limit") * value else result


def nearest_odd(v: Value) -> int:
    """`v` without its fraction, or one more where that is even."""
    result = int(numeric(v, "`nearest_odd`'s v"))
    return result if result % 2 else result + 1


def _extreme(name: str, choose: Callable[[Sequence[float]], float]) -> Function:
    def call(*args: Value) -> Value:
        given = items_of(args[0], f"the argument of `{name}`") if len(args) == 1 else args
        if not given:
            raise Fault(f"`{name}` of an empty list")
        return choose([numeric(item, f"an argument of `{name}`") for item in given])

    return Function(name, call, ("a", "b"), required=1, rest=True)


def _abs(v: Value) -> Value:
    return abs(numeric(v, "`abs`'s v"))


def _round(v: Value, digits: Value = None) -> Value:
    value = numeric(v, "`round`'s v")
    if digits is None:
        return builtins.round(value)
    places = whole(digits, "`round`'s digits")
    if abs(places) > _MAX_PLACES:
        raise Fault(f"`round`'s digits is {places}, expected at most {_MAX_PLACES}")
    return builtins.round(value, places)


def _floor(v: Value) -> int:
    return math.floor(numeric(v, "`floor`'s v"))


def _ceil(v: Value) -> int:
    return math.ceil(numeric(v, "`ceil`'s v"))


def _int(v: Value) -> int:
    return int(numeric(v, "`int`'s v"))


def _sqrt(v: Value) -> float:
    value = numeric(v, "`sqrt`'s v")
    if value < 0:
        raise Fault(f"the root of {shown(value)} is no real number")
    return math.sqrt(value)


def _log2(v: Value) -> float:
    value = numeric(v, "`log2`'s v")
    if value <= 0:
        raise Fault(f"`log2` of {shown(value)}, expected a number above 0")
    return math.log2(value)


def _len(v: Value) -> int:
    if isinstance(v, tuple) or is_text(v) or is_readable(v):
        return builtins.len(v)
    raise Fault(f"`len` of {kind(v)}, expected a list or text")


def _sum(v: Value) -> Value:
    items = items_of(v, "the argument of `sum`")
    for item in items:
        if not isinstance(item, SymDim):
            numeric(item, "an item of `sum`")
    # Not Python's own sum: from 3.12 on it rounds differently.
    if all(map(is_number, items)):
        return reduce(operator.add, items, 0)
    return reduce(lambda total, item: arithmetic("+", total, item), items, 0)


def _range(a: Value, b: Value = None, step: Value = 1) -> Value:
    first, last = (0, a) if b is None else (a, b)
    by = whole(step, "`range`'s step")
    if by == 0:
        raise Fault("`range`'s step is 0")
    numbers = builtins.range(whole(first, "`range`'s begin"), whole(last, "`range`'s end"), by)
    if builtins.len(numbers) > MAX_ITEMS:
        raise Fault(f"`range` gives {builtins.len(numbers):,} items, expected at most {MAX_ITEMS:,}")
    return tuple(numbers)


def _zip(*lists: Value) -> Value:
    columns = [items_of(column, "an argument of `zip`") for column in lists]
    lengths = [builtins.len(column) for column in columns]
    if builtins.len(set(lengths)) > 1:
        counts = ", ".join(str(length) for length in lengths[:8])
        raise Fault(f"`zip` takes lists of one length, these have {counts}", "cut the longer one: e.g. `widths[1:]`")
    return tuple(builtins.zip(*columns, strict=True))


def _enumerate(items: Value, start: Value = 0) -> Value:
    values = items_of(items, "the argument of `enumerate`")
    return tuple(builtins.enumerate(values, whole(start, "`enumerate`'s start")))


_ALL = (
    _extreme("min", builtins.min),
    _extreme("max", builtins.max),
    Function("abs", _abs, ("v",)),
    Function("round", _round, ("v", "digits")),
    Function("floor", _floor, ("v",)),
    Function("ceil", _ceil, ("v",)),
    Function("sqrt", _sqrt, ("v",)),
    Function("log2", _log2, ("v",)),
    Function("len", _len, ("list",)),
    Function("sum", _sum, ("list",)),
    Function("range", _range, ("a", "b", "step")),
    Function("zip", _zip, ("a", "b"), rest=True),
    Function("enumerate", _enumerate, ("items", "start")),
    Function("int", _int, ("v",)),
    Function("divisible", divisible, ("v", "d", "limit")),
    Function("nearest_odd", nearest_odd, ("v",)),
)
FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _ALL}
