"""Runs nodes in torch's float64, with the few operators that PyTorch does slowly or wastefully there done otherwise.

    depthwise conv        PyTorch has one small product per channel: instead, one product per tap of the kernel
    linear over a vast    the weight is widened in strips, so that no second copy of it is ever made
    stored weight

Both follow PyTorch's definitions to the last rounding but one; a test compares them. Imports torch at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import prod
from threading import Lock
from types import MappingProxyType
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..ir import DType, Lazy, Node, Op, Param, TensorType
from ..ops.linear import Linear
from .sizes import Side

_STRIP = 1 << 22


class Numbers:
    """Parameters in float64. Shared parts of lazy expressions are computed once as long as this lives."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Param, NDArray[np.float64]]] = {}

    def array(self, param: Param) -> NDArray[np.float64]:
        if id(param) not in self._known:
            self._known[id(param)] = (param, self._computed(param))
        return self._known[id(param)][1]

    def _computed(self, param: Param) -> NDArray[np.float64]:
        if not isinstance(param, Lazy):
            return param.as_float64()
        value = param.function(*map(self.array, param.arguments))
        if value.shape != param.shape:
            raise ValueError(f"{param.label} yields {value.shape}, but {param.shape} was promised")
        return np.asarray(value, np.float64)

    def tensor(self, param: Param) -> Tensor:
        array = self.array(param)
        if not (array.flags.writeable and array.flags.c_contiguous):
            array = np.array(array, order="C")
        return torch.from_numpy(array)


