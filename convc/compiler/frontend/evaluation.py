"""The value of an expression's tree in an environment of names. Errors carry the place that has no value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from .functions import FUNCTIONS
from .kinds import ExpressionError, Fault, Value, checked, is_readable, is_text, kind, truth, whole
from .nodes import (
    AND,
    COMPARE,
    OR,
    Call,
    Choice,
    Constant,
    Index,
    Items,
    Name,
    Node,
    Part,
    Path,
    Prefix,
    Row,
    Slice,
    Suffix,
)
from .operators import arithmetic, compare, negative, positive

# Items that one evaluation may touch: 2,000 characters can call `range` often.
MAX_STEPS = 500_000
Env = Mapping[str, Value]


def lookup(name: str, env: Env, at: int) -> Value:
    try:
        value = env[name]
    except KeyError:
        raise _unknown(name, env, at) from None
    try:
        return checked(value)
    except Fault as fault:
        raise ExpressionError(f"{name!r} is {fault.message}", at, fault.hint) from None


def _unknown(name: str, env: Env, at: int) -> ExpressionError:
    if name in FUNCTIONS:
        return ExpressionError(f"{name!r} is a function", at, f"call it: `{FUNCTIONS[name].usage}`")
    known = [word for word in env if not word.startswith("_")]
    close = get_close_matches(name, known, n=1)
    listed = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
    hint = f"did you mean {close[0]!r}?  " if close else f"text is quoted ('{name}').  "
    hint += f"names that can be read here: {listed}" if known else "no names can be read here"
    return ExpressionError(f"unknown name {name!r}", at, hint)


class Evaluation:
    """One walk over a tree; `steps` counts what it touched."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.steps = 0

    def value(self, node: Node) -> Value:
        try:
            found = _EVALUATE[type(node)](self, node)
        except Fault as fault:
            raise ExpressionError(fault.message, node.at, fault.hint) from None
        self.steps += len(found) + 1 if isinstance(found, (tuple, str)) else 1
        if self.steps > MAX_STEPS:
            raise ExpressionError(f"it takes more than {MAX_STEPS:,} steps", node.at, "give shorter lists")
        return found

    def constant(self, node: Constant) -> Value:
        return node.value

    def name(self, node: Name) -> Value:
        return lookup(node.name, self.env, node.at)

    def items(self, node: Items) -> Value:
        return checked(tuple(self.value(item) for item in node.items))

    def call(self, node: Call) -> Value:
        function = FUNCTIONS.get(node.name)
        if function is None:
            close = get_close_matches(node.name, FUNCTIONS, n=1)
            hint = f"did you mean `{FUNCTIONS[close[0]].usage}`?  " if close else ""
            message = f"unknown function {node.name!r}"
            raise ExpressionError(message, node.at, f"{hint}functions: {', '.join(FUNCTIONS)}")
        args = [self.value(arg) for arg in node.args]
        return function(args, {name: self.value(arg) for name, arg in node.named})

    def prefix(self, node: Prefix) -> Value:
        value = self.value(node.operand)
        if node.sign == "not":
            return not truth(value, "what `not` stands before")
        return negative(value) if node.sign == "-" else positive(value)

    def choice(self, node: Choice) -> Value:
        condition = truth(self.value(node.condition), "the condition of `if`")
        return self.value(node.then if condition else node.other)

    def row(self, node: Row) -> Value:
        if node.strength in (OR, AND):
            return self.logic(node)
        value = self.value(node.first)
        for sign, operand, at in node.rest:
            right = self.value(operand)
            try:
                if node.strength != COMPARE:
                    value = right = arithmetic(sign, value, right)
                elif not compare(sign, value, right):
                    return False
            except Fault as fault:
                raise ExpressionError(fault.message, at, fault.hint) from None
            value = right
        return True if node.strength == COMPARE else value

    def logic(self, node: Row) -> bool:
        """`or` ends at the first true, `and` at the first false."""
        ends = node.strength == OR
        for operand in (node.first, *(operand for _, operand, _ in node.rest)):
            what = f"a side of `{node.rest[0][0]}`"
            if truth(self.value(operand), what) == ends:
                return ends
        return not ends

    def path(self, node: Path) -> Value:
        value, suffixes = self.root(node)
        for suffix in suffixes:
            try:
                value = checked(self.suffix(value, suffix))
            except Fault as fault:
                raise ExpressionError(fault.message, suffix.at, fault.hint) from None
        return value

    def root(self, node: Path) -> tuple[Value, tuple[Suffix, ...]]:
        """The value that a path begins with: a name, or the longest dotted name (`backbone.stage`) that is known."""
        if not isinstance(node.base, Name) or node.base.name in self.env:
            return self.value(node.base), node.suffixes
        names = [node.base.name]
        for suffix in node.suffixes:
            if not isinstance(suffix, Part):
                break
            names.append(suffix.name)
        for length in range(len(names), 1, -1):
            dotted = ".".join(names[:length])
            if dotted in self.env:
                return lookup(dotted, self.env, node.at), node.suffixes[length - 1 :]
        raise _unknown(node.base.name, self.env, node.base.at)

    def suffix(self, value: Value, suffix: Suffix) -> Value:
        if isinstance(suffix, Part):
            return _part(value, suffix.name)
        if isinstance(suffix, Index):
            return _item(value, whole(self.value(suffix.index), "the index"))
        return self.slice(value, suffix)

    def slice(self, value: Value, suffix: Slice) -> Value:
        if not isinstance(value, tuple) and not is_text(value):
            raise Fault(f"{kind(value)} cannot be sliced", "lists and texts can")
        bounds = (suffix.first, suffix.last, suffix.step)
        found = [None if bound is None else self.value(bound) for bound in bounds]
        first, last, step = (None if bound is None else whole(bound, "a bound of the slice") for bound in found)
        if step == 0:
            raise Fault("the step of a slice is 0")
        return value[first:last:step]


def _part(value: Value, name: str) -> Value:
    """`x.channels`, `branch.left`, `widths.0`."""
    if is_readable(value):
        try:
            return value.read(name)
        except KeyError as error:
            if name.isdigit():
                return _item(value, int(name[:9]))
            raise Fault(str(error.args[0]) if error.args else f"there is no part {name!r}") from None
    if name.isdigit():
        return _item(value, int(name[:9]))
    raise Fault(f"{kind(value)} has no part {name!r}", "only tensors and lists of them have parts with names")


def _item(value: Value, index: int) -> Value:
    if not isinstance(value, tuple) and not is_text(value) and not is_readable(value):
        raise Fault(f"{kind(value)} has no items", "lists and texts have: e.g. `widths[0]`")
    items: Any = value
    length = len(items)
    if not -length <= index < length:
        hint = f"items count from 0 to {length - 1}" if length else "it is empty"
        raise Fault(f"index {index} is out of range: the {_noun(value)} has length {length}", hint)
    # A tensor counts as a list of one, and has no items of its own.
    return items[index] if hasattr(items, "__getitem__") else items


def _noun(value: Value) -> str:
    return "text" if is_text(value) else "list"


_EVALUATE: Mapping[type, Callable[[Evaluation, Any], Value]] = {
    Constant: Evaluation.constant,
    Name: Evaluation.name,
    Items: Evaluation.items,
    Call: Evaluation.call,
    Prefix: Evaluation.prefix,
    Choice: Evaluation.choice,
    Row: Evaluation.row,
    Path: Evaluation.path,
}
