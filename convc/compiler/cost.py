"""What a model costs at given sizes, per node and in all: parameters, MACs, bytes moved, receptive field.

params            learnable values; a shared parameter counts at its first holder; train_only nodes count
macs              of convolutions and linear layers, by the operators' own formulas; train_only nodes do not count
attention_macs    the same for products of two activations
bytes             activations read + activations written + parameters read, each once
receptive field   per spatial axis, from the input forward (Araujo et al., 2019, "Computing Receptive Fields of
                  Convolutional Neural Networks"):  r' = r + dilation * (kernel - 1) * jump,  jump' = jump * stride;
                  at a join the largest branch
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod

from .ir import Model, Node, TensorType, Window
from .ops.adaptive_pool import AdaptiveAvgPool, AdaptiveMaxPool
from .ops.border import Crop, Pad
from .ops.channels import PixelShuffle
from .ops.conv_transpose import ConvTranspose
from .ops.join import Concat
from .ops.resize import Resize
from .ops.shape import Slice


@dataclass(frozen=True, slots=True)
class Cost:
    """One node. `receptive_field` is None where a value sees all of the input, or has lost the input's axes."""

    name: str
    op: str
    output: tuple[int, ...]
    params: int
    macs: int
    attention_macs: int
    bytes: int
    receptive_field: tuple[int, ...] | None
    train_only: bool = False


@dataclass(frozen=True, slots=True)
class Costs:
    """Rows in graph order, and their totals; `macs`, `attention_macs` and `bytes` leave train_only rows out."""

    rows: tuple[Cost, ...]

    @property
    def params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.rows if not row.train_only)

    @property
    def attention_macs(self) -> int:
        return sum(row.attention_macs for row in self.rows if not row.train_only)

    @property
    def bytes(self) -> int:
        return sum(row.bytes for row in self.rows if not row.train_only)


def costs(model: Model, values: Mapping[str, int] | None = None) -> Costs:
    """Every node of the model, in order, where each dynamic dimension has the value given.

    Raises ShapeError where a dimension has none, or a value that breaks its promise.
    """
    values = values or {}
    graph = model.graph
    types = {name: _static(type, values) for name, type in graph.inputs.items()}
    fields: dict[str, Field | None] = {name: Field.start(type) for name, type in types.items()}
    counted: set[str] = set()
    rows = []
    for node in graph:
        types[node.name] = _static(node.type, values)
        fields[node.name] = _field(node, types, fields)
        rows.append(_row(model, node, types, fields[node.name], counted))
    return Costs(tuple(rows))


def _static(type: TensorType, values: Mapping[str, int]) -> TensorType:
    return TensorType(type.at(values), type.dtype)


def _row(model: Model, node: Node, types: Mapping[str, TensorType], field: Field | None, counted: set[str]) -> Cost:
    inputs = [types[name] for name in node.inputs]
    output = types[node.name]
    fresh = {name for name in node.params.values() if name in model.trained} - counted
    counted |= fresh
    read = sum(model.params[name].numel for name in set(node.params.values()))
    moved = sum(_bytes(types[name]) for name in dict.fromkeys(node.inputs)) + _bytes(output)
    return Cost(
        node.name,
        node.op.name,
        _sizes(output),
        sum(model.params[name].numel for name in fresh),
        node.op.macs(output, *inputs),
        node.op.attention_macs(output, *inputs),
        moved + read * output.dtype.bytes,
        None if field is None else field.extent,
        node.train_only,
    )


def _sizes(type: TensorType) -> tuple[int, ...]:
    return type.at({})


def _bytes(type: TensorType) -> int:
    return prod(_sizes(type)) * type.dtype.bytes


