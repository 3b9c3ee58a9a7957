"""Nodes as affine maps: what a node computes per channel, and which nodes take such a map into their own numbers.

reading     batch_norm, scale, neg, and arithmetic with constants or parameters, as a map of one value
behind      y = s f(x) + t    f a convolution, linear layer, norm or another map: rows of its weight times s
before      y = f(s x + t)    f a convolution, linear layer, batch norm or another map: columns times s, b + W t
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import Editor, Node, Op, Param, Stored, TensorType, constant
from ..ops.arithmetic import Add, Div, Mul, Neg, Sub
from ..ops.batch_norm import BatchNorm
from ..ops.norm import Scale
from ..ops.tensor import Constant, Parameter
from .affine import Affine, flat
from .statistics import scale_of, shift_of

# What may be an affine map: the roots of passes that look for them.
AFFINE = (BatchNorm, Scale, Neg, Add, Sub, Mul, Div)

_EPS = 1e-5


@dataclass(frozen=True)
class Reading:
    """A node as a map of `value`; `numbers` are the constants and parameters that it reads."""

    value: str
    map: Affine
    numbers: tuple[str, ...] = ()


def reading(edit: Editor, node: Node) -> Reading | None:
    """A node as an affine map of one of its inputs, of the same type; None where it is none."""
    op = node.op
    if not node.type.dtype.value.startswith("float"):
        return None
    if isinstance(op, BatchNorm):
        held = edit.params_of(node)
        scale = scale_of(held, op.eps)
        return Reading(node.inputs[0], Affine(1, scale, shift_of(None, held, scale)))
    if isinstance(op, Scale):
        return Reading(node.inputs[0], Affine(1, edit.params_of(node)["weight"]))
    if isinstance(op, Neg):
        return Reading(node.inputs[0], Affine(None, constant(-1.0, (1,))))
    return _arithmetic(edit, node) if isinstance(op, Add | Sub | Mul | Div) else None


def _arithmetic(edit: Editor, node: Node) -> Reading | None:
    held = {value: _number(edit, value, node.type.rank) for value in dict.fromkeys(node.inputs)}
    values = [value for value in node.inputs if held[value] is None]
    # x + x is 2 x.
    times = len(values) if isinstance(node.op, Add) else 1
    if values != values[:1] * times or not values or edit.type_of(values[0]) != node.type:
        return None
    at = node.inputs.index(values[0])
    maps: list[Affine | None] = [Affine(None, constant(float(times), (1,)))] if times > 1 else []
    maps += [_with(node, number, at == 0) for value in node.inputs if (number := held[value]) is not None]
    known = [one for one in maps if one is not None]
    whole: Affine | None = Affine(None)
    for one in known:
        whole = None if whole is None else whole.then(one)
    if whole is None or not known or len(known) < len(maps):
        return None
    return Reading(values[0], whole, tuple(value for value in held if value != values[0]))


def why_not_read(edit: Editor, node: Node) -> str | None:
    """Why arithmetic of one value with constants or parameters is no affine map per channel; None for anything else."""
    held = [value for value in dict.fromkeys(node.inputs) if _is_held(edit, value)]
    if not isinstance(node.op, Add | Sub | Mul | Div) or len({*node.inputs}) - len(held) != 1 or not held:
        return None
    wide = next((value for value in held if _number(edit, value, node.type.rank) is None), "")
    if wide:
        return f"the numbers of {wide!r}, {edit.type_of(wide)}, are not one for each place of one axis"
    value = next(value for value in node.inputs if value not in held)
    if edit.type_of(value) != node.type:
        return f"it repeats {value!r}, {edit.type_of(value)}, to {node.type}"
    if isinstance(node.op, Div) and node.inputs[0] in held:
        return f"it divides by {value!r}: that is no affine map"
    return "its numbers go along several axes, or one divides by 0"


def _is_held(edit: Editor, value: str) -> bool:
    node = edit.node(value)
    return node is not None and isinstance(node.op, Constant | Parameter)


def _with(node: Node, number: Affine, first: bool) -> Affine | None:
    """The map that arithmetic with a number (held as a shift) is; `first` where the value stands before it."""
    op, c = node.op, number.shift
    assert c is not None
    if isinstance(op, Add):
        return number
    if isinstance(op, Mul):
        return Affine(number.axis, c)
    if isinstance(op, Sub):
        return Affine(number.axis, None, -c) if first else Affine(number.axis, constant(-1.0, (1,)), c)
    if not first or not c.evaluate().all():
        return None
    return Affine(number.axis, constant(1.0, c.shape) / c)


def _number(edit: Editor, value: str, rank: int) -> Affine | None:
    """A constant or parameter that has numbers along one axis of a value of `rank`, as a shift."""
    node = edit.node(value)
    if node is None or not isinstance(node.op, Constant | Parameter) or not node.type.dtype.value.startswith("float"):
        return None
    shape = node.type.shape
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    if len(axes) > 1 or len(shape) > rank:
        return None
    if isinstance(node.op, Parameter):
        numbers = edit.params_of(node)["value"]
    else:
        import numpy as np

        numbers = Stored(np.asarray(node.op.value, np.float64))
    axis = rank - len(shape) + axes[0] if axes else None
    return None if axis == 0 else Affine(axis, None, numbers.reshape(numbers.numel))


def why_not_written(type_: TensorType, one: Affine) -> str | None:
    """Why no one node computes an affine map of a value of this type; None where one does."""
    if one.axis not in (1, None):
        return f"no node multiplies and adds along axis {one.axis}"
    if type_.rank < 2 or not isinstance(type_.shape[1], int):
        return f"{type_} has no fixed number of channels"
    return None


def write(edit: Editor, name: str, value: str, one: Affine) -> None:
    """Let a node compute an affine map of a value: as scale, or as batch_norm with mean 0 and variance 1 - eps."""
    channels = edit.type_of(value).shape[1]
    assert isinstance(channels, int)
    wide = one.on(1, channels)
    assert wide is not None
    node = edit.node(name)
    assert node is not None
    numbers = [other for other in node.inputs if other != value]
    edit.drop_params(name, *node.params)
    if wide.shift is None:
        assert wide.scale is not None
        edit.set_op(name, Scale(), (value,))
        edit.set_params(name, weight=flat(wide.scale))
    else:
        edit.set_op(name, BatchNorm(eps=_EPS, scale=wide.scale is not None), (value,))
        factors = {} if wide.scale is None else {"weight": flat(wide.scale)}
        mean, var = constant(0.0, (channels,)), constant(1.0 - _EPS, (channels,))
        edit.set_params(name, bias=flat(wide.shift), running_mean=mean, running_var=var, **factors)
    forget(edit, name, numbers)


def mapped(edit: Editor, name: str, value: str, one: Affine, like: Node) -> tuple[Node, dict[str, Param]]:
    """A node that computes an affine map of a value, and its parameters by role, for `Editor.insert`."""
    type_ = edit.type_of(value)
    wide = one.on(1, type_.channels)
    assert wide is not None
    op: Op
    held: dict[str, Param]
    if wide.shift is None:
        assert wide.scale is not None
        op, held = Scale(), {"weight": flat(wide.scale)}
    else:
        op, held = BatchNorm(eps=_EPS, scale=wide.scale is not None), {"bias": flat(wide.shift)}
        held |= {} if wide.scale is None else {"weight": flat(wide.scale)}
        held |= {
            "running_mean": constant(0.0, (type_.channels,)),
            "running_var": constant(1.0 - _EPS, (type_.channels,)),
        }
    bound = op.bind(type_)
    names = {role: f"{name}.{role}" for role in held}
    return Node(name, bound, (value,), bound.infer(type_), names, like.origins, like.train_only), held


def forget(edit: Editor, name: str, numbers: Sequence[str]) -> None:
    """Take out constants that `name` no longer reads and nobody else does; it stands for them now."""
    for value in dict.fromkeys(numbers):
        gone = edit.node(value)
        if gone is not None and not edit.users(value) and not edit.is_output(value):
            if edit.node(name) is not None:
                edit.add_origins(name, gone.origins)
            edit.drop(value)
