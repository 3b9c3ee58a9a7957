"""Run a 1x1 convolution where there are fewest places: behind a mean or a shrinking, before an enlargement.

    mean(W x + b)    =  W mean(x) + b        W acts on channels, the mean on places: they commute
    resize(W x + b)  =  W resize(x) + b      every weight row of nearest, linear and cubic interpolation sums to 1

The bias is exact where each mean is one of real elements: padding that counts would be W 0 + 0, not W 0 + b.

    DenseNet's transition (Huang et al., 2017): 1x1 then a 2x2 mean; four times fewer multiplications the other way round
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...ir import Editor, Node, Op
from ...ops.adaptive_pool import AdaptiveAvgPool
from ...ops.conv import Conv
from ...ops.global_pool import GlobalAvgPool
from ...ops.pool import AvgPool
from ...ops.resize import Resize
from ...ops.shape import Flatten
from ..forms import fresh, is_pointwise, padding, planned, why_not_alone
from ..rewrite import Match, Miss, Rewrite
from ..worth import price

Moved = AvgPool | AdaptiveAvgPool | GlobalAvgPool | Resize


@dataclass(frozen=True)
class Swap(Match):
    """`node`, the second of two that change places, the first, and what stands there afterwards, in order."""

    first: Node
    after: tuple[Node, ...]


class NarrowPointwise(
    Rewrite[Swap], name="narrow_pointwise", root=(Conv, AvgPool, AdaptiveAvgPool, GlobalAvgPool, Resize)
):
    """Run a 1x1 convolution behind an average pool, or before an enlargement, where there are fewer places."""

    exact_when = (
        "nothing stands between the 1x1 (stride 1, no padding) and the pool or resize, nobody else reads the value between"
        " them, and a bias meets no padding that counts"
    )
    worth_when = "the 1x1 then runs over fewer places, and the cost model agrees"

    def match(self, edit: Editor, node: Node) -> Swap | Miss | None:
        first = edit.node(node.inputs[0])
        if first is None:
            return None
        if is_pointwise(node.op):
            return self._before_resize(edit, first, node) if isinstance(first.op, Resize) else None
        if isinstance(node.op, Moved) and is_pointwise(first.op):
            return self._behind(edit, first, node)
        return None

    def _behind(self, edit: Editor, conv: Node, pool: Node) -> Swap | Miss:
        if (shared := why_not_alone(edit, conv.name, pool.name)) is not None:
            return Miss(shared)
        if conv.name in pool.inputs[1:]:
            return Miss(f"{conv.name!r} also says how large it becomes")
        if conv.params.keys() >= {"bias"} and _counts_padding(pool.op):
            return Miss(f"the padding of {pool.name!r} counts, and {conv.name!r} would add its bias to it")
        op = replace(pool.op, keepdims=True) if isinstance(pool.op, GlobalAvgPool) else pool.op
        early = planned(edit, fresh(edit, f"{conv.name}/pooled"), op, (conv.inputs[0], *pool.inputs[1:]), conv)
        late = planned(
            edit, conv.name, conv.op, (early.name,), conv, given={early.name: early.type}, params=conv.params
        )
        after: tuple[Node, ...] = (early, late)
        if late.type != pool.type:
            flat = planned(
                edit, fresh(edit, f"{pool.name}/flat"), Flatten(), (late.name,), pool, given={late.name: late.type}
            )
            after = (*after, flat)
        return self._judged(edit, conv, pool, after)

    def _before_resize(self, edit: Editor, resize: Node, conv: Node) -> Swap | Miss:
        if (shared := why_not_alone(edit, resize.name, conv.name)) is not None:
            return Miss(shared)
        # Its old name is the value that readers are led away from, so the 1x1 gets another; its parameters keep theirs.
        name = fresh(edit, f"{conv.name}/small")
        early = planned(edit, name, conv.op, (resize.inputs[0],), conv, params=conv.params)
        inputs, given = (name, *resize.inputs[1:]), {name: early.type}
        late = planned(edit, fresh(edit, f"{conv.name}/resized"), resize.op, inputs, resize, given=given)
        return self._judged(edit, resize, conv, (early, late))

    def _judged(self, edit: Editor, first: Node, second: Node, after: tuple[Node, ...]) -> Swap | Miss:
        old, new = price(edit, (first, second)), price(edit, after)
        if new.macs >= old.macs:
            return Miss(
                f"{second.name!r} and {first.name!r} stand as they should: {old.macs:,} MACs, {new.macs:,} swapped"
            )
        verdict = self.worth.judge(old, new)
        return Swap(second, first, after) if verdict.pays else Miss(verdict.reason)

    def rewrite(self, edit: Editor, match: Swap) -> None:
        first, second, after = match.first, match.node, match.after
        kept = {node.name for node in after if edit.node(node.name) is not None}
        for node in after:
            if node.name in kept:
                edit.set_inputs(node.name, node.inputs)
            else:
                edit.insert(node, {}, before=first.name)
        edit.bypass(second.name, after[-1].name)
        if first.name not in kept:
            edit.drop(first.name)


def _counts_padding(op: Op) -> bool:
    """Whether padded elements enter the mean as zeros."""
    if not isinstance(op, AvgPool) or not op.count_include_pad:
        return False
    return isinstance(op.padding, str) or any(padding(op))
