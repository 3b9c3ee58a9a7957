"""What a model takes and gives, and whether an array fits before ONNX Runtime sees it.

    Value("image", "float32", ("N", 3, 224, 224))        printed: float32 [N, 3, 224, 224]

A symbol is one number for all inputs of a run: `N` of two inputs must agree. A size that the model leaves open is None.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..compiler.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Size = int | str | None
Arrays = Mapping[str, "NDArray[Any]"]

# ONNX Runtime's element types that numpy has under another name; the rest agree once `tensor()` is peeled off.
_NUMPY = {"float": "float32", "double": "float64", "string": "object"}
_FEEDABLE = frozenset(
    "float32 float64 float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128".split()
)


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output: its name, element type (numpy's word) and sizes."""

    name: str
    dtype: str
    shape: tuple[Size, ...]

    @property
    def fixed(self) -> bool:
        """True where every size is a number."""
        return all(isinstance(size, int) for size in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {shown(self.shape)}"


def value(described: Any) -> Value:
    """A Value from ONNX Runtime's NodeArg."""
    kind = str(described.type)
    if not kind.startswith("tensor("):
        return Value(described.name, kind, ())
    element = kind[len("tensor(") : -1]
    sizes = tuple(_size(size) for size in described.shape)
    return Value(described.name, _NUMPY.get(element, element), sizes)


def shown(shape: Iterable[object]) -> str:
    """`[N, 3, 224, 224]`; `?` where the model leaves a size open."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def checked(inputs: Sequence[Value], feeds: Arrays) -> dict[str, NDArray[Any]]:
    """The feeds in the model's order, contiguous and in native byte order.

    Raises ModelError: a name that is missing or unknown, a wrong element type, rank or size.
    """
    _check_names(inputs, feeds)
    symbols: dict[str, tuple[int, str]] = {}
    return {wanted.name: _fitted(wanted, feeds[wanted.name], symbols) for wanted in inputs}


def _size(size: object) -> Size:
    if isinstance(size, int):
        return size if size >= 0 else None
    return str(size) if size else None


def _check_names(inputs: Sequence[Value], feeds: Arrays) -> None:
    names = [wanted.name for wanted in inputs]
    every = ", ".join(f"{wanted.name!r} {wanted}" for wanted in inputs) or "no inputs"
    if unknown := [name for name in feeds if name not in names]:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"the model has no input {unknown[0]!r}; it takes {every}", hint=hint)
    if absent := [name for name in names if name not in feeds]:
        raise ModelError(f"input {absent[0]!r} is not given; the model takes {every}")


def _fitted(wanted: Value, given: Any, symbols: dict[str, tuple[int, str]]) -> NDArray[Any]:
    import numpy as np

    array = np.asarray(given)
    _check_dtype(wanted, array)
    _check_shape(wanted, array)
    _bind(wanted, array, symbols)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _mismatch(wanted: Value, array: NDArray[Any], advice: str) -> ModelError:
    got = f"{array.dtype.name} {shown(array.shape)}"
    return ModelError(f"input {wanted.name!r} is {wanted}, got {got}: {advice}")


def _check_dtype(wanted: Value, array: NDArray[Any]) -> None:
    if wanted.dtype not in _FEEDABLE:
        raise ModelError(f"input {wanted.name!r} is {wanted.dtype}: numpy has no arrays of that, so it cannot be fed")
    if array.dtype.newbyteorder("=") != _dtype(wanted.dtype):
        raise _mismatch(wanted, array, f"convert it with .astype('{wanted.dtype}')")


def _dtype(name: str) -> np.dtype[Any]:
    import numpy as np

    return np.dtype(name)


def _check_shape(wanted: Value, array: NDArray[Any]) -> None:
    if _fits(wanted.shape, array.shape):
        return
    if len(array.shape) == len(wanted.shape) - 1 and _fits(wanted.shape[1:], array.shape):
        raise _mismatch(wanted, array, "add a batch axis, as in x[None]")
    if len(array.shape) != len(wanted.shape):
        raise _mismatch(wanted, array, f"it must have {len(wanted.shape)} axes")
    if len(array.shape) >= 3 and _fits(wanted.shape, (array.shape[0], array.shape[-1], *array.shape[1:-1])):
        raise _mismatch(wanted, array, "the channels come second: move the last axis there")
    axis = next(i for i in range(len(array.shape)) if not _fits(wanted.shape[i : i + 1], array.shape[i : i + 1]))
    raise _mismatch(wanted, array, f"axis {axis} must be {wanted.shape[axis]}")


def _fits(wanted: Sequence[Size], got: Sequence[int]) -> bool:
    if len(wanted) != len(got):
        return False
    return all(not isinstance(want, int) or want == size for want, size in zip(wanted, got, strict=True))


def _bind(wanted: Value, array: NDArray[Any], symbols: dict[str, tuple[int, str]]) -> None:
    for axis, (symbol, size) in enumerate(zip(wanted.shape, array.shape, strict=True)):
        if not isinstance(symbol, str):
            continue
        bound, where = symbols.setdefault(symbol, (size, f"axis {axis} of {wanted.name!r}"))
        if bound != size:
            raise _mismatch(wanted, array, f"{symbol} is {bound} at {where}, and {size} at axis {axis}")
