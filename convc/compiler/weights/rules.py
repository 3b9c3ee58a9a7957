"""The key-map language: rules that turn our names into theirs, without regular expressions.

    stage.{s}.{i}: layer{s + 1}.{i}          stage.0.2.conv1.weight  ->  layer1.2.conv1.weight
    conv{k}.conv:  conv{k}                   conv1.conv.weight       ->  conv1.weight
    inner:                                   stem.inner.weight       ->  stem.weight

A pattern is dotted components; `{i}` in one stands for a number of up to nine digits, and a name that is written
twice for the same number twice. It matches whole components, anywhere. Rules run in order, each on the result of the
one before. A rule renames every match from left to right, and never looks at what it wrote: `left: tree1` reaches
each level of a tree, which a rule that stopped at the first could not (a YAML key stands once), and `conv: conv.conv`
still ends.

The right side is text with `{expression}`, over the pattern's numbers and whatever the evaluator adds (the spec's
parameters).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import ConvcError, WeightsError

Evaluate = Callable[[str, Mapping[str, int]], object]

_HOLE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LITERAL = re.compile(r"[A-Za-z0-9_-]*")
_NUMBER = "[0-9]{1,9}"
# Stands for a component that a rule dropped until the whole name is put together; no rule can write it.
_DROPPED = "\0"


class RuleError(WeightsError):
    """A rule of a key map is wrong. `index` counts the rules from 0, so that the caller can point at its line."""

    def __init__(self, index: int, left: object, right: object, message: str, *, hint: str = "") -> None:
        super().__init__(f"rule `{left}: {'' if right is None else right}`: {message}", hint=hint)
        self.index = index


@dataclass(frozen=True)
class Rule:
    """One rule, compiled. `parts` are texts and expressions in turn, beginning with a text."""

    index: int
    left: str
    right: str
    pattern: re.Pattern[str]
    parts: tuple[str, ...]

    def apply(self, name: str, evaluate: Evaluate) -> str:
        """`name` with every match renamed. RuleError: an expression fails, or the result is no name."""
        result = self.pattern.sub(lambda match: self._written(match, evaluate) or _DROPPED, name)
        if result == name:
            return name
        components = [part for part in result.split(".") if part != _DROPPED]
        if not all(components) or not components:
            raise self.error(f"makes {'.'.join(components)!r} of {name!r}, which is no name")
        return ".".join(components)

    def _written(self, match: re.Match[str], evaluate: Evaluate) -> str:
        numbers = {name: int(digits) for name, digits in match.groupdict().items()}
        texts = list(self.parts)
        for at in range(1, len(texts), 2):
            texts[at] = self._value(texts[at], numbers, evaluate)
        return "".join(texts)

    def _value(self, expression: str, numbers: Mapping[str, int], evaluate: Evaluate) -> str:
        try:
            value = evaluate(expression, numbers)
        except RuleError:
            raise
        except ConvcError as error:
            where = ", ".join(f"{name} = {number}" for name, number in numbers.items())
            place = f" where {where}" if where else ""
            raise self.error(f"`{{{expression}}}`{place}: {error.message}", hint=error.hint) from None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.error(f"`{{{expression}}}` gives {value!r}; a name needs a whole number or text")
        return str(value)

    def error(self, message: str, *, hint: str = "") -> RuleError:
        return RuleError(self.index, self.left, self.right, message, hint=hint)


@dataclass(frozen=True)
class Rules:
    """A key map: `apply` gives the other name of a tensor."""

    rules: tuple[Rule, ...] = ()
    evaluate: Evaluate = field(default=lambda text, numbers: text, compare=False, repr=False)

    @staticmethod
    def compile(pairs: Iterable[tuple[object, object]], evaluate: Evaluate) -> Rules:
        """Rules from (left, right) as YAML gave them; a right side may be text, a number, or nothing.

        `evaluate(expression, numbers)` gives the value of an expression where the pattern's names have these numbers,
        and raises a ConvcError where it has none. RuleError: a side is not in the language.
        """
        return Rules(tuple(_rule(i, left, right) for i, (left, right) in enumerate(pairs)), _remembering(evaluate))

    def apply(self, name: str) -> str:
        """The name after all rules, in order. RuleError: an expression fails, or the result is no name."""
        for rule in self.rules:
            name = rule.apply(name, self.evaluate)
        return name

    def __bool__(self) -> bool:
        return bool(self.rules)


@dataclass(frozen=True)
class Exact:
    """A key map written out name by name, as spec.resolved.yaml has it; a name that it lacks stays as it is."""

    names: Mapping[str, str] = field(default_factory=dict)

    def apply(self, name: str) -> str:
        return self.names.get(name, name)

    def __bool__(self) -> bool:
        return bool(self.names)


def component_pattern(pattern: str) -> re.Pattern[str]:
    """A compiled left side; `search` finds it in a name. ValueError says what is wrong with it, for a person."""
    components = pattern.split(".")
    if not all(components):
        raise ValueError("a component is empty: write names with one dot between them")
    seen: set[str] = set()
    body = r"\.".join(_component(component, seen) for component in components)
    return re.compile(rf"(?<![^.]){body}(?![^.])")


def _rule(index: int, left: object, right: object) -> Rule:
    if not isinstance(left, str | int) or isinstance(left, bool):
        raise RuleError(index, left, right, "the left side is a name of the network, with {i} for a number")
    if not isinstance(right, str | int | None) or isinstance(right, bool):
        raise RuleError(index, left, right, "the right side is a name in the checkpoint, or nothing")
    text = "" if right is None else str(right)
    try:
        return Rule(index, str(left), text, component_pattern(str(left)), _template(text))
    except ValueError as error:
        raise RuleError(index, left, right, str(error)) from None


def _component(component: str, seen: set[str]) -> str:
    """The regular expression of one component, which nobody but `re` sees."""
    parts = _HOLE.split(component)
    if any(not text for text in parts[2:-1:2]):
        raise ValueError(f"{component!r} has two numbers with nothing between them")
    for at, text in enumerate(parts):
        if at % 2 == 0 and not _LITERAL.fullmatch(text):
            raise ValueError(f"{component!r} is no component: letters, digits, _ and -, and {{i}} for a number")
        if at % 2 == 1:
            if not _NAME.fullmatch(text):
                raise ValueError(f"{{{text}}} on the left names a number: write {{i}}")
            parts[at] = f"(?P={text})" if text in seen else f"(?P<{text}>{_NUMBER})"
            seen.add(text)
        else:
            parts[at] = re.escape(text)
    return "".join(parts)


def _template(right: str) -> tuple[str, ...]:
    """Texts and expressions in turn. A quoted brace inside an expression does not close it."""
    parts, at = [""], 0
    while at < len(right):
        char = right[at]
        if char == "}":
            raise ValueError("a } without its {")
        if char == "{":
            end = _closing(right, at)
            parts += [right[at + 1 : end].strip(), ""]
            at = end
        else:
            parts[-1] += char
        at += 1
    if not all(parts[1::2]):
        raise ValueError("an expression is empty: {i} or {i + 1}")
    outline = "x".join(parts[::2])
    if outline and (not all(outline.split(".")) or not outline.isprintable() or " " in outline):
        raise ValueError("the right side is dotted components, without spaces or empty ones; or nothing at all")
    return tuple(parts)


def _closing(text: str, start: int) -> int:
    quote = ""
    for at in range(start + 1, len(text)):
        if quote:
            quote = "" if text[at] == quote else quote
        elif text[at] in "'\"":
            quote = text[at]
        elif text[at] == "}":
            return at
    raise ValueError("a { without its }")


def _remembering(evaluate: Evaluate) -> Evaluate:
    """The same evaluator; a network asks the same few questions once per tensor."""
    known: dict[tuple[str, tuple[tuple[str, int], ...]], object] = {}

    def remembered(text: str, numbers: Mapping[str, int]) -> object:
        key = (text, tuple(numbers.items()))
        if key not in known:
            known[key] = evaluate(text, numbers)
        return known[key]

    return remembered
