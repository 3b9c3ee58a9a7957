"""`for`: the rows of a table, one after the other, or from the same input and merged.

A row's cells are data, or what an expression computes: range(4), zip(depths, widths), enumerate(widths).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import Mark
from .arguments import expression, frozen, shown
from .context import MAX_ROUNDS, ROW, Context, brief
from .declarations import NAME
from .document import Map, Scalar, Seq, Tree, plain
from .merging import close_round, merged
from .parsing import WORDS
from .scope import Scope
from .steps import Step, fail
from .values import Value, gathered, rounds

if TYPE_CHECKING:
    from .elaborate import Elaborator

Row = tuple[Any, Mark]


def run_rows(run: Elaborator, step: Step, inputs: list[Value], ctx: Context) -> Value:
    """The value of the last row, which also reads as the list of all; with `merge:` what the rows make together."""
    names = _columns(step)
    chained = "merge" not in step.options
    done: list[Value] = []
    x = current = gathered(inputs)
    for index, (row, mark) in enumerate(_rows(step, ctx)):
        run.draft.count(step.mark)
        cells = _cells(names, row, mark, step)
        mine = Scope(ctx.scope)
        if step.id is not None:
            ctx.scope.names[step.id] = rounds(done)
        inner = ctx.at(str(index)).called(f"{ROW} {index} ({brief(cells)})", mark)
        value = run.run(step.steps, current, inner.within(mine, current, {**cells, "row": index}))
        close_round(ctx.scope, mine, index, step.id)
        done.append(value)
        current = value if chained else x
    if not chained:
        return merged(run, step, {str(k): value for k, value in enumerate(done)}, ctx)
    return rounds(done) if done else x


def _columns(step: Step) -> list[str]:
    body = step.body
    items = body.items if isinstance(body, Seq) else (body,) if isinstance(body, Scalar) else ()
    names = [i.value for i in items if isinstance(i, Scalar) and isinstance(i.value, str) and NAME.fullmatch(i.value)]
    if not names or len(names) != len(items) or len(set(names)) != len(names):
        fail("`for` takes different names, one per column", step.mark, "e.g. `for: [c, n, s]`")
    if taken := [name for name in names if name in WORDS or name == "row"]:
        fail(f"a column of `for` cannot be called {taken[0]!r}: the word has a meaning inside loops", step.mark)
    return names


def _rows(step: Step, ctx: Context) -> list[Row]:
    table = step.options["in"]
    if isinstance(table, Seq):
        return [(_data(item), item.mark) for item in table.items]
    if isinstance(table, Map):
        raise ctx.problem("`in` is a mapping, expected a list of rows", table.mark)
    value = expression(table, ctx.env)
    if not isinstance(value, (tuple, list)):
        raise ctx.problem(
            f"`in` is {shown(value)}, expected a list of rows", table.mark, "e.g. `range(4)` or `zip(a, b)`"
        )
    if len(value) > MAX_ROUNDS:
        raise ctx.problem(f"`in` has {len(value):,} rows, the limit is {MAX_ROUNDS:,}", table.mark)
    return [(row, table.mark) for row in value]


def _data(tree: Tree) -> Any:
    waiting: list[Tree] = [tree]
    for item in waiting:
        if isinstance(item, Map):
            fail("a mapping stands in a row, expected cells: numbers, text, null or lists", item.mark)
        waiting.extend(item.items if isinstance(item, Seq) else ())
    return frozen(plain(tree))


def _cells(names: Sequence[str], row: Any, mark: Mark, step: Step) -> dict[str, Any]:
    if isinstance(step.body, Scalar):
        return {names[0]: row}
    cells = row if isinstance(row, tuple) else (row,)
    if len(cells) != len(names):
        columns = f"the {len(names)} columns" if len(names) > 1 else "the column"
        hint = "`null` or 0 fills a column that a row does not use"
        if isinstance(row, tuple) and len(names) == 1:
            hint = f"write `for: {names[0]}` where the whole row is the value"
        fail(f"a row has {len(cells)} cells for {columns} {', '.join(names)}", mark, hint)
    return dict(zip(names, cells, strict=True))
