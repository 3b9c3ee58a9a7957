"""An ONNX model whose weights nobody has computed yet.

    file = head + graph (its length counts the weights) + weights

`head` is a ModelProto without its graph, `graph` a GraphProto without its weights; both are finished bytes. A protobuf
message is its fields one after the other in any order, so the weights can follow as they are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir import DType, Param


@dataclass(frozen=True)
class Weight:
    """An initializer: a parameter, and the element type it is rounded to once, on its way out."""

    name: str
    param: Param = field(repr=False)
    dtype: DType = DType.float32

    @property
    def shape(self) -> tuple[int, ...]:
        return self.param.shape

    @property
    def nbytes(self) -> int:
        return self.param.numel * self.dtype.bytes


@dataclass(frozen=True)
class OnnxModel:
    """Finished bytes and unfinished weights, see above; `nodes` are the node names, in order."""

    head: bytes = field(repr=False)
    graph: bytes = field(repr=False)
    weights: tuple[Weight, ...]
    nodes: tuple[str, ...]
    opset: int
    ir_version: int

    @property
    def weight_bytes(self) -> int:
        return sum(weight.nbytes for weight in self.weights)
