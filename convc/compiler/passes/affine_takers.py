"""Who takes an affine map into its own numbers, behind it or before it.

    behind      y = s f(x) + t        conv, conv_transpose, linear: rows of W times s, b s + t; a norm: its own factor and offset
    before      y = f(s x + t)        conv, linear: columns of W times s, b + W t where no zero is padded;
                                      batch_norm: mean 0, gamma s, beta + gamma (t - mean) / sqrt(var + eps)

Another affine map takes one on either side: the two become one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..ir import Editor, Node, Param, constant
from ..ops.batch_norm import BatchNorm
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.linear import Linear
from ..ops.norm import GroupNorm, InstanceNorm, LayerNorm
from .affine import Affine, flat
from .affine_nodes import reading, why_not_written, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

Convolution = Conv | ConvTranspose | Linear
Norm = BatchNorm | LayerNorm | GroupNorm | InstanceNorm


def own_axis(node: Node) -> int:
    """The axis along which a convolution, linear layer or norm has its numbers, in its input and in its output."""
    last = isinstance(node.op, Linear) or (isinstance(node.op, LayerNorm) and node.op.axis == "last")
    return node.type.rank - 1 if last else 1


def takes_behind(edit: Editor, node: Node, one: Affine) -> str | bool:
    """True where a node takes a map behind it, False where it is nothing that does, or why it cannot."""
    if isinstance(node.op, Convolution | Norm):
        axis = own_axis(node)
        return True if one.axis in (axis, None) else f"it goes along axis {one.axis}, {_called(node)} along {axis}"
    return _with_another(edit, node, one, behind=True)


def takes_before(edit: Editor, node: Node, one: Affine) -> str | bool:
    """True where a node takes a map before it, False where it is nothing that does, or why it cannot."""
    if isinstance(node.op, Convolution | BatchNorm):
        axis = own_axis(node)
        if one.axis not in (axis, None):
            return f"it goes along axis {one.axis}, {_called(node)} along {axis}"
        if isinstance(node.op, ConvTranspose) and one.shifts():
            return f"{_called(node)} spreads each place over several, at the border over fewer: it takes no shift before it"
        if isinstance(node.op, Conv) and _pads_zeros(node.op) and one.shifts():
            return f"{_called(node)} pads with zeros, where a shift before it is missing"
        return True
    return _with_another(edit, node, one, behind=False)


def _with_another(edit: Editor, node: Node, one: Affine, behind: bool) -> str | bool:
    other = reading(edit, node)
    if other is None:
        return False
    both = other.map.then(one) if behind else one.then(other.map)
    if both is None:
        return f"it goes along axis {one.axis}, {_called(node)} along {other.map.axis}"
    return why_not_written(node.type, both) or True


def take_behind(edit: Editor, name: str, one: Affine) -> None:
    """Let a node take a map that stands behind it."""
    node = edit.node(name)
    assert node is not None
    if isinstance(node.op, Convolution):
        _rows(edit, node, one)
    elif isinstance(node.op, Norm):
        _norm(edit, node, one)
    else:
        other = reading(edit, node)
        both = None if other is None else other.map.then(one)
        assert other is not None
        assert both is not None
        write(edit, name, other.value, both)


def take_before(edit: Editor, name: str, one: Affine) -> None:
    """Let a node take a map that stands before it."""
    node = edit.node(name)
    assert node is not None
    if isinstance(node.op, Convolution):
        _columns(edit, node, one)
    elif isinstance(node.op, BatchNorm):
        _batch_norm(edit, node, one)
    else:
        other = reading(edit, node)
        both = None if other is None else one.then(other.map)
        assert other is not None
        assert both is not None
        write(edit, name, other.value, both)


def _rows(edit: Editor, node: Node, one: Affine) -> None:
    assert isinstance(node.op, Convolution)
    assert node.op.out is not None
    wide = one.on(own_axis(node), node.op.out)
    assert wide is not None
    held = edit.params_of(node)
    made: dict[str, Param] = {}
    if wide.scale is not None:
        made["weight"] = flat(per_output(node.op, held["weight"], wide.scale))
    bias = offset(held.get("bias"), wide)
    if bias is not None:
        made["bias"] = flat(bias)
        edit.set_op(node.name, replace(node.op, bias=True))
    edit.set_params(node.name, **made)


def _norm(edit: Editor, node: Node, one: Affine) -> None:
    assert isinstance(node.op, Norm)
    size = node.type.shape[own_axis(node)]
    assert isinstance(size, int)
    wide = one.on(own_axis(node), size)
    assert wide is not None
    held = edit.params_of(node)
    factor = held.get("weight")
    scale = wide.scale if factor is None else factor if wide.scale is None else factor * wide.scale
    bias = offset(held.get("bias"), wide)
    made = {role: flat(numbers) for role, numbers in (("weight", scale), ("bias", bias)) if numbers is not None}
    edit.set_op(node.name, replace(node.op, scale=scale is not None, shift=bias is not None))
    edit.set_params(node.name, **made)


def _columns(edit: Editor, node: Node, one: Affine) -> None:
    op = node.op
    assert isinstance(op, Convolution)
    axis = own_axis(node)
    size = edit.type_of(node.inputs[0]).shape[axis]
    assert isinstance(size, int)
    wide = one.on(axis, size)
    assert wide is not None
    held = edit.params_of(node)
    weight = held["weight"]
    made: dict[str, Param] = {}
    if wide.scale is not None:
        made["weight"] = flat(per_input(op, weight, wide.scale))
    if wide.shift is not None and wide.shifts():
        more = through(op, weight, wide.shift)
        made["bias"] = flat(held["bias"] + more if "bias" in held else more)
        edit.set_op(node.name, replace(op, bias=True))
    edit.set_params(node.name, **made)


def _batch_norm(edit: Editor, node: Node, one: Affine) -> None:
    op = node.op
    assert isinstance(op, BatchNorm)
    wide = one.on(1, node.type.channels)
    assert wide is not None
    held = edit.params_of(node)
    mean = held["running_mean"]
    deviation = (held["running_var"] + op.eps).sqrt()
    moved = (-mean if wide.shift is None else wide.shift - mean) / deviation
    moved = moved * held["weight"] if "weight" in held else moved
    made = {"bias": flat(moved + held["bias"] if "bias" in held else moved)}
    if wide.scale is not None:
        made["weight"] = flat(held["weight"] * wide.scale if "weight" in held else wide.scale)
    scaled = "weight" in held or "weight" in made
    edit.set_op(node.name, replace(op, scale=scaled, shift=True))
    edit.set_params(node.name, running_mean=constant(0.0, mean.shape), **made)


def per_output(op: Convolution, weight: Param, scale: Param) -> Param:
    """The weight with each output channel scaled. Their axis is 0; of conv_transpose 1, within each group's rows."""
    shape = weight.shape
    if not isinstance(op, ConvTranspose):
        return weight * scale.reshape(shape[0], *[1] * (len(shape) - 1))
    kernel = shape[2:]
    grouped = weight.reshape(op.groups, shape[0] // op.groups, *shape[1:])
    return (grouped * scale.reshape(op.groups, 1, shape[1], *[1] * len(kernel))).reshape(*shape)


def per_input(op: Convolution, weight: Param, scale: Param) -> Param:
    """The weight with each input channel scaled. Their axis is 0 of conv_transpose, else 1, within each group's rows."""
    shape = weight.shape
    if isinstance(op, ConvTranspose):
        return weight * scale.reshape(shape[0], *[1] * (len(shape) - 1))
    groups = op.groups if isinstance(op, Conv) else 1
    grouped = weight.reshape(groups, shape[0] // groups, *shape[1:])
    return (grouped * scale.reshape(groups, 1, shape[1], *[1] * (len(shape) - 2))).reshape(*shape)


def through(op: Convolution, weight: Param, shift: Param) -> Param:
    """W t, (out,): what a constant per input channel becomes where no window meets a border."""
    columns = per_input(op, weight, shift)

    def summed(values: NDArray[Any]) -> NDArray[Any]:
        total: NDArray[Any] = values.reshape(values.shape[0], -1).sum(1)
        return total

    return columns.apply((weight.shape[0],), summed, "summed", 1)


def offset(bias: Param | None, one: Affine) -> Param | None:
    """b s + t; None where all are left out."""
    scaled = bias if bias is None or one.scale is None else bias * one.scale
    if one.shift is None:
        return scaled
    return one.shift if scaled is None else scaled + one.shift


def _pads_zeros(op: Conv) -> bool:
    if isinstance(op.padding, str):
        return True
    assert isinstance(op.padding, tuple)
    return op.padding_mode == "zeros" and any(op.padding)


def _called(node: Node) -> str:
    return f"{node.op.name} {node.name!r}"
