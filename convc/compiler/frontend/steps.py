"""Steps as written: what a list under `network:`, `body:` or a combinator says, before anything is evaluated.

A step has one head (an operator, a block or a combinator) and, beside it, keys every step may have and the head's own.
Names are decided here too, from the text alone: `label_steps` numbers unnamed steps whether or not they will run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import NoReturn

from ..errors import Mark, Problem, SpecError
from .document import Map, Scalar, Seq, Tree

COMMON = ("id", "from", "when", "repeat", "train_only", "source")
COMBINATORS: Mapping[str, tuple[str, ...]] = {
    "seq": (),
    "residual": ("shortcut", "shortcut_when", "act"),
    "branches": ("merge", "axis"),
    "for": ("in", "do", "merge", "axis"),
    "split": ("sizes", "axis", "merge"),
    "share": ("merge", "axis"),
    "use": (),
}
# Heads whose scalar or list is the values they read; their fields stand beside the head.
VALUE_HEADS = {"add", "sub", "mul", "div", "max", "min", "matmul", "concat", "stack"}
_SPLIT_FIELDS = {"parts", "sizes", "axis"}
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
# An id becomes a part of parameter names and of module names: these words are taken there.
RESERVED_IDS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked", "x", "true", "false", "null"}
_MODULE_WORDS = {"training", "forward", "parameters", "buffers", "children", "modules", "state_dict", "train", "eval"}


@dataclass(frozen=True, eq=False)
class Branch:
    """A named part of `branches` or `split`: its steps, and the condition it exists under."""

    name: str
    steps: tuple[Step, ...]
    mark: Mark
    when: Scalar | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """One step. `body` is what the head was given; `options` are the keys that belong to the head."""

    head: str
    mark: Mark
    body: Tree | None
    options: Mapping[str, Tree] = field(default_factory=dict)
    id: str | None = None
    id_mark: Mark | None = None
    reads: Tree | None = None
    when: Scalar | None = None
    repeat: Scalar | None = None
    train_only: bool = False
    source: str | None = None
    steps: tuple[Step, ...] = ()
    shortcut: tuple[Step, ...] | None = None
    branches: tuple[Branch, ...] = ()

    @property
    def is_combinator(self) -> bool:
        """Whether the head is wiring rather than an operator or block (`split: 4` is the operator)."""
        return self.head in COMBINATORS and not (self.head == "split" and not self.branches)

    @property
    def is_transparent(self) -> bool:
        """Unnamed `seq` and `residual`: their steps are named as if they stood in the list around."""
        return self.head in ("seq", "residual") and self.id is None and self.repeat is None


def fail(message: str, mark: Mark, hint: str = "") -> NoReturn:
    raise SpecError(Problem(message, mark, hint))


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean 'kernel'?`, or the empty string where nothing is near."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def parse_steps(tree: Tree | None, what: str, mark: Mark, problems: list[Problem]) -> tuple[Step, ...]:
    """The steps of a list; what is wrong with one is added to `problems` and the step left out."""
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        return ()
    if isinstance(tree, (Scalar, Map)):
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
        if not isinstance(tree.value, str):
            fail(f"a step is {describe(tree)}, expected a name such as `relu` or a mapping", tree.mark)
        return Step(tree.value, tree.mark, None)
    if isinstance(tree, Seq):
        fail("a step is a list", tree.mark, "write `- seq: [...]` for a list as one step")
    keys = {str(key.value): key for key, _ in tree.entries}
    values = {str(key.value): value for key, value in tree.entries}
    head = _head(tree, keys)
    allowed = (*COMMON, *COMBINATORS.get(head, ()))
    options: dict[str, Tree] = {}
    for name, key in keys.items():
        if name == head or name in COMMON:
            continue
        if name not in COMBINATORS.get(head, ()) and head not in VALUE_HEADS:
            _unknown_key(head, name, key, allowed)
        options[name] = values[name]
    train_only = _flag(values.get("train_only"), "train_only")
    step_id, id_mark = _id(values.get("id"))
    step = Step(
        head,
        keys[head].mark,
        values[head],
        options,
        step_id,
        id_mark,
        values.get("from"),
        _scalar(values.get("when"), "when"),
        _scalar(values.get("repeat"), "repeat"),
        train_only,
        _text(values.get("source"), "source"),
    )
    return _with_inner(step, problems)


def label_steps(steps: Sequence[Step], alone_is_silent: bool) -> dict[tuple[int, str], str]:
    """Names of the steps of one list by (identity, part): part is `` for the step, `merge`, `act` or `split` for its helpers.

    The second unnamed conv is `conv_2` even if the first never runs, so a name can be read off the text.
    """
    counts: dict[str, int] = {}
    labels: dict[tuple[int, str], str] = {}

    def take(name: str) -> str:
        counts[name] = counts.get(name, 0) + 1
        return name if counts[name] == 1 else f"{name}_{counts[name]}"

    flat = list(_flatten(steps))
    alone = alone_is_silent and len([s for s in flat if not s.is_transparent]) == 1
    for step in flat:
        if not step.is_transparent:
            silent = step.head in ("for", "branches") or (step.head == "seq") or alone
            silent = silent or (step.head in ("split", "residual") and step.is_combinator)
            labels[id(step), ""] = step.id if step.id is not None else ("" if silent else take(_called(step)))
        if step.id is None or not step.is_combinator:
            for part, name in _helpers(step):
                labels[id(step), part] = take(name)
    return labels


def helper_label(step: Step, part: str, labels: Mapping[tuple[int, str], str]) -> str:
    """The label of a merge, split or act: from its list, or its own word inside a named combinator."""
    found = labels.get((id(step), part))
    return found if found is not None else dict(_helpers(step)).get(part, part)


def describe(tree: Tree) -> str:
    """What a tree is, in a person's words."""
    if isinstance(tree, Map):
        return "a mapping"
    if isinstance(tree, Seq):
        return "a list"
    value = tree.value
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"the truth value {tree.text}"
    return f"the text {value!r}" if isinstance(value, str) else f"the number {tree.text}"


