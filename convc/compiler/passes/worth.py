"""Whether a rewrite pays: three numbers of each form, and how fast a target works them off.

    seconds(form)  =  MACs / rate  +  bytes / bandwidth  +  launches * overhead
    a rewrite pays  where  seconds(after) < seconds(before)

MACs are the operators' own; bytes are activations and parameters read and written, each once per node; a launch is a
node. Rates are round figures of one machine of each kind: what is decided by less than their error matters little.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from ..errors import ShapeError
from ..ir import Editor, Node, TensorType
from ..ops.arithmetic import Add
from ..ops.conv import Conv

# Sizes at which dynamic dimensions are priced.
BATCH, SPACE = 1, 224


class Price(NamedTuple):
    """What a form costs to run once. Prices add."""

    macs: int = 0
    bytes: int = 0
    launches: int = 0

    def plus(self, other: Price) -> Price:
        return Price(self.macs + other.macs, self.bytes + other.bytes, self.launches + other.launches)

    def __str__(self) -> str:
        return f"{self.macs:,} MACs, {self.bytes:,} bytes, {self.launches} nodes"


class Verdict(NamedTuple):
    """Whether it pays, and the figures in words."""

    pays: bool
    reason: str


@dataclass(frozen=True)
class Worth:
    """How fast a target is. `enabled` False: every exact rewrite pays.

    macs_per_second    multiply-accumulates of a large convolution
    bytes_per_second   of memory
    launch_seconds     what a node costs before it computes anything
    """

    target: str
    macs_per_second: float
    bytes_per_second: float
    launch_seconds: float
    enabled: bool = True

    def seconds(self, price: Price) -> float:
        return (
            price.macs / self.macs_per_second
            + price.bytes / self.bytes_per_second
            + price.launches * self.launch_seconds
        )

    def judge(self, before: Price, after: Price) -> Verdict:
        """Whether `after` is the faster form on this target. Equal is not faster."""
        if not self.enabled:
            return Verdict(True, "the cost model is off")
        old, new = self.seconds(before), self.seconds(after)
        word = "faster" if new < old else "no faster"
        return Verdict(
            new < old,
            f"{word} on {self.target} by the cost model: {new * 1e6:.1f} us against {old * 1e6:.1f} us"
            f" ({after} against {before})",
        )


# Two cores with AVX-512, 115 GFLOP/s each in convolutions; an H100 in float32.
WORTHS: Mapping[str, Worth] = MappingProxyType(
    {
        "generic": Worth("generic", 1e11, 2e10, 5e-6),
        "ort-cpu": Worth("ort-cpu", 1.1e11, 2.5e10, 3e-6),
        "ort-cuda": Worth("ort-cuda", 1.5e13, 2e12, 6e-6),
    }
)
GENERIC = WORTHS["generic"]


def sizes(inputs: Mapping[str, TensorType]) -> dict[str, int]:
    """A value for each dynamic dimension of a network's inputs: 1 on the first axis, 224 on others."""
    found: dict[str, int] = {}
    for type_ in inputs.values():
        for axis, dim in enumerate(type_.shape):
            for symbol in [] if isinstance(dim, int) else sorted(dim.symbols()):
                found.setdefault(symbol, SPACE if axis else BATCH)
    return found


def price(edit: Editor, nodes: Iterable[Node], given: Mapping[str, TensorType] | None = None) -> Price:
    """What nodes cost, present ones or planned ones whose inputs are present or planned too, at `sizes` of the network.

    `given` types inputs that are planned, but not among the nodes.

    A planned node's parameters are taken from its operator. Dynamic sizes that 224 does not fit count as nothing.
    """
    planned = list(nodes)
    at = sizes(edit.inputs)
    types = dict(given or {}) | {node.name: node.type for node in planned}
    total = Price()
    for node in planned:
        total = total.plus(_one(node, [types.get(i) or edit.type_of(i) for i in node.inputs], at))
    return total


def fuses(edit: Editor, part: Node, readers: Collection[str]) -> bool:
    """Whether a sum stands behind a convolution that nobody else reads: runtimes make it part of that.

    `readers` are the nodes of which one, and nobody else, reads that convolution now.
    """
    if not isinstance(part.op, Add):
        return False
    for value in part.inputs:
        source = edit.node(value)
        if source is None or not isinstance(source.op, Conv) or edit.is_output(value):
            continue
        if len(edit.users(value)) == 1 and edit.users(value)[0] in readers:
            return True
    return False


def _one(node: Node, inputs: list[TensorType], at: Mapping[str, int]) -> Price:
    try:
        x = [TensorType(type_.at(at), type_.dtype) for type_ in inputs]
        y = TensorType(node.type.at(at), node.type.dtype)
        macs = node.op.macs(y, *x) + node.op.attention_macs(y, *x)
        params = sum(prod(held.shape) for held in node.op.params(*x).values())
    except ShapeError:
        return Price(launches=1)
    moved = sum(prod(t.at({})) * t.dtype.bytes for t in (*x, y))
    return Price(macs, moved + params * y.dtype.bytes, 1)
