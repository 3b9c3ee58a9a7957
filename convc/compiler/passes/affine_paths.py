"""The way of an affine map to those that take it into their numbers, past nodes that do not mind it.

    s f(x) + t = f(s x + t)      f a mean over real elements, interpolation, crop, choice or order of places
    s f(x) = f(s x)              f a pad with zeros, a mean that counts them; with s >= 0 also relu, leaky_relu, prelu
    max s x + t                  = s max x + t where s >= 0
    concat, choice of channels   the map in parts, or in their order; the channels beside them stay as they are
    s (a + b) + t                = (s a + t) + s b, backwards alone

Nodes on the way stay as they are: their values alone change, so that a plan is those passed, and those that take a part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir import Editor, Node
from ..ops import activation
from ..ops.adaptive_pool import AdaptiveAvgPool, AdaptiveMaxPool
from ..ops.arithmetic import Add
from ..ops.border import Crop, Pad
from ..ops.channels import Gather
from ..ops.global_pool import GlobalAvgPool, GlobalMaxPool
from ..ops.join import Concat
from ..ops.pool import AvgPool, MaxPool
from ..ops.resize import Resize
from ..ops.shape import Flatten, Slice, Transpose
from .affine import Affine
from .affine_takers import takes_before, takes_behind
from .channels import picked
from .forms import why_not_alone

# A way that branches further touches more than a fold is worth asking about.
_MOST = 64

_FREE = (AdaptiveAvgPool, GlobalAvgPool, Resize, Crop)
_GREATEST = (MaxPool, AdaptiveMaxPool, GlobalMaxPool)
_BENDS = (activation.Relu, activation.LeakyRelu, activation.Prelu)

# A value and the map that it takes on.
Step = tuple[str, Affine]


@dataclass
class Plan:
    """`passed` stay as they are, `taken` take a map; `fixed` where that hangs on the sizes."""

    passed: list[str] = field(default_factory=list)
    taken: list[Step] = field(default_factory=list)
    fixed: bool = False

    def full(self) -> bool:
        return len(self.passed) + len(self.taken) >= _MOST


def backwards(edit: Editor, value: str, reader: str, one: Affine) -> Plan | str:
    """How what computes `value` can yield `one` of it, as `reader` reads it alone; why not, in words."""
    plan = Plan()
    waiting = [(value, reader, one)]
    while waiting:
        value, reader, one = waiting.pop()
        node = edit.node(value)
        if node is None:
            return f"the input {value!r} is before it"
        if (shared := _shared(edit, value, reader, plan)) is not None:
            return shared
        taken = takes_behind(edit, node, one)
        if isinstance(taken, str):
            return taken
        if taken:
            plan.taken.append((value, one))
            continue
        steps = _before(edit, node, one, plan)
        if isinstance(steps, str):
            return steps
        if plan.full():
            return f"its way back has more than {_MOST} nodes"
        plan.passed.append(value)
        waiting += [(source, value, part) for source, part in steps]
    return plan


def forwards(edit: Editor, value: str, one: Affine) -> Plan | str:
    """How all that reads `value` can read `one` of it instead, computed by themselves; why not, in words."""
    plan = Plan()
    waiting = [(value, one)]
    while waiting:
        value, one = waiting.pop()
        if edit.is_output(value):
            return f"{value!r} is an output of the network"
        for name in edit.users(value):
            node = edit.node(name)
            assert node is not None
            taken = takes_before(edit, node, one)
            if isinstance(taken, str):
                return taken
            if taken:
                plan.taken.append((name, one))
                continue
            if isinstance(node.op, Resize | Crop) and value != node.inputs[0]:
                continue  # it reads the size alone
            behind = _behind(edit, node, value, one, plan)
            if isinstance(behind, str):
                return behind
            if plan.full():
                return f"its way on has more than {_MOST} nodes"
            plan.passed.append(name)
            waiting.append((name, behind))
    return plan if plan.taken else "nobody behind it takes it"


def _shared(edit: Editor, value: str, reader: str, plan: Plan) -> str | None:
    """Who else reads a value; None where nobody does, or others choose other channels of it."""
    why = why_not_alone(edit, value, reader)
    one = edit.node(reader)
    if why is None or edit.is_output(value) or one is None or one.inputs != (value,):
        return why
    if len(edit.users(value)) > _MOST:
        return why
    mine = picked(one.op, edit.type_of(value))
    others = [node for name in edit.users(value) if name != reader and (node := edit.node(name)) is not None]
    theirs = [picked(node.op, edit.type_of(value)) for node in others]
    if mine is None or any(channels is None or {*channels} & {*mine} for channels in theirs):
        return why
    # Their own values stay, but they read one that changes.
    plan.passed += [node.name for node in others if node.name not in plan.passed]
    return None


def _before(edit: Editor, node: Node, one: Affine, plan: Plan) -> list[Step] | str:
    """What the inputs of a node have to take for it to yield `one` of itself."""
    op = node.op
    if isinstance(op, Concat):
        return _parts(edit, node, one)
    if isinstance(op, Add):
        if len({*node.inputs}) < len(node.inputs) or any(edit.type_of(i) != node.type for i in node.inputs):
            return f"add {node.name!r} reads one value twice, or repeats one"
        return [(value, one if i == 0 else Affine(one.axis, one.scale)) for i, value in enumerate(node.inputs)]
    source = node.inputs[0] if node.inputs else ""
    if isinstance(op, Transpose):
        return [(source, one if one.axis is None else one.along(op.perm[one.axis]))]
    if one.axis in (1, None) and source and (channels := _picks(edit, node)) is not None:
        if len({*channels}) < len(channels):
            return f"{op.name} {node.name!r} takes some channels more than once"
        # One number for all is one for each that is chosen: others may choose the rest.
        wide = one.on(1, len(channels))
        assert wide is not None
        places = {channel: i for i, channel in enumerate(channels)}
        return [(source, wide.picked([places.get(c, -1) for c in range(edit.type_of(source).channels)]))]
    why = _minds(edit, node, one, plan)
    return [(source, one)] if why is None else why


def _parts(edit: Editor, node: Node, one: Affine) -> list[Step] | str:
    """A map of a concat, in parts."""
    assert isinstance(node.op, Concat)
    if len({*node.inputs}) < len(node.inputs):
        return f"concat {node.name!r} reads one value twice"
    if one.axis != node.op.axis:
        return [(value, one) for value in node.inputs]
    steps: list[Step] = []
    first = 0
    for value in node.inputs:
        count = edit.type_of(value).shape[node.op.axis]
        assert isinstance(count, int), "numbers along an axis have their count"
        steps.append((value, one.picked(range(first, first + count))))
        first += count
    return steps


def _behind(edit: Editor, node: Node, value: str, one: Affine, plan: Plan) -> Affine | str:
    """What a node yields of itself where `value`, which it reads, is `one` of what it was."""
    op = node.op
    if isinstance(op, Concat):
        return _among(edit, node, value, one)
    if isinstance(op, Transpose):
        return one if one.axis is None else one.along(op.perm.index(one.axis))
    if isinstance(op, Flatten):
        return _flattened(edit, node, one, plan)
    if one.axis == 1 and (channels := _picks(edit, node)) is not None:
        return one.picked(channels)
    why = _minds(edit, node, one, plan)
    return one if why is None else why


def _among(edit: Editor, node: Node, value: str, one: Affine) -> Affine | str:
    """A map of one operand of a concat as one of the whole."""
    assert isinstance(node.op, Concat)
    axis = node.op.axis
    if {*node.inputs} == {value} and one.axis != axis:
        return one
    sizes = [edit.type_of(i).shape[axis] for i in node.inputs]
    count = edit.type_of(value).shape[axis]
    wide = one.on(axis, count) if isinstance(count, int) and axis else None
    if wide is None or not all(isinstance(size, int) for size in sizes):
        return f"concat {node.name!r} joins it with others along axis {axis}"
    places: list[int] = []
    for name, size in zip(node.inputs, sizes, strict=True):
        assert isinstance(size, int)
        places += range(size) if name == value else [-1] * size
    return wide.picked(places)


def _flattened(edit: Editor, node: Node, one: Affine, plan: Plan) -> Affine | str:
    """Each channel's numbers once for each of its places."""
    assert isinstance(node.op, Flatten)
    x = edit.type_of(node.inputs[0])
    if one.axis is None or one.axis < node.op.start:
        return one
    inner = [size for size in x.shape[node.op.start :] if isinstance(size, int)]
    if len(inner) < x.rank - node.op.start:
        return f"flatten {node.name!r} joins axes of dynamic sizes"
    plan.fixed = True
    at = one.axis - node.op.start
    places = [0]
    for i, size in enumerate(inner):
        places = [(p if i != at else c) for p in places for c in range(size)]
    return one.picked(places).along(node.op.start)


