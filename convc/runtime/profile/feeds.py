"""Random inputs of the sizes that a point asks for, refused before anything is allocated where they cannot be had.

Random and not zeros: kernels run faster on zeros, and denormal results slower on tiny numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from ...compiler.errors import ModelError, UsageError
from ..signature import Value, shown
from .graph import ModelGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shapes = dict[str, tuple[int, ...]]
_SPATIAL = 224
_SMALL = 16


def shapes_for(inputs: Sequence[Value], batch: int, size: Sequence[int]) -> Shapes:
    """Concrete sizes of every input. Axis 0 is the batch; the axes from 2 on are spatial.

    Raises UsageError where the model fixes an axis that is asked to be another.
    """
    if not inputs:
        raise ModelError("the model has no inputs: there is nothing to feed")
    main = _main(inputs)
    if batch and not any(one.shape for one in inputs):
        raise UsageError(f"--batch asks for {batch}, and no input has a batch", hint="leave --batch out")
    if size and len(main.shape) < 3:
        raise UsageError(
            f"--size asks for {'x'.join(map(str, size))}, and input {main.name!r} is {main}: no axis of space",
            hint="leave --size out",
        )
    return {one.name: _shape(one, batch, size, one is main) for one in inputs}


def point_size(inputs: Sequence[Value], shapes: Shapes) -> tuple[int, tuple[int, ...]]:
    """(batch, spatial size) of the main input."""
    shape = shapes[_main(inputs).name]
    return (shape[0] if shape else 1), shape[2:]


def random_feeds(inputs: Sequence[Value], shapes: Shapes, seed: int, available: int | None) -> dict[str, NDArray[Any]]:
    """Arrays with a seed: normal numbers, small whole numbers for integers. Raises ModelError where they do not fit."""
    import numpy as np

    needed = sum(prod(shape) * _bytes(one) for one in inputs for shape in [shapes[one.name]])
    _must_fit(needed, available, f"inputs {', '.join(shown(shape) for shape in shapes.values())}")
    rng = np.random.default_rng(seed)
    return {one.name: _array(one, shapes[one.name], rng) for one in inputs}


def check_memory(graph: ModelGraph, available: int | None) -> None:
    """Raises ModelError where one node's inputs and output alone are more than this machine can give."""
    for node in graph.nodes:
        sizes = [graph.sizes.get(name, 0) for name in {*node.inputs, *node.outputs}]
        _must_fit(sum(sizes), available, f"node {node.name!r} ({node.op})")


def _must_fit(needed: int, available: int | None, what: str) -> None:
    if available is not None and needed > available:
        gib = 2**30
        raise ModelError(
            f"not enough memory: {what} needs {needed / gib:.1f} GiB, and {available / gib:.1f} GiB are free",
            hint="use a smaller batch or size",
        )


def _main(inputs: Sequence[Value]) -> Value:
    """The picture: the first input of the highest rank."""
    return max(inputs, key=lambda one: len(one.shape))


def _shape(one: Value, batch: int, size: Sequence[int], main: bool) -> tuple[int, ...]:
    spatial = len(one.shape) - 2
    if main and size and len(size) not in (1, spatial):
        raise UsageError(f"--size has {len(size)} numbers, and input {one.name!r} is {one}", hint="e.g. --size 224x320")
    wanted = tuple(size) * spatial if len(size) == 1 else tuple(size)
    found = []
    for axis, stated in enumerate(one.shape):
        if axis == 0:
            found.append(_fixed(one, axis, stated, batch, 1, "--batch"))
        elif axis == 1 or not main or not wanted:
            found.append(stated if isinstance(stated, int) else _SPATIAL if len(one.shape) > 2 and axis > 1 else _SMALL)
        else:
            found.append(_fixed(one, axis, stated, wanted[axis - 2], _SPATIAL, "--size"))
    return tuple(found)


def _fixed(one: Value, axis: int, stated: object, asked: int, default: int, option: str) -> int:
    if not isinstance(stated, int):
        return asked or default
    if asked and asked != stated:
        raise UsageError(
            f"{option} asks for {asked}, and input {one.name!r} is {one}: axis {axis} is fixed",
            hint=f"leave {option} out, or build the model with a dynamic one",
        )
    return stated


def _bytes(one: Value) -> int:
    digits = "".join(ch for ch in one.dtype if ch.isdigit())
    return max(1, int(digits) // 8) if digits else 1


def _array(one: Value, shape: tuple[int, ...], rng: Any) -> NDArray[Any]:
    import numpy as np

    if one.dtype in ("bool",) or one.dtype.startswith(("int", "uint")):
        return np.asarray(rng.integers(0, 2, shape).astype(one.dtype))
    if one.dtype.startswith("float"):
        return np.asarray(rng.standard_normal(shape, dtype=np.float32).astype(one.dtype))
    raise ModelError(f"input {one.name!r} is {one}: only numbers can be made up for it")
