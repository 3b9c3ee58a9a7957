"""Read .safetensors without copying: a length, a JSON header, then the bytes of the tensors without gaps.

    file   = u64 n (little endian) + header[n] + data
    header = {"name": {"dtype": "F32", "shape": [64, 3, 7, 7], "data_offsets": [begin, end]}, ...}

The rules checked are the format's own: offsets inside the data, no overlap, no gap, sizes that agree with the shapes
(https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
import mmap
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WeightsError
from .checkpoint import (
    MOST_HEADER_BYTES,
    MOST_TENSORS,
    Array,
    Contents,
    Tensor,
    check_names,
    from_bfloat16,
    shown,
    unreadable,
)

# The format's names, with numpy's where it has the type.
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "bool": 1}
_MOST_AXES = 32


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file that begins with `head` has the length and the brace of a header."""
    return len(head) >= 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40


def read_safetensors(path: Path) -> Contents:
    """The tensors of the file as read-only views of its mapping.

    WeightsError: the header is damaged, or does not describe the data exactly.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start, header = _header(path, data)
    header.pop("__metadata__", None)
    check_names(path, header)
    spans: list[tuple[int, int, str]] = []
    tensors: dict[str, Tensor] = {}
    for name, entry in header.items():
        tensors[name], span = _tensor(path, data, start, name, entry)
        spans.append((*span, name))
    _check_cover(path, sorted(spans), len(data) - start)
    return tensors, ()


def _header(path: Path, data: mmap.mmap) -> tuple[int, dict[str, Any]]:
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise _damaged(path, f"its header is {length} bytes long, but only {max(0, len(data) - 8)} follow")
    if length > MOST_HEADER_BYTES:
        raise _damaged(path, f"its header is {length} bytes long; the limit is {MOST_HEADER_BYTES}")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise _damaged(path, "its header is not what the format asks for (JSON with each name once)") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table of tensors")
    return 8 + length, header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs) or len(pairs) > MOST_TENSORS + 1:
        raise ValueError("a name twice, or too many")
    return table


def _tensor(path: Path, data: mmap.mmap, start: int, name: str, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    shape, dtype, (begin, end) = _fields(path, name, entry)
    if not 0 <= begin <= end <= len(data) - start:
        raise _damaged(
            path, f"tensor {shown(name)} lies at {begin}..{end}, but the file has {len(data) - start} bytes of data"
        )
    if dtype not in _DTYPES:
        return Tensor(shape, dtype, unreadable(path, name, dtype)), (begin, end)
    dtype = _DTYPES[dtype]
    size = _BYTES[dtype] if dtype in _BYTES else np.dtype(dtype).itemsize
    if prod(shape) * size != end - begin:
        raise _damaged(
            path, f"tensor {shown(name)} has {end - begin} bytes, but {dtype}{list(shape)} takes another number"
        )

    def read() -> Array:
        return _view(data, start + begin, shape, dtype)

    return Tensor(shape, dtype, read), (begin, end)


def _fields(path: Path, name: str, entry: Any) -> tuple[tuple[int, ...], str, tuple[int, int]]:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (fields.get(key, ()) for key in ("dtype", "shape", "data_offsets"))
    good = isinstance(dtype, str) and _sizes(shape, _MOST_AXES) and _sizes(offsets, 2) and len(offsets) == 2
    if not good:
        raise _damaged(path, f"the header's entry of {shown(name)} lacks a dtype, a shape or two offsets")
    return tuple(shape), str(dtype)[:20], (offsets[0], offsets[1])


def _sizes(value: Any, most: int) -> bool:
    # `type is int`: true and false are ints in Python, not here.
    return isinstance(value, list) and len(value) <= most and all(type(v) is int and 0 <= v < 1 << 48 for v in value)


def _view(data: mmap.mmap, offset: int, shape: tuple[int, ...], dtype: str) -> Array:
    raw = np.dtype(np.uint16 if dtype == "bfloat16" else dtype).newbyteorder("<")
    # numpy takes no offset at the very end of a buffer, where an empty tensor may lie.
    flat = np.frombuffer(data, raw, prod(shape), offset) if prod(shape) else np.empty(0, raw)
    # Odd offsets are legal, but an array that is not aligned is not welcome everywhere.
    flat = flat if flat.flags.aligned else flat.copy()
    values = from_bfloat16(flat) if dtype == "bfloat16" else flat
    values.flags.writeable = False
    return values.reshape(shape)


def _check_cover(path: Path, spans: list[tuple[int, int, str]], size: int) -> None:
    at = 0
    for begin, end, name in spans:
        if begin < at:
            raise _damaged(path, f"tensor {shown(name)} overlaps the one before it")
        if begin > at:
            raise _damaged(path, f"the {begin - at} bytes before tensor {shown(name)} belong to none")
        at = end
    if at != size:
        raise _damaged(path, f"its last {size - at} bytes belong to no tensor")


def _damaged(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{str(path)!r} is a truncated or damaged .safetensors file: {why}",
        hint="fetch it again, and compare its size or hash",
    )
