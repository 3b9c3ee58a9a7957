"""Write a gate per channel out to the size of what it multiplies, so that ONNX Runtime's blocked layout is not left.

    x * g  =  x * resize(g)        x (N, C, H, W),  g (N, C, 1, 1),  the nearest of one element is that element

On a CPU ONNX Runtime multiplies blocked values of one shape, and enlarges them; a product that broadcasts it does in plain
order: x is written out, multiplied, and read in again. Squeeze and excitation (Hu et al., 2018) ends in such a product.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir import Editor, Node, TensorType
from ...ops.arithmetic import Mul
from ...ops.resize import Resize
from ..blocks import BLOCK, in_blocks
from ..forms import fresh, planned
from ..rewrite import Match, Miss, Rewrite
from ..worth import Price, price


@dataclass(frozen=True)
class Gate(Match):
    """`node`, the product, the place of the gate among its inputs, and the resize."""

    place: int
    resize: Node


class WidenGates(Rewrite[Gate], name="widen_gates", root=Mul):
    """Enlarge the gate of a squeeze and excitation, so that ONNX Runtime multiplies in its blocked layout on a CPU."""

    exact_when = (
        "always: the nearest of one element is that element; sizes must be fixed, or the resize would compute them"
    )
    worth_when = "on a CPU, where channels are whole blocks of 16 and reordering costs more than the enlarged gate"

    def match(self, edit: Editor, node: Node) -> Gate | Miss | None:
        types = [edit.type_of(value) for value in node.inputs]
        places = [i for i, type_ in enumerate(types) if _is_gate(type_, node.type)]
        if len(types) != 2 or len(places) != 1 or node.type.rank != 4:
            return None
        sizes = node.type.spatial
        if not all(isinstance(size, int) for size in sizes):
            return Miss(f"the size of {node.type} is dynamic: what would be written out is not known")
        if node.type.channels % BLOCK:
            return Miss(f"{node.type.channels} channels are no whole blocks of {BLOCK}")
        gate = node.inputs[places[0]]
        op = Resize(scale=tuple(float(size) for size in sizes if isinstance(size, int)))
        resize = planned(edit, fresh(edit, f"{node.name}/gate"), op, (gate,), node)
        gated = node.inputs[1 - places[0]]
        if not in_blocks(edit, gated):
            return Miss(f"{gated!r} is not in blocks: no convolution writes it")
        product = price(edit, (node,))
        moved = Price(0, 2 * product.bytes, 2)
        verdict = self.worth.judge(product.plus(moved), product.plus(price(edit, (resize,))))
        return Gate(node, places[0], resize) if verdict.pays else Miss(verdict.reason)

    def rewrite(self, edit: Editor, match: Gate) -> None:
        edit.insert(match.resize, {}, before=match.node.name)
        inputs = list(match.node.inputs)
        inputs[match.place] = match.resize.name
        edit.set_inputs(match.node.name, tuple(inputs))
        edit.fix_sizes()


def _is_gate(gate: TensorType, whole: TensorType) -> bool:
    """(N, C, 1, 1) beside (N, C, H, W)."""
    return gate.shape == (*whole.shape[:2], *(1,) * (whole.rank - 2)) and gate.shape != whole.shape
