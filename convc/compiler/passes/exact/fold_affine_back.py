"""Fold a per-channel affine map into what computes its input, directly or past pools, concats and the like.

    s f(x) + t = f'(x)      f a convolution, linear layer, norm or another map, with rows of its weight times s, b s + t

    concat(conv, conv) -> batch_norm        two convolutions: each takes its channels' part
    concat(conv, relu) -> batch_norm        the convolution takes its part; before the concat a smaller batch norm is left
    batch_norm -> batch_norm                one
    conv -> avg_pool -> batch_norm          the convolution, as the mean of s x + t is s mean + t

What is passed must not mind the map (affine_paths.py), and nobody else may read what changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...ir import Editor, Node
from ...ops.activation import Relu
from ..affine_nodes import AFFINE, Reading, forget, mapped, reading, why_not_read, why_not_written
from ..affine_paths import Plan, Step, backwards, forwards, in_parts
from ..affine_takers import take_behind
from ..forms import fresh, only_reader
from ..rewrite import Match, Miss, Rewrite
from ..sharing import why_not_copied
from ..worth import Price, price


@dataclass(frozen=True)
class Back(Match):
    """`node`, the map, what it reads, who takes it, and values of which it stays in smaller maps."""

    reading: Reading
    plan: Plan
    rest: tuple[Step, ...] = ()


class FoldAffineBack(Rewrite[Back], name="fold_affine_back", root=AFFINE):
    """Fold a batch norm, a scale, or arithmetic with constants per channel into the nodes before it."""

    exact_when = (
        "all that computes its input is convolutions, linear layers, norms and other such maps, read by it alone, and what"
        " stands between passes it on: no shift past zeros that are padded, no negative factor past a maximum"
    )
    worth_when = (
        "always: a node and a copy less; into a weight that others hold with other numbers, or into some parts of a"
        " concat before a smaller map, where the cost model says so"
    )

    def match(self, edit: Editor, node: Node) -> Back | Miss | None:
        found = reading(edit, node)
        if found is None:
            why = why_not_read(edit, node)
            return None if why is None else Miss(why)
        plan = backwards(edit, found.value, node.name, found.map)
        if isinstance(plan, str):
            return self._in_parts(edit, node, found, plan)
        takers = [(name, one.scale) for name, one in plan.taken]
        why = why_not_copied(edit, self.worth, node, takers, behind=True)
        return Back(node, found, plan) if why is None else Miss(why)

    def _in_parts(self, edit: Editor, node: Node, found: Reading, why: str) -> Back | Miss:
        """Into some operands of a concat, where that makes the map cheaper, and nobody behind it takes it as a whole."""
        split = in_parts(edit, found.value, node.name, found.map)
        if (
            split is None
            or why_not_written(node.type, found.map)
            or isinstance(forwards(edit, node.name, found.map), Plan)
        ):
            return Miss(why)
        left = [mapped(edit, fresh(edit, f"{node.name}/of"), value, one, node)[0] for value, one in split.rest]
        before = Price() if _is_part_of_next(edit, node) else price(edit, [node])
        verdict = self.worth.judge(before, _sum(price(edit, [one]) for one in left))
        if not verdict.pays:
            return Miss(f"{why}; others of the concat could take their part: {verdict.reason}")
        takers = [(name, one.scale) for name, one in split.plan.taken]
        copied = why_not_copied(edit, self.worth, node, takers, behind=True)
        return Back(node, found, split.plan, split.rest) if copied is None else Miss(copied)

    def rewrite(self, edit: Editor, match: Back) -> None:
        for value, one in match.rest:
            name = fresh(edit, f"{match.node.name}/of_{value}")
            node, held = mapped(edit, name, value, one, match.node)
            edit.insert(node, held, before=match.reading.value)
            concat = edit.node(match.reading.value)
            assert concat is not None
            edit.set_inputs(concat.name, tuple(name if i == value else i for i in concat.inputs))
        take_out(edit, match.node, match.reading, match.plan)
        for name, one in match.plan.taken:
            take_behind(edit, name, one)
            edit.add_origins(name, match.node.origins)


def _is_part_of_next(edit: Editor, node: Node) -> bool:
    """Whether a relu alone reads it: runtimes compute the two at once, which they do not past a concat."""
    reader = edit.node(edit.users(node.name)[0]) if only_reader(edit, node.name) else None
    return reader is not None and isinstance(reader.op, Relu)


def _sum(prices: Iterable[Price]) -> Price:
    total = Price()
    for one in prices:
        total = total.plus(one)
    return total


def take_out(edit: Editor, node: Node, found: Reading, plan: Plan) -> None:
    """Take a map out, with the constants that it alone read; the region holds all whose values change."""
    for name in (*plan.passed, *(name for name, _ in plan.taken), *found.numbers, node.name):
        edit.include(name)
    if plan.fixed:
        edit.fix_sizes()
    edit.bypass(node.name, found.value)
    forget(edit, node.name, found.numbers)
