"""ONNX Runtime's blocked layout on a CPU: what is in it.

A value of C channels is held as C / 16 blocks, the 16 channels of a place beside each other. Convolutions write it, and pools,
concats, sums and what maps each element keep it; anything else is handed the plain order, and what it writes is plain.
"""

from __future__ import annotations

from collections.abc import Container

from ..ir import Editor
from ..ops.activation import Elementwise
from ..ops.conv import Conv
from ..ops.join import Concat
from ..ops.pool import AvgPool, MaxPool

# With AVX-512; 8 without it.
BLOCK = 16


def in_blocks(edit: Editor, value: str, sums: Container[str] = ()) -> bool:
    """Whether a convolution, a concat, or a pool of whole blocks writes the value, one of `sums`, or what maps such a value."""
    node = edit.node(value)
    while node is not None and isinstance(node.op, Elementwise | AvgPool | MaxPool):
        if not isinstance(node.op, Elementwise) and isinstance(count := node.type.channels, int) and count % BLOCK == 0:
            return True
        node = edit.node(node.inputs[0])
    return node is not None and (isinstance(node.op, Conv | Concat) or node.name in sums)