@dataclass(frozen=True)
class Strips:
    """A weight (out, F) that is widened a few rows at a time."""

    array: NDArray[Any]

    def __iter__(self) -> Iterator[Tensor]:
        rows = max(1, _STRIP // self.array.shape[1])
        for start in range(0, self.array.shape[0], rows):
            yield torch.from_numpy(self.array[start : start + rows].astype(np.float64))


class _Threads:
    """How many proofs are under way, and the number of threads PyTorch had before the first."""

    lock = Lock()
    inside = 0
    before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Everything here is small: threads within an operator would wait for each other longer than they work, and round by
    their number. Proofs themselves may run side by side: the last to leave restores what the first found."""
    with _Threads.lock:
        if not _Threads.inside:
            _Threads.before = torch.get_num_threads()
        _Threads.inside += 1
        # The setting belongs to the calling thread in part, so each makes it.
        torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        with _Threads.lock:
            _Threads.inside -= 1
            if not _Threads.inside:
                torch.set_num_threads(_Threads.before)


# What was computed, by operator, parameters and inputs; the tensors are held so that their identities stay theirs.
Known = dict[tuple[Op, tuple[int, ...], tuple[int, ...]], tuple[Tensor, tuple[Tensor, ...]]]


def run(
    side: Side, inputs: Mapping[str, Tensor], wanted: Iterable[str], numbers: Numbers | None, known: Known | None = None
) -> dict[str, Tensor]:
    """The wanted values.

    Without `numbers` no parameter is kept: each is computed at each node that names it. With `known`, what a run of the
    other side computed (the same operator on the same tensors) is not computed again.
    """
    wanted = set(wanted)
    last = {name: i for i, node in enumerate(side.nodes) for name in (*node.inputs, node.name)}
    values = dict(inputs)
    for i, node in enumerate(side.nodes):
        values[node.name] = _value(node, side, tuple(values[name] for name in node.inputs), numbers, known)
        for name in {*node.inputs, node.name}:
            if last[name] == i and name not in wanted:
                del values[name]
    return {name: values[name] for name in wanted}


def _value(node: Node, side: Side, inputs: tuple[Tensor, ...], numbers: Numbers | None, known: Known | None) -> Tensor:
    key = (node.op, tuple(id(side.params[name]) for name in node.params.values()), tuple(map(id, inputs)))
    if known is not None and key in known:
        return known[key][0]
    held = {role: _held(node, side.params[name], numbers) for role, name in node.params.items()}
    value: Tensor = node.op.torch(_TORCH, *inputs, p=held)
    if known is not None:
        known[key] = (value, inputs)
    return value


def _held(node: Node, param: Param, numbers: Numbers | None) -> Tensor | Strips:
    if isinstance(node.op, Linear) and param.stored() and param.numel > _STRIP:
        return Strips(np.asarray(param.evaluate()))
    return (numbers or Numbers()).tensor(param)


def dense(
    types: Mapping[str, TensorType], seed: int, positive: bool = False, below: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Tensor]:
    """Seeded values for each type: normal (or above 1/2), whole numbers from 0 to 9 or `below` a limit, or true and false."""
    return {name: _dense(name, type_, seed, positive, below.get(name, 10)) for name, type_ in types.items()}


def _dense(name: str, type_: TensorType, seed: int, positive: bool, below: int) -> Tensor:
    source = torch.Generator().manual_seed(crc32(name.encode()) ^ seed)
    shape = type_.at({})
    if type_.dtype is DType.int64:
        return torch.randint(0, below, shape, generator=source)
    if type_.dtype is DType.bool:
        return torch.rand(shape, generator=source) < 0.5
    values = torch.randn(shape, generator=source, dtype=torch.float64)
    return values.abs() + 0.5 if positive else values


class _Functional:
    """torch.nn.functional, save for what is slow in float64."""

    def __getattr__(self, name: str) -> Any:
        return getattr(functional, name)

    def linear(self, x: Tensor, weight: Tensor | Strips, bias: Tensor | None = None) -> Tensor:
        if isinstance(weight, Tensor):
            return functional.linear(x, weight, bias)
        y = torch.cat([functional.linear(x, strip) for strip in weight], -1)
        return y if bias is None else y + bias

    def conv1d(self, *given: Any, **named: Any) -> Tensor:
        return _conv(functional.conv1d, *given, **named)

    def conv2d(self, *given: Any, **named: Any) -> Tensor:
        return _conv(functional.conv2d, *given, **named)

    def conv3d(self, *given: Any, **named: Any) -> Tensor:
        return _conv(functional.conv3d, *given, **named)


def _conv(
    conv: Callable[..., Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if groups == 1 or weight.shape[1] != 1 or not all(isinstance(a, Sequence) for a in (stride, padding, dilation)):
        return conv(x, weight, bias, stride, padding, dilation, groups)
    return depthwise(x, weight, bias, stride, padding, dilation)


def depthwise(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """A convolution whose groups are single channels: x (N, C, *S), weight (m C, 1, *kernel).

    y = sum over taps u of weight[:, 0, u] * x[..., u * dilation + i * stride]
    """
    kernel = weight.shape[2:]
    x = functional.pad(x, [amount for pad in reversed(padding) for amount in (pad, pad)])
    if (times := weight.shape[0] // x.shape[1]) > 1:
        x = x.repeat_interleave(times, 1)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    counts = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], spans, stride, strict=True)]
    y = x.new_zeros((x.shape[0], weight.shape[0], *counts))
    factors = weight.reshape(weight.shape[0], prod(kernel))
    for tap, place in enumerate(product(*map(range, kernel))):
        part = x
        for axis, (u, d, n, s) in enumerate(zip(place, dilation, counts, stride, strict=True), 2):
            part = part.narrow(axis, u * d, (n - 1) * s + 1)[(slice(None),) * axis + (slice(None, None, s),)]
        y.addcmul_(part, factors[:, tap].reshape(-1, *[1] * len(kernel)))
    return y if bias is None else y + bias.reshape(-1, *[1] * len(kernel))


class _NN:
    functional = _Functional()

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.nn, name)


class _Torch:
    """What operators are handed as `t`."""

    nn = _NN()

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def tensor(self, data: Any, **given: Any) -> Tensor:
        """A number written in a spec is what it says: 0.1 is not its float32 neighbour here."""
        if given.get("dtype") is torch.float32:
            given["dtype"] = torch.float64
        return torch.tensor(data, **given)


_TORCH = _Torch()
