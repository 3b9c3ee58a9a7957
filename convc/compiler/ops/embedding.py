"""Embedding: a learned vector for each of a number of things, looked up by their places.

y[n, :, s] = weight[x[n, s]]

It is a 1x1 convolution without bias of the one-hot columns of x, which never stand in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError
from ..ir.op import Op, Params, arg
from ..ir.types import DType, Init, ParamType, TensorType

if TYPE_CHECKING:
    from ..ir import Node


@dataclass(frozen=True, kw_only=True)
class Embedding(Op, name="embedding", group="convolution", arity=(1, 1), principal="out"):
    """The learned vector of each whole number; the vectors' elements are the channels.

    x       int64 (N, *S), from 0 to count - 1
    weight  (count, out)
    ->      (N, out, *S)
    """

    out: int = arg(kind="size", doc="output channels")
    count: int = arg(kind="size", doc="how many things there are; the input counts them from 0")
    init: Init | None = arg(None, kind="init", doc="how fresh weights are filled; normal with deviation 1 if left out")

    def infer(self, *x: TensorType) -> TensorType:
        if x[0].dtype is not DType.int64:
            raise ShapeError(
                f"embedding looks whole numbers up, but got {x[0]}",
                hint="an input of whole numbers: `input: {tokens: {shape: [N, L], dtype: int64}}`",
            )
        return TensorType((*x[0].shape[:1], self.out, *x[0].shape[1:]))

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        return {"weight": ParamType((self.count, self.out), self.init or Init("normal", 1.0))}

    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        return t.nn.functional.embedding(x[0], p["weight"]).movedim(-1, 1)

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        rank = g.output.rank
        found = g.Gather(p["weight"], x[0], axis=0)
        return str(g.Transpose(found, perm=[0, rank - 1, *range(1, rank - 1)]) if rank > 2 else found)


def counts(nodes: Iterable[Node]) -> dict[str, int]:
    """For each value that embeddings look up, how many numbers all of them know: what a made-up input must stay below."""
    found: dict[str, int] = {}
    for node in nodes:
        if isinstance(node.op, Embedding):
            name = node.inputs[0]
            found[name] = min(node.op.count, found.get(name, node.op.count))
    return found