def _flatten(steps: Sequence[Step]) -> Iterable[Step]:
    for step in steps:
        if step.is_transparent:
            yield from _flatten(step.steps)
        yield step


def _called(step: Step) -> str:
    return step.head.removeprefix("$").replace(".", "_")


def _helpers(step: Step) -> Iterable[tuple[str, str]]:
    if step.head == "split" and step.is_combinator:
        yield "split", "split"
    merge = step.options.get("merge")
    if step.head == "residual":
        yield "merge", "add"
        if "act" in step.options:
            yield "act", "act"
    elif isinstance(merge, Scalar) and merge.value not in ("none", None):
        yield "merge", str(merge.value).removeprefix("$")


def _head(tree: Map, keys: Mapping[str, Scalar]) -> str:
    candidates = [name for name in keys if name not in COMMON]
    wiring = [name for name in candidates if name in COMBINATORS]
    if wiring:
        # `split` in `sizes:` of another head never clashes: a combinator's own keys are no heads.
        if len(wiring) > 1:
            fail(f"a step is both `{wiring[0]}` and `{wiring[1]}`", keys[wiring[1]].mark, "make it two steps")
        return wiring[0]
    values = [name for name in candidates if name in VALUE_HEADS]
    if values:
        return values[0]
    if not candidates:
        fail("a step names no operator, block or combinator", tree.mark, "e.g. `- relu` or `- conv: {out: 64}`")
    if len(candidates) > 1:
        _two_heads(candidates, keys)
    return candidates[0]


def _two_heads(candidates: Sequence[str], keys: Mapping[str, Scalar]) -> NoReturn:
    first, second = candidates[0], candidates[1]
    suggestion = near(second, COMMON)
    hint = suggestion or f"arguments go inside: `- {first}: {{{second}: ...}}`; another step goes on a line of its own"
    fail(f"a step has two heads, {first!r} and {second!r}", keys[second].mark, hint)


