"""Which channels of a graph must stand in the same order, and which are free to move or to be padded.

The channel axis of every value is a list of segments. Two values that meet element by element have the same segments; a
concat has those of its operands, one after the other; a dense convolution reads any order, for its weight's columns can
follow, and writes any order, for its rows can. So can a choice of channels (slice, gather, shuffle), whose indices follow.
Where anything else reads a value its segments are fixed.

    segments(relu(x)) = segments(x)            segments(concat(a, b)) = segments(a) + segments(b)
    segments(conv(x)) = [new]                  segments(a + b) = segments(a) = segments(b), cut where either is
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..ir import Editor, Node, Op, TensorType
from ..ops import activation
from ..ops.adaptive_pool import AdaptiveAvgPool, AdaptiveMaxPool
from ..ops.arithmetic import Abs, Add, Max, Min, Mul, Neg, Sub
from ..ops.batch_norm import BatchNorm
from ..ops.border import Crop, Pad
from ..ops.channels import ChannelShuffle, Gather
from ..ops.conv import Conv
from ..ops.global_pool import GlobalAvgPool, GlobalMaxPool
from ..ops.join import Concat
from ..ops.norm import InstanceNorm, Scale
from ..ops.pool import AvgPool, MaxPool
from ..ops.resize import Resize
from ..ops.shape import Slice

# Elementwise and finite wherever their input is: what a padded channel holds is never read, but must be no NaN.
_ELEMENTWISE = (
    activation.Relu, activation.Relu6, activation.Sigmoid, activation.Tanh, activation.Silu, activation.Mish,
    activation.Hardswish, activation.Softplus, activation.LeakyRelu, activation.Prelu, activation.Elu, activation.Gelu,
    activation.Hardsigmoid, activation.Clip, Abs, Neg,
)  # fmt: skip
_CHANNELWISE = (BatchNorm, Scale, InstanceNorm, AvgPool, MaxPool, AdaptiveAvgPool, AdaptiveMaxPool, Resize, Crop)
_MEETING = (Add, Sub, Mul, Max, Min)


@dataclass(eq=False)
class Segment:
    """Some channels in a row. Joined to an equal one (`same`), cut (`parts`), or neither."""

    size: int
    fixed: str = ""
    same: Segment | None = None
    parts: tuple[Segment, Segment] | None = field(default=None, repr=False)

    def find(self) -> Segment:
        one = self
        while one.same is not None:
            # Halves the way for who asks next: deep networks join long rows of them.
            one.same = one.same.same or one.same
            one = one.same
        return one

    def fix(self, why: str) -> None:
        top = self.find()
        top.fixed = top.fixed or why
        for part in top.parts or ():
            part.fix(why)


def resolved(segments: Iterable[Segment]) -> list[Segment]:
    """The uncut segments of today."""
    found: list[Segment] = []
    waiting = list(segments)[::-1]
    while waiting:
        top = waiting.pop().find()
        if top.parts is None:
            found.append(top)
        else:
            waiting += top.parts[::-1]
    return found


def tie(left: Sequence[Segment], right: Sequence[Segment]) -> None:
    """Make two lists of equal length in channels the same list, cutting where either is cut."""
    a, b = resolved(left)[::-1], resolved(right)[::-1]
    while a and b:
        x, y = a.pop().find(), b.pop().find()
        if x.parts is not None or y.parts is not None:
            a += resolved([x])[::-1]
            b += resolved([y])[::-1]
        elif x is y:
            continue
        elif x.size == y.size:
            x.same = y
            if x.fixed:
                y.fix(x.fixed)
        elif x.size > y.size:
            _cut(x, y.size)
            a.append(x)
            b.append(y)
        else:
            _cut(y, x.size)
            a.append(x)
            b.append(y)


def _cut(segment: Segment, size: int) -> None:
    segment.parts = (Segment(size, segment.fixed), Segment(segment.size - size, segment.fixed))


class Channels:
    """The segments of every value that has a fixed number of channels."""

    def __init__(self, edit: Editor) -> None:
        self._of: dict[str, list[Segment]] = {}
        for name, type_ in edit.inputs.items():
            if channels(type_):
                self._of[name] = [Segment(channels(type_), f"{name!r} is an input of the network")]
        for node in edit:
            self._add(edit, node)
            if edit.is_output(node.name):
                self._fix([node.name], f"{node.name!r} is an output of the network")

    def of(self, value: str) -> list[Segment]:
        """The segments of a value; none where its channels are not known."""
        return resolved(self._of.get(value, ()))

    def _add(self, edit: Editor, node: Node) -> None:
        count = channels(node.type)
        kind = role(node, [edit.type_of(i) for i in node.inputs])
        if kind == "fixed":
            self._fix(node.inputs, f"{node.op.name} {node.name!r} wants its channels as they are")
        if not count:
            return
        if kind == "join":
            self._of[node.name] = [segment for value in node.inputs for segment in self._of[value]]
            return
        self._of[node.name] = [
            Segment(count, f"{node.op.name} {node.name!r} writes them so" if kind == "fixed" else "")
        ]
        if kind == "tie":
            for value in tied_inputs(node, [edit.type_of(i) for i in node.inputs]):
                tie(self._of[value], self._of[node.name])

    def _fix(self, values: Iterable[str], why: str) -> None:
        for value in values:
            for segment in self._of.get(value, ()):
                segment.fix(why)


def channels(type_: TensorType) -> int:
    """Channels of a value (N, C, *S); 0 where it has none, or no fixed number of them."""
    count = type_.shape[1] if type_.rank >= 3 else 0
    return count if isinstance(count, int) else 0


def role(node: Node, inputs: Sequence[TensorType]) -> str:
    """How a node treats channels.

    free   a dense convolution: any order in, any order out       join   concat of channels
    pick   a choice of channels: the same, by its indices         fixed  anything else
    tie    the order of the output is that of `tied_inputs`
    """
    op = node.op
    if not inputs or not all(channels(x) for x in inputs[:1]):
        return "fixed"
    if isinstance(op, Conv):
        if op.groups == 1:
            return "free"
        return "tie" if is_depthwise(op, inputs[0]) else "fixed"
    if isinstance(op, Concat):
        return "join" if op.axis == 1 else "fixed"
    if picked(op, inputs[0]) is not None:
        return "pick"
    if isinstance(op, _MEETING):
        return "tie" if all(_meets(x, node.type) for x in inputs) else "fixed"
    if isinstance(op, (*_ELEMENTWISE, *_CHANNELWISE)) or op.identity_at_inference:
        return "tie"
    if isinstance(op, GlobalAvgPool | GlobalMaxPool):
        return "tie" if op.keepdims else "fixed"
    if isinstance(op, Pad):
        return "tie" if op.axes is not None and min(op.axes) >= 2 else "fixed"
    return "fixed"


def tied_inputs(node: Node, inputs: Sequence[TensorType]) -> list[str]:
    """The inputs whose channels are those of the output, place by place."""
    if isinstance(node.op, _MEETING):
        return [i for i, x in zip(node.inputs, inputs, strict=True) if channels(x) == channels(node.type)]
    return [node.inputs[0]]


def is_depthwise(op: Op, x: TensorType) -> bool:
    """Whether a convolution looks at each channel by itself, and writes one for each."""
    return isinstance(op, Conv) and op.groups == op.out == x.channels and op.groups > 1


def picked(op: Op, x: TensorType) -> tuple[int, ...] | None:
    """The input channel that each output channel is, for a choice of channels; None for any other operator."""
    count = channels(x)
    if not count:
        return None
    if isinstance(op, ChannelShuffle):
        return tuple(op.order(count))
    if isinstance(op, Gather) and op.axis == 1:
        return tuple(op.indices)
    if isinstance(op, Slice) and op.axis == 1 and isinstance(op.start, int):
        end = count if op.end is None else op.end
        if isinstance(end, int):
            return tuple(range(count))[op.start : end : op.step]
    return None


def _meets(x: TensorType, y: TensorType) -> bool:
    """Whether an operand has the output's channels, or one for all of them, on the same axis."""
    return x.rank == y.rank and channels(x) in (1, channels(y))
