"""Collects the ONNX nodes that one operator is written as, and names them once it is known which yields the value.

    the node that yields the value       PATH
    its helpers, and their values        PATH/sigmoid, PATH/sigmoid_2, ...
    a value of a helper that has several PATH/split/0, PATH/split/1, ...
    constants                            PATH/hint

A spec path holds no `/`, so none of these can meet another node's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..ir import DType, TensorType

# Names of values that have none yet; no spec and no parameter can hold this character.
_MARK = "\0"

_FLOATING = (DType.float32, DType.float64, DType.float16)


@dataclass(frozen=True, slots=True)
class Call:
    """One ONNX node: `inputs` and `outputs` are names of values, an omitted optional input is empty."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class Emitted(NamedTuple):
    """What one operator became: its nodes, its constants by name, and the name of the value it returned."""

    calls: tuple[Call, ...]
    constants: Mapping[str, NDArray[Any]]
    value: str


@dataclass
class Emitter:
    """What `Op.onnx` is handed: `g.Conv(x, w, kernel_shape=[3, 3])` adds a node and returns the name of its value."""

    path: str
    opset: int
    inputs: tuple[TensorType, ...]
    output: TensorType
    lacking: frozenset[str] = frozenset()
    _calls: list[Call] = field(default_factory=list)
    _constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    _hints: dict[str, str] = field(default_factory=dict)

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if not op_type[:1].isupper():
            raise AttributeError(op_type)
        return partial(self._add, op_type)

    @property
    def dtype(self) -> DType:
        """The floating type that constants and parameters of this node have."""
        return next((t.dtype for t in (self.output, *self.inputs) if t.dtype in _FLOATING), DType.float32)

    def const(self, value: Any, hint: str) -> str:
        """A constant: an array as it is, whole numbers as int64, other numbers in the node's floating type."""
        if isinstance(value, np.ndarray):
            array = value
        else:
            array = np.asarray(value)
            whole = array.size == 0 or array.dtype.kind in "iu"
            array = array.astype(np.int64 if whole else array.dtype if array.dtype.kind == "b" else self.dtype.value)
        token = self._token(hint)
        self._constants[token] = array
        return token

    def finish(self, returned: str, *, alias: bool = True) -> Emitted:
        """The nodes under their final names. `returned` is what the operator returned; if no node yields it (it is an
        input, a parameter or a constant), the caller decides what stands for it. With `alias` a constant that is
        returned bears the path itself."""
        names = self._names(returned)
        if alias and returned in self._constants:
            names[returned] = self.path
        calls = tuple(
            Call(
                call.op_type,
                names.get(call.name, call.name),
                tuple(names.get(name, name) for name in call.inputs),
                tuple(names[name] for name in call.outputs),
                call.attributes,
            )
            for call in self._calls
        )
        constants = {names[token]: array for token, array in self._constants.items()}
        return Emitted(calls, constants, names.get(returned, returned))

    def _add(self, op_type: str, *inputs: str | None, outputs: int = 1, **attributes: Any) -> str | tuple[str, ...]:
        given = [name or "" for name in inputs]
        while given and not given[-1]:
            given.pop()
        node = self._token(op_type.lower())
        values = tuple(f"{node}/{k}" for k in range(outputs)) if outputs > 1 else (node,)
        self._calls.append(Call(op_type, node, tuple(given), values, attributes))
        return values if outputs > 1 else node

    def _token(self, hint: str) -> str:
        token = f"{_MARK}{len(self._hints)}"
        self._hints[token] = hint
        return token

    def _names(self, returned: str) -> dict[str, str]:
        principal = next((call for call in self._calls if returned in call.outputs), None)
        names: dict[str, str] = {}
        counts: dict[str, int] = {}
        for token, hint in self._hints.items():
            if principal is not None and token == principal.name and len(principal.outputs) == 1:
                names[token] = self.path
                continue
            counts[hint] = count = counts.get(hint, 0) + 1
            names[token] = f"{self.path}/{hint}" if count == 1 else f"{self.path}/{hint}_{count}"
        for call in self._calls:
            if len(call.outputs) > 1:
                names |= {value: f"{names[call.name]}/{k}" for k, value in enumerate(call.outputs)}
        if principal is not None:
            names[principal.name] = names[returned] = self.path
        return names