def _unknown_key(head: str, name: str, key: Scalar, allowed: Sequence[str]) -> NoReturn:
    hint = near(name, allowed) or f"arguments go inside the braces of `{head}`"
    fail(f"a step with `{head}` has no key {name!r}", key.mark, f"{hint}  keys: {', '.join(allowed)}")


def _with_inner(step: Step, problems: list[Problem]) -> Step:
    if step.head in ("seq", "residual", "share"):
        steps = parse_steps(step.body, f"`{step.head}`", step.mark, problems)
        shortcut = step.options.get("shortcut")
        given = None if shortcut is None else parse_steps(shortcut, "`shortcut`", step.mark, problems)
        return replace(step, steps=steps, shortcut=given)
    if step.head == "for":
        if "do" not in step.options or "in" not in step.options:
            missing = "do" if "do" not in step.options else "in"
            fail(f"`for` has no `{missing}:`", step.mark, "`for: [c, n]`, `in:` its rows, `do:` the steps of a row")
        return replace(step, steps=parse_steps(step.options["do"], "`do`", step.mark, problems))
    if step.head == "branches" or (step.head == "split" and _is_split_combinator(step.body)):
        return replace(step, branches=_branches(step, problems))
    return step


def _is_split_combinator(body: Tree | None) -> bool:
    return isinstance(body, Map) and not {str(k.value) for k, _ in body.entries} <= _SPLIT_FIELDS


def _branches(step: Step, problems: list[Problem]) -> tuple[Branch, ...]:
    if not isinstance(step.body, Map) or not step.body.entries:
        fail(f"`{step.head}` has no branches", step.mark, f"`{step.head}: {{left: [steps], right: [steps]}}`")
    branches: list[Branch] = []
    for key, value in step.body.entries:
        name = str(key.value)
        if not _ID.fullmatch(name) and not name.isdigit():
            fail(f"a branch cannot be called {name!r}", key.mark, "letters, digits and _")
        when = None
        if isinstance(value, Map):
            fields = {str(k.value): v for k, v in value.entries}
            if unknown := [k for k, _ in value.entries if str(k.value) not in ("when", "do")]:
                fail(f"a branch has no key {unknown[0].value!r}", unknown[0].mark, "`{when: condition, do: [steps]}`")
            when, value = _scalar(fields.get("when"), "when"), fields.get("do", value)
        branches.append(Branch(name, parse_steps(value, f"branch {name!r}", key.mark, problems), key.mark, when))
    return tuple(branches)


def _id(tree: Tree | None) -> tuple[str | None, Mark | None]:
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        return None, None
    if not isinstance(tree, Scalar):
        fail(f"`id` is {describe(tree)}, expected a name", tree.mark)
    name = tree.text if not isinstance(tree.value, str) else tree.value
    if not _ID.fullmatch(name) or len(name) > 200 or "__" in name[:2]:
        fail(f"a step cannot be called {name!r}", tree.mark, "an id has letters, digits and _, and begins with a letter")
    for part in name.split("."):
        if part in RESERVED_IDS or part in _MODULE_WORDS:
            fail(f"a step cannot be called {name!r}: the word {part!r} is taken", tree.mark)
    return name, tree.mark


def _scalar(tree: Tree | None, what: str) -> Scalar | None:
    if tree is None or isinstance(tree, Scalar):
        return tree
    fail(f"`{what}` is {describe(tree)}, expected an expression", tree.mark)


def _flag(tree: Tree | None, what: str) -> bool:
    if tree is None:
        return False
    if isinstance(tree, Scalar) and isinstance(tree.value, bool):
        return tree.value
    fail(f"`{what}` is {describe(tree)}, expected true or false", tree.mark)


def _text(tree: Tree | None, what: str) -> str | None:
    if tree is None:
        return None
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        return tree.value
    fail(f"`{what}` is {describe(tree)}, expected text", tree.mark)
