"""Fold a per-channel affine map into all that reads it, directly or past pools, concats and the like.

    f(s x + t) = f'(x)      f a convolution or linear layer: W' = W diag(s), b' = b + W t; a batch norm or another map

    batch_norm -> conv 1x1                  one convolution
    (x - mean) / std -> conv                one convolution, where it pads nothing
    layer_norm -> conv 1x1, linear          the norm's factor and offset; it goes on normalising

Where zeros are padded, W t lacks some of its terms at the border: there a shift stays. In a network that is norm first
(DenseNet; He et al., 2016) a relu follows each batch norm, and a shift is not to be had past it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...ir import Editor, Node
from ..affine import Affine
from ..affine_nodes import AFFINE, Reading, reading
from ..affine_paths import Plan, backwards, forwards
from ..affine_takers import own_axis, take_before
from ..rewrite import Match, Miss, Rewrite
from ..sharing import ENDING, why_not_copied
from .fold_affine_back import take_out


@dataclass(frozen=True)
class Forward(Match):
    """`node`, the map or the norm that ends in one, what it reads (None: a norm, which stays), and who takes it."""

    reading: Reading | None
    plan: Plan


class FoldAffineForward(Rewrite[Forward], name="fold_affine_forward", root=(*AFFINE, *ENDING)):
    """Fold a batch norm, a scale, a norm's factor and offset, or arithmetic with constants into the nodes behind it."""

    exact_when = (
        "all that reads it is convolutions, linear layers, batch norms and other such maps, a shift meets no zeros that are"
        " padded, and what stands between passes it on"
    )
    worth_when = (
        "always: a node, or a norm's vectors, and a copy less; into a weight that others hold with other numbers where the cost"
        " model says so"
    )

    def match(self, edit: Editor, node: Node) -> Forward | Miss | None:
        found = reading(edit, node)
        one = _ending(edit, node) if found is None else found.map
        if one is None:
            return None
        plan = forwards(edit, node.name, one)
        if isinstance(plan, Plan):
            takers = [(name, taken.scale) for name, taken in plan.taken]
            why = why_not_copied(edit, self.worth, node, takers, behind=False)
            return Forward(node, found, plan) if why is None else Miss(why)
        back = None if found is None else backwards(edit, found.value, node.name, found.map)
        return Miss(f"before it, {back}; behind it, {plan}" if isinstance(back, str) else plan)

    def rewrite(self, edit: Editor, match: Forward) -> None:
        node = match.node
        if match.reading is not None:
            take_out(edit, node, match.reading, match.plan)
        else:
            _bare(edit, node, match.plan)
        for name, one in match.plan.taken:
            take_before(edit, name, one)
            edit.add_origins(name, node.origins if match.reading is not None else ())


def _ending(edit: Editor, node: Node) -> Affine | None:
    """The map with which a norm ends; None for another node, or where the norm has none."""
    if not isinstance(node.op, ENDING):
        return None
    held = edit.params_of(node)
    return Affine(own_axis(node), held.get("weight"), held.get("bias")) if held else None


def _bare(edit: Editor, node: Node, plan: Plan) -> None:
    """Leave a norm without factor and offset."""
    assert isinstance(node.op, ENDING)
    for name in (*plan.passed, *(name for name, _ in plan.taken), node.name):
        edit.include(name)
    if plan.fixed:
        edit.fix_sizes()
    edit.drop_params(node.name, *node.params)
    edit.set_op(node.name, replace(node.op, scale=False, shift=False))
