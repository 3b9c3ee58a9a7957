"""Fold batch normalisation into the convolution, transposed convolution or linear layer that feeds it.

    y = gamma * (conv(x, w, b) - mean) / sqrt(var + eps) + beta
      = conv(x, w * s, (b - mean) * s + beta)        with s = gamma / sqrt(var + eps)

Exact for any stride, padding, dilation and group count: s scales whole output channels. Their axis in the weight is

    conv            (out, C / groups, *kernel)       0
    linear          (out, F)                         0
    conv_transpose  (C, out / groups, *kernel)       1, within each group's C / groups rows
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...ir import Editor, Node
from ...ops.batch_norm import BatchNorm
from ...ops.conv import Conv
from ...ops.conv_transpose import ConvTranspose
from ...ops.linear import Linear
from ..affine import flat
from ..affine_takers import per_output
from ..rewrite import Match, Miss, Rewrite
from ..sharing import why_not_copied
from ..statistics import scale_of, shift_of

Producer = Conv | ConvTranspose | Linear


@dataclass(frozen=True)
class Folding(Match):
    """`node`, the batch norm, and the node that feeds it."""

    conv: Node


class FoldBatchNorm(Rewrite[Folding], name="fold_batchnorm", root=BatchNorm):
    """Fold batch normalisation into the conv, conv_transpose or linear that feeds it."""

    exact_when = (
        "a conv, conv_transpose or linear (whose output features are the channels) feeds the batch norm, and it alone"
    )
    worth_when = "always: one node and four vectors less; into a weight that others share where the cost model says so"

    def match(self, edit: Editor, node: Node) -> Folding | Miss:
        source = node.inputs[0]
        conv = edit.node(source)
        if conv is None:
            return Miss(f"follows the input {source!r}, not a conv, conv_transpose or linear")
        if not isinstance(conv.op, Producer):
            return Miss(f"follows {conv.op.name} {source!r}, not a conv, conv_transpose or linear")
        if others := [name for name in edit.users(source) if name != node.name]:
            return Miss(f"{source!r} also feeds {_listed(others)}")
        if edit.is_output(source):
            return Miss(f"{source!r} is an output of the network as well")
        if isinstance(conv.op, Linear) and node.type.rank != 2:
            last = node.type.rank - 1
            return Miss(f"normalises axis 1 of {node.type}, but linear {source!r} writes axis {last}")
        assert isinstance(node.op, BatchNorm)
        scale = scale_of(edit.params_of(node), node.op.eps)
        why = why_not_copied(edit, self.worth, node, [(source, scale)], behind=True)
        return Folding(node, conv) if why is None else Miss(why)

    def rewrite(self, edit: Editor, match: Folding) -> None:
        conv, bn = match.conv, match.node
        assert isinstance(conv.op, Producer)
        assert isinstance(bn.op, BatchNorm)
        held = edit.params_of(conv)
        scale = scale_of(edit.params_of(bn), bn.op.eps)
        edit.set_op(conv.name, replace(conv.op, bias=True))
        edit.set_params(
            conv.name,
            weight=flat(per_output(conv.op, held["weight"], scale)),
            bias=flat(shift_of(held.get("bias"), edit.params_of(bn), scale)),
        )
        edit.add_origins(conv.name, bn.origins)
        edit.bypass(bn.name)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
