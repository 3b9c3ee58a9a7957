"""From a file's numbers to a parameter's: float32, of the network's shape, finite. No copy is made of what already is.

A sum of floats is finite only if every term is, so one pass without a mask clears a tensor; only a sum that is not
finite (it may merely have overflowed) is counted out, in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import WeightsError
from .checkpoint import Array, Tensor, shown

_FLOATS = {"float32", "float16", "float64", "bfloat16"}
_PIECE = 1 << 20


def parameter_values(ours: str, theirs: str, tensor: Tensor, shape: tuple[int, ...]) -> Array:
    """The tensor as a read-only float32 array of `shape`.

    WeightsError: it is not of a floating type, holds NaN, Inf or numbers beyond float32, or is a negative variance.
    """
    if tensor.dtype not in _FLOATS:
        raise WeightsError(
            f"tensor {shown(theirs)} (ours: {ours}) is stored as {tensor.dtype}; parameters are floating-point",
            hint="convc reads trained float weights; a quantised checkpoint has to be dequantised first",
        )
    values = tensor.read()
    _check_finite(ours, theirs, values)
    single = _float32(ours, theirs, values)
    if ours.rpartition(".")[2] == "running_var":
        _check_variance(ours, theirs, single)
    single = single.reshape(shape)
    single.flags.writeable = False
    return single


def _check_finite(ours: str, theirs: str, values: Array) -> None:
    # float16 overflows in its own sums; the others carry their sum themselves.
    carrier = np.float32 if values.dtype == np.float16 else values.dtype
    with np.errstate(all="ignore"):
        if np.isfinite(np.add.reduce(values, axis=None, dtype=carrier)):
            return
    nans = sum(int(np.count_nonzero(np.isnan(piece))) for piece in _pieces(values))
    infinite = sum(int(np.count_nonzero(np.isinf(piece))) for piece in _pieces(values))
    if nans or infinite:
        found = " and ".join(f"{count} {what}" for count, what in ((nans, "NaN"), (infinite, "Inf")) if count)
        raise WeightsError(
            f"tensor {shown(theirs)} (ours: {ours}) holds {found} among its {values.size} values",
            hint="the training diverged, or the file is damaged: a network with such weights gives no answers",
        )


def _float32(ours: str, theirs: str, values: Array) -> Array:
    if values.dtype == np.float32:
        return values.view()
    with np.errstate(over="ignore", under="ignore"):
        single = values.astype(np.float32)
    if values.dtype == np.float64 and (lost := sum(int(np.count_nonzero(np.isinf(p))) for p in _pieces(single))):
        raise WeightsError(
            f"tensor {shown(theirs)} (ours: {ours}) is float64, and {lost} of its {values.size} values are beyond "
            f"float32 (largest {np.abs(values).max():.3g}, limit 3.4e38)"
        )
    return single


def _check_variance(ours: str, theirs: str, values: Array) -> None:
    if negative := int(np.count_nonzero(values < 0)):
        raise WeightsError(
            f"tensor {shown(theirs)} (ours: {ours}) is a variance, and {negative} of its {values.size} values are "
            f"negative (smallest {values.min():.3g})",
            hint="the file is damaged, or the tensor is not the running variance: its square root is taken",
        )


def _pieces(values: Array) -> Iterator[Array]:
    flat = values.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        yield flat[start : start + _PIECE]
