"""Streams an OnnxModel into files, tensor by tensor, so that no second copy of the weights ever exists.

Wire format of protobuf: a field is a tag (number << 3 | wire type) and a value; wire type 0 is a varint, 2 is a length
and that many bytes. A message's length stands in front of it, and depends on shapes alone, so it is known beforehand:

    ModelProto  { ..., graph = 7 }
    GraphProto  { ..., initializer = 5 (repeated) }
    TensorProto { dims = 1 (repeated), data_type = 2, name = 8, raw_data = 9, external_data = 13, data_location = 14 }

Where the weights pass a threshold they lie in a data file of their own, named by its content, each at a multiple of
4096 bytes so that a runtime can map it: a protobuf message cannot pass 2 GiB.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..artifacts import Sink, Writer
from ..errors import OutputError
from ..ir import DType
from .onnx_model import OnnxModel, Weight

EXTERNAL_DATA_THRESHOLD = 1_500_000_000
MESSAGE_LIMIT = 2**31 - 1
ALIGNMENT = 4096

# TensorProto.DataType; raw data is little-endian whatever the machine.
_ELEMENT: Mapping[DType, tuple[int, str]] = {
    DType.float32: (1, "<f4"),
    DType.int64: (7, "<i8"),
    DType.bool: (9, "|b1"),
    DType.float16: (10, "<f2"),
    DType.float64: (11, "<f8"),
}


class _File(Protocol):
    def write(self, data: bytes | memoryview, /) -> object: ...


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a weight lies in the data file."""

    offset: int
    length: int


def model_files(
    model: OnnxModel, *, name: str = "model", threshold: int = EXTERNAL_DATA_THRESHOLD
) -> list[tuple[str, Writer]]:
    """The files of a model for `artifacts.write_all`, data first: `model-<sha8>.onnx.data` where the weights pass
    `threshold` bytes, and `model.onnx`. Weights under 4096 bytes always stay in the model."""
    if model.weight_bytes <= threshold:
        return [(f"{name}.onnx", lambda sink: write_model(model, sink))]
    slots = _slots(model)
    data = f"{name}-{{sha8}}.onnx.data"

    def write_with_data(sink: Sink) -> None:
        # The data file was written just before: its name ends the list.
        write_model(model, sink, slots, location=list(sink.written)[-1])

    return [(data, lambda sink: write_data(model, slots, sink)), (f"{name}.onnx", write_with_data)]


def serialize(model: OnnxModel) -> bytes:
    """The model as one bytes object, weights inside; raises OutputError above protobuf's 2 GiB."""
    file = io.BytesIO()
    write_model(model, file)
    return file.getvalue()


def write_model(model: OnnxModel, file: _File, slots: Mapping[str, _Slot] | None = None, location: str = "") -> None:
    """Write the model; weights that have a slot are only referred to, as lying in `location`."""
    slots = slots or {}
    heads = [_tensor_head(weight, slots.get(weight.name), location) for weight in model.weights]
    inside = [0 if weight.name in slots else weight.nbytes for weight in model.weights]
    sizes = [len(head) + held for head, held in zip(heads, inside, strict=True)]
    total = len(model.graph) + sum(size + len(_length(5, size)) for size in sizes)
    if total + len(model.head) > MESSAGE_LIMIT:
        raise OutputError(
            f"the model is {total} bytes long, but one ONNX file holds at most {MESSAGE_LIMIT}",
            hint="write it with its weights in a data file: model_files(model)",
        )
    file.write(model.head + _length(7, total) + model.graph)
    for weight, head, size in zip(model.weights, heads, sizes, strict=True):
        file.write(_length(5, size) + head)
        if weight.name not in slots:
            file.write(raw(weight))


def write_data(model: OnnxModel, slots: Mapping[str, _Slot], file: _File) -> None:
    """Write the data file: every weight that has a slot, at its offset."""
    position = 0
    for weight in model.weights:
        if slot := slots.get(weight.name):
            file.write(bytes(slot.offset - position))
            file.write(raw(weight))
            position = slot.offset + slot.length


def raw(weight: Weight) -> memoryview:
    """The values as little-endian bytes, C order: a view of what is stored where nothing has to be computed."""
    values = weight.param.rounded(_ELEMENT[weight.dtype][1])
    if values.size != weight.param.numel:
        raise ValueError(f"{weight.name} evaluates to {values.shape}, but {weight.shape} was promised")
    return values.reshape(-1).view(np.uint8).data


def _slots(model: OnnxModel) -> dict[str, _Slot]:
    return dict(_placed(weight for weight in model.weights if weight.nbytes >= ALIGNMENT))


def _placed(weights: Iterator[Weight]) -> Iterator[tuple[str, _Slot]]:
    offset = 0
    for weight in weights:
        yield weight.name, _Slot(offset, weight.nbytes)
        offset += -(-weight.nbytes // ALIGNMENT) * ALIGNMENT


def _tensor_head(weight: Weight, slot: _Slot | None, location: str) -> bytes:
    """A TensorProto up to its raw bytes, which end it."""
    parts = [b"\x08" + _varint(size) for size in weight.shape]
    parts.append(b"\x10" + _varint(_ELEMENT[weight.dtype][0]))
    parts.append(_field(8, weight.name.encode()))
    if slot is None:
        parts.append(_length(9, weight.nbytes))
        return b"".join(parts)
    entries = (("location", location), ("offset", str(slot.offset)), ("length", str(slot.length)))
    parts += [_field(13, _field(1, key.encode()) + _field(2, value.encode())) for key, value in entries]
    parts.append(b"\x70\x01")  # data_location = EXTERNAL
    return b"".join(parts)


def _field(number: int, payload: bytes) -> bytes:
    return _length(number, len(payload)) + payload


def _length(number: int, size: int) -> bytes:
    return _varint(number << 3 | 2) + _varint(size)


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first, the top bit set on all but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
