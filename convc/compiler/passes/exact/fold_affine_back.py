"""Fold a per-channel affine map into what computes its input, directly or past pools, concats and the like.

    s f(x) + t = f'(x)      f a convolution, linear layer, norm or another map, with rows of its weight times s, b s + t

    concat(conv, conv) -> batch_norm        two convolutions: each takes its channels' part
    batch_norm -> batch_norm                one
    conv -> avg_pool -> batch_norm          the convolution, as the mean of s x + t is s mean + t

What is passed must not mind the map (affine_paths.py), and nobody else may read what changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir import Editor, Node
from ..affine_nodes import AFFINE, Reading, forget, reading, why_not_read
from ..affine_paths import Plan, backwards
from ..affine_takers import take_behind
from ..rewrite import Match, Miss, Rewrite
from ..sharing import why_not_copied


@dataclass(frozen=True)
class Back(Match):
    """`node`, the map, what it reads, and who takes it."""

    reading: Reading
    plan: Plan


class FoldAffineBack(Rewrite[Back], name="fold_affine_back", root=AFFINE):
    """Fold a batch norm, a scale, or arithmetic with constants per channel into the nodes before it."""

    exact_when = (
        "all that computes its input is convolutions, linear layers, norms and other such maps, read by it alone, and what"
        " stands between passes it on: no shift past zeros that are padded, no negative factor past a maximum"
    )
    worth_when = (
        "always: a node and a copy less; into a weight that others hold with other numbers where the cost model says so"
    )

    def match(self, edit: Editor, node: Node) -> Back | Miss | None:
        found = reading(edit, node)
        if found is None:
            why = why_not_read(edit, node)
            return None if why is None else Miss(why)
        plan = backwards(edit, found.value, node.name, found.map)
        if isinstance(plan, str):
            return Miss(plan)
        takers = [(name, one.scale) for name, one in plan.taken]
        why = why_not_copied(edit, self.worth, node, takers, behind=True)
        return Back(node, found, plan) if why is None else Miss(why)

    def rewrite(self, edit: Editor, match: Back) -> None:
        take_out(edit, match.node, match.reading, match.plan)
        for name, one in match.plan.taken:
            take_behind(edit, name, one)
            edit.add_origins(name, match.node.origins)


def take_out(edit: Editor, node: Node, found: Reading, plan: Plan) -> None:
    """Take a map out, with the constants that it alone read; the region holds all whose values change."""
    for name in (*plan.passed, *(name for name, _ in plan.taken), *found.numbers, node.name):
        edit.include(name)
    if plan.fixed:
        edit.fix_sizes()
    edit.bypass(node.name, found.value)
    forget(edit, node.name, found.numbers)