@dataclass(frozen=True, slots=True)
class Field:
    """How much of the input one element sees per axis, and how far apart neighbours look."""

    extent: tuple[int, ...]
    jump: tuple[Fraction, ...]

    @staticmethod
    def start(type: TensorType) -> Field:
        axes = max(0, type.rank - 2)
        return Field((1,) * axes, (Fraction(1),) * axes)

    def slide(self, window: Window) -> Field:
        reach = [d * (k - 1) for k, d in zip(window.kernel, window.dilation, strict=True)]
        return self._grown(reach, [Fraction(s) for s in window.stride])

    def slide_back(self, window: Window) -> Field:
        """A transposed convolution: an output element sees ceil(extent / stride) inputs, and outputs lie closer."""
        spans = [d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
        reach = [ceil(Fraction(span, s)) - 1 for span, s in zip(spans, window.stride, strict=True)]
        return self._grown(reach, [Fraction(1, s) for s in window.stride])

    def rescale(self, before: tuple[int, ...], after: tuple[int, ...], reach: int) -> Field:
        """Resampling: neighbours look `before / after` as far apart; interpolation sees `reach` elements more."""
        return self._grown([reach] * len(after), [Fraction(b, a) for b, a in zip(before, after, strict=True)])

    def _grown(self, reach: list[int], step: list[Fraction]) -> Field:
        """`reach` more elements to the side, each a jump away."""
        extent = tuple(ceil(r + more * jump) for r, more, jump in zip(self.extent, reach, self.jump, strict=True))
        return Field(extent, tuple(jump * s for jump, s in zip(self.jump, step, strict=True)))


# These move or join whole elements along an axis, so a size may change although nobody sees further.
_KEEP_FIELD = (Concat, Slice, Pad, Crop)
_RESCALE = (Resize, PixelShuffle)
_ADAPTIVE = (AdaptiveAvgPool, AdaptiveMaxPool)


def _field(node: Node, types: Mapping[str, TensorType], fields: Mapping[str, Field | None]) -> Field | None:
    before = _joined(node, fields)
    if before is None or not node.inputs:
        return before
    after = _sizes(types[node.name])[2:]
    if len(before.extent) != len(after):
        return None
    if (window := node.op.window()) is not None:
        return before.slide(window)
    if isinstance(node.op, ConvTranspose):
        return before.slide_back(Window(*map(_per_axis, (node.op.kernel, node.op.stride, node.op.dilation))))
    sizes = [_sizes(types[name])[2:] for name in node.inputs]
    if isinstance(node.op, _KEEP_FIELD) or after in sizes:
        return before
    if isinstance(node.op, _RESCALE):
        return before.rescale(sizes[0], after, reach=int(getattr(node.op, "mode", "nearest") != "nearest"))
    if isinstance(node.op, _ADAPTIVE) and prod(after) > 1:
        return before.slide(_adaptive(sizes[0], after))
    return None


def _per_axis(value: int | tuple[int, ...]) -> tuple[int, ...]:
    assert not isinstance(value, int), "bind makes one value per axis"
    return value


def _joined(node: Node, fields: Mapping[str, Field | None]) -> Field | None:
    """The largest of the inputs' fields; a value without spatial axes adds nothing."""
    spatial: list[Field] = []
    for name in node.inputs:
        field = fields[name]
        if field is None:
            return None
        if field.extent:
            spatial.append(field)
    if not spatial:
        return Field((), ())
    if len({len(field.extent) for field in spatial}) > 1:
        return None
    extents = zip(*(field.extent for field in spatial), strict=True)
    jumps = zip(*(field.jump for field in spatial), strict=True)
    return Field(tuple(map(max, extents)), tuple(map(max, jumps)))


def _adaptive(size: tuple[int, ...], out: tuple[int, ...]) -> Window:
    """The windows of an adaptive pool: exact where `out` divides `size`, the largest one otherwise."""
    stride = tuple(s // o for s, o in zip(size, out, strict=True))
    kernel = tuple(s - (o - 1) * step for s, o, step in zip(size, out, stride, strict=True))
    return Window(kernel, tuple(max(1, s) for s in stride), (1,) * len(out))