def _picks(edit: Editor, node: Node) -> tuple[int, ...] | None:
    return picked(node.op, edit.type_of(node.inputs[0]))


def _minds(edit: Editor, node: Node, one: Affine, plan: Plan) -> str | None:
    """Why a node of one value does not hand on a map along its channels; None where it does."""
    op = node.op
    name = f"{op.name} {node.name!r}"
    if op.identity_at_inference:
        return None
    if isinstance(op, Slice | Gather):
        return None if op.axis != one.axis else f"{name} chooses along axis {op.axis}"
    if isinstance(op, Pad):
        return _minds_pad(op, name, one)
    if isinstance(op, _BENDS):
        if one.shifts():
            return f"{name} bends at 0, which a shift would move"
        return f"{name} bends at 0, and some factor is negative" if one.turns() else None
    if one.axis not in (1, None):
        return f"{name} takes no map along axis {one.axis}"
    if isinstance(op, AvgPool):
        padded = isinstance(op.padding, str) or (isinstance(op.padding, tuple) and any(op.padding))
        counts = padded and op.count_include_pad
        return f"{name} counts zeros of its padding, which no shift reaches" if counts and one.shifts() else None
    if isinstance(op, _GREATEST):
        return f"{name} takes the greatest, and some factor is negative" if one.turns() else None
    return None if isinstance(op, _FREE) else f"{name} stands in the way"


def _minds_pad(op: Pad, name: str, one: Affine) -> str | None:
    assert op.axes is not None
    if one.axis in op.axes:
        return f"{name} grows axis {one.axis}"
    if op.mode != "zeros":
        return None
    if op.value != 0:
        return f"{name} pads with {op.value:g}, which a map would change"
    return f"{name} pads with zeros, which no shift reaches" if one.shifts() else None
