"""Steps read from a tree: which key is the head, what belongs to it, and which lists of steps stand inside.

What is wrong with one step is noted and the step left out, so that one run shows every such mistake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from ..errors import Mark, Problem, SpecError
from .document import Map, Scalar, Seq, Tree
from .steps import COMBINATORS, COMMON, VALUE_HEADS, Branch, Step, describe, fail, is_null, near

_SPLIT_FIELDS = {"parts", "sizes", "axis"}
# Ids become paths: words of letters, digits and _ between dots.
ID = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
MAX_ID = 200
# Words that mean something in every expression; and those that are the last part of a parameter's name.
WORDS = frozenset({"x", "true", "false", "null", "and", "or", "not", "if", "else", "in"})
RESERVED = WORDS | {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def parse_steps(tree: Tree | None, what: str, mark: Mark, problems: list[Problem]) -> tuple[Step, ...]:
    """The steps of a list; what is wrong with one is added to `problems`."""
    if tree is None or is_null(tree):
        return ()
    if not isinstance(tree, Seq):
        hint = "write a list: one step a line, each behind `- `"
        problems.append(Problem(f"{what} is {describe(tree)}, expected a list of steps", tree.mark, hint))
        return ()
    steps: list[Step] = []
    for item in tree.items:
        try:
            steps.append(parse_step(item, problems))
        except SpecError as error:
            problems.extend(error.problems)
    return tuple(steps)


def parse_step(tree: Tree, problems: list[Problem]) -> Step:
    """One step; raises SpecError where it cannot be read at all."""
    if isinstance(tree, Scalar):
        return _word(tree)
    if isinstance(tree, Seq):
        fail("a step is a list", tree.mark, "write `- seq: [...]` for a list as one step")
    keys = {key.text: key for key, _ in tree.entries}
    values = {key.text: value for key, value in tree.entries}
    head = _head(tree, keys)
    options = _options(head, keys, values)
    body = values[head]
    if head in VALUE_HEADS and isinstance(body, (Seq, Scalar)) and not is_null(body) and "from" in values:
        hint = f"write one of the two: `- {head}: [a, b]`, or `- {head}:` with `from: [a, b]`"
        fail(f"`{head}` is given values twice, beside it and by `from`", keys["from"].mark, hint)
    step_id, id_mark = _id(values.get("id"))
    step = Step(
        head,
        keys[head].mark,
        body,
        options,
        step_id,
        id_mark,
        None if is_null(values.get("from")) else values["from"],
        _scalar(values.get("when"), "when"),
        _scalar(values.get("repeat"), "repeat"),
        _flag(values.get("train_only"), "train_only"),
        _text(values.get("source"), "source"),
    )
    return _with_inner(step, problems)


def check_name(name: str, what: str, mark: Mark) -> None:
    """Refuse a name that could not stand in a path; raises SpecError."""
    if not ID.fullmatch(name) or len(name) > MAX_ID:
        fail(f"{what} cannot be called {name[:60]!r}", mark, f"letters, digits and _, at most {MAX_ID}")
    if taken := [part for part in name.split(".") if part in RESERVED]:
        hint = "parameter names and expressions use it"
        fail(f"{what} cannot be called {name!r}: the word {taken[0]!r} is taken", mark, hint)


def _word(tree: Scalar) -> Step:
    head = tree.value
    if not isinstance(head, str) or not head:
        fail(f"a step is {describe(tree)}, expected a name such as `relu` or a mapping", tree.mark)
    if head in COMBINATORS and head != "split":
        hint = f"write `- {head}: ...`, with its {', '.join(COMBINATORS[head]) or 'steps'}"
        fail(f"`{head}` stands alone, expected what it is made of", tree.mark, hint)
    return Step(head, tree.mark, None)


def _head(tree: Map, keys: Mapping[str, Scalar]) -> str:
    candidates = [name for name in keys if name not in COMMON]
    if not candidates:
        fail("a step names no operator, block or combinator", tree.mark, "e.g. `- relu` or `- conv: {out: 64}`")
    wiring = [name for name in candidates if name in COMBINATORS]
    if len(wiring) > 1:
        fail(f"a step is both `{wiring[0]}` and `{wiring[1]}`", keys[wiring[1]].mark, "make it two steps")
    values = [name for name in candidates if name in VALUE_HEADS]
    if wiring or values:
        return (wiring or values)[0]
    if len(candidates) > 1:
        _two_heads(candidates, keys)
    return candidates[0]


def _two_heads(candidates: Sequence[str], keys: Mapping[str, Scalar]) -> NoReturn:
    first, second = candidates[0], candidates[1]
    # The misspelt key is the one that is near to a key every step has.
    for odd in candidates:
        if suggestion := near(odd, COMMON):
            fail(f"a step has no key {odd!r}", keys[odd].mark, suggestion)
    hint = f"arguments go inside: `- {first}: {{{second}: ...}}`; another step goes on a line of its own"
    fail(f"a step has two heads, {first!r} and {second!r}", keys[second].mark, hint)


def _options(head: str, keys: Mapping[str, Scalar], values: Mapping[str, Tree]) -> dict[str, Tree]:
    """The keys beside the head that are its own; null counts as not given."""
    own = COMBINATORS.get(head, ())
    options: dict[str, Tree] = {}
    for name, key in keys.items():
        if name == head or name in COMMON:
            continue
        if name not in own and head not in VALUE_HEADS:
            allowed = (*COMMON, *own)
            hint = near(name, allowed) or f"arguments go inside the braces of `{head}`"
            fail(f"a step with `{head}` has no key {name!r}", key.mark, f"{hint}  keys: {', '.join(allowed)}")
        if not is_null(values[name]):
            options[name] = values[name]
    return options


def _with_inner(step: Step, problems: list[Problem]) -> Step:
    if step.head in ("seq", "residual", "share"):
        steps = parse_steps(step.body, f"`{step.head}`", step.mark, problems)
        shortcut = step.options.get("shortcut")
        given = None if shortcut is None else parse_steps(shortcut, "`shortcut`", step.mark, problems)
        return replace(step, steps=steps, shortcut=given)
    if step.head == "for":
        for key in ("in", "do"):
            if key not in step.options:
                fail(f"`for` has no `{key}:`", step.mark, "`for: [c, n]`, `in:` its rows, `do:` the steps of a row")
        return replace(step, steps=parse_steps(step.options["do"], "`do`", step.mark, problems))
    if step.head == "branches" or (step.head == "split" and _has_branches(step.body)):
        return replace(step, branches=_branches(step, problems))
    if step.head == "split" and "merge" in step.options:
        hint = "`split: {left: [steps], right: [steps]}` has branches; the parts of `split: 2` are merged by a step"
        fail("a `split` without branches has nothing to merge", step.options["merge"].mark, hint)
    return step


def _has_branches(body: Tree | None) -> bool:
    return isinstance(body, Map) and not set(body.keys()) <= _SPLIT_FIELDS


def _branches(step: Step, problems: list[Problem]) -> tuple[Branch, ...]:
    if not isinstance(step.body, Map) or not step.body.entries:
        fail(f"`{step.head}` has no branches", step.mark, f"`{step.head}: {{left: [steps], right: [steps]}}`")
    branches: list[Branch] = []
    for key, value in step.body.entries:
        try:
            branches.append(_branch(key, value, problems))
        except SpecError as error:
            problems.extend(error.problems)
    return tuple(branches)


def _branch(key: Scalar, value: Tree, problems: list[Problem]) -> Branch:
    name = key.text
    check_name(name, "a branch", key.mark)
    if "." in name:
        fail(f"a branch cannot be called {name!r}", key.mark, "letters, digits and _")
    when = None
    if isinstance(value, Map):
        for other, _ in value.entries:
            if other.text not in ("when", "do"):
                hint = near(other.text, ("when", "do")) or "`{when: condition, do: [steps]}`, or a list of steps"
                fail(f"a branch has no key {other.text!r}", other.mark, hint)
        when = _scalar(value.get("when"), "when")
        return Branch(name, parse_steps(value.get("do"), f"branch {name!r}", key.mark, problems), key.mark, when)
    return Branch(name, parse_steps(value, f"branch {name!r}", key.mark, problems), key.mark, when)


def _id(tree: Tree | None) -> tuple[str | None, Mark | None]:
    if tree is None or is_null(tree):
        return None, None
    if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
        fail(f"`id` is {describe(tree)}, expected a name", tree.mark, "an id has letters, digits and _")
    check_name(tree.value, "a step", tree.mark)
    return tree.value, tree.mark


def _scalar(tree: Tree | None, what: str) -> Scalar | None:
    if tree is None or is_null(tree):
        return None
    if isinstance(tree, Scalar):
        return tree
    fail(f"`{what}` is {describe(tree)}, expected an expression", tree.mark)


def _flag(tree: Tree | None, what: str) -> bool:
    if tree is None or is_null(tree):
        return False
    if isinstance(tree, Scalar) and isinstance(tree.value, bool):
        return tree.value
    fail(f"`{what}` is {describe(tree)}, expected true or false", tree.mark)


def _text(tree: Tree | None, what: str) -> str | None:
    if tree is None or is_null(tree):
        return None
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        return tree.value
    fail(f"`{what}` is {describe(tree)}, expected text", tree.mark)
