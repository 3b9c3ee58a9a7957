"""Names of steps, from the text alone: a name is the same whether or not a step runs, and can be read off the spec.

a step with an id         the id
a step without            its operator's or block's name, numbered from the second on: conv, conv_2
seq, residual, share      without an id nothing: their steps are named as if they stood in the list around
for, branches, split      without an id nothing: their rows and branches add their own names
alone in its list         without an id nothing
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .document import Scalar
from .steps import Step

# By (identity of the step, part): the part is empty for the step itself, else its helper `merge`, `act` or `split`.
Labels = Mapping[tuple[int, str], str]
_SILENT = ("for", "branches", "seq", "residual", "share")
_NO_WORD = re.compile(r"\W+", re.ASCII)


def label_steps(steps: Sequence[Step], alone_is_silent: bool) -> Labels:
    """The labels of one list."""
    counts: dict[str, int] = {}
    labels: dict[tuple[int, str], str] = {}

    def take(name: str) -> str:
        counts[name] = counts.get(name, 0) + 1
        return name if counts[name] == 1 else f"{name}_{counts[name]}"

    flat = list(_flat(steps))
    alone = alone_is_silent and sum(not step.is_transparent for step in flat) == 1
    for step in flat:
        if not step.is_transparent:
            silent = alone or step.head in _SILENT or (step.head == "split" and step.is_combinator)
            labels[id(step), ""] = step.id if step.id is not None else "" if silent else take(_called(step))
        if step.id is None or not step.is_combinator:
            for part, name in _helpers(step):
                labels[id(step), part] = take(name)
    return labels


def helper_label(step: Step, part: str, labels: Labels) -> str:
    """The label of a merge, split or act: from its list, or its own word inside a named combinator."""
    found = labels.get((id(step), part))
    return found if found is not None else dict(_helpers(step)).get(part, part)


def _flat(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        if step.is_transparent:
            yield from _flat(step.steps)
        yield step


def _called(step: Step) -> str:
    return _NO_WORD.sub("_", step.head.removeprefix("$"))


def _helpers(step: Step) -> Iterable[tuple[str, str]]:
    if step.head == "split" and step.is_combinator:
        yield "split", "split"
    merge = step.options.get("merge")
    if step.head == "residual":
        yield "merge", "add"
        if "act" in step.options:
            yield "act", "act"
    elif isinstance(merge, Scalar) and merge.value not in ("none", None):
        yield "merge", _NO_WORD.sub("_", str(merge.value).removeprefix("$"))
