"""Fuse two convolutions in a row, mostly one of them 1x1, into one: nothing stands between them, so together they are linear.

    1x1 then k x k      W[o, c, u] = sum over m of  B[o, m, u] A[m, c]        b = b_B + sum B b_A
    k x k then 1x1      W[o, c, u] = sum over m of  B[o, m] A[m, c, u]        b = b_B + B b_A

k x k then 1x1 is exact always. 1x1 then k x k is exact where the second pads nothing, or the first has no bias: the padding of
the second is 0, where the first would give its bias. Strides and dilations multiply through. Two larger kernels are one, too,
where the second pads no axis along which the first reads more than a place, as 1 x 3 then 3 x 1; that seldom pays.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...algebra import LinearMap, compose
from ...ir import Editor, Node
from ...ops.conv import Conv
from ..forms import fresh, planned, why_not_alone
from ..linear import become, linear_map
from ..rewrite import Match, Miss, Rewrite
from ..worth import price


@dataclass(frozen=True)
class Fusion(Match):
    """`node`, the second; the first; what both are."""

    first: Node
    map: LinearMap


class FusePointwise(Rewrite[Fusion], name="fuse_pointwise", root=Conv):
    """Fuse a convolution, mostly a 1x1, with the convolution before or behind it."""

    exact_when = (
        "nothing stands between the two, nobody else reads the first, and a second that pads follows one without bias that reads"
        " each place alone along the axes that are padded, as a 1x1 does"
    )
    worth_when = (
        "the cost model says so: a wide value between two narrow ones saves, a narrow one between wide ones grows"
    )

    def match(self, edit: Editor, node: Node) -> Fusion | Miss | None:
        first = edit.node(node.inputs[0])
        if first is None or not isinstance(first.op, Conv) or first.train_only != node.train_only:
            return None
        maps = [linear_map(edit, one) for one in (first, node)]
        a, b = maps
        if not isinstance(a, LinearMap) or not isinstance(b, LinearMap):
            return Miss(next(one.reason for one in maps if one is not None and not isinstance(one, LinearMap)))
        if (shared := why_not_alone(edit, first.name, node.name)) is not None:
            return Miss(shared)
        one = compose(a, b)
        if not isinstance(one, LinearMap):
            return Miss(f"{first.name!r} and {node.name!r} cannot fuse: {one.reason}")
        fused = planned(edit, fresh(edit, node.name), one.conv(), first.inputs, node)
        if fused.type != node.type:
            return Miss(f"{first.name!r} and {node.name!r} cannot fuse: together they give {fused.type}")
        verdict = self.worth.judge(price(edit, (first, node)), price(edit, (fused,)))
        return Fusion(node, first, one) if verdict.pays else Miss(f"{first.name!r} could fuse: {verdict.reason}")

    def rewrite(self, edit: Editor, match: Fusion) -> None:
        first = match.first
        become(edit, match.node, first.inputs[0], match.map, [first])
        edit.drop(first.name)
