"""Checkpoints that are truncated, damaged or made to harm: one message each, and little time and memory."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from convc.compiler.errors import ConvcError
from convc.compiler.weights import read_checkpoint

Save = Callable[[str, Mapping[str, Any]], Path]
Refused = Callable[[Path], str]
Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]
NAMES = ["w.safetensors", "w.npz", "w.pth", "legacy.pth"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1, 0.3, 0.5, 0.8, 0.95, 0.999])
def test_a_truncated_file_is_refused(refused: Refused, save: Save, arrays: Arrays, name: str, share: float) -> None:
    path = save(name, {**arrays, "big": np.ones((50, 50), np.float32)})
    data = path.read_bytes()
    path.write_bytes(data[: max(1, int(len(data) * share))])
    text = refused(path)
    assert "truncated" in text or "damaged" in text


def _safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(shape: object, begin: object, end: object, dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HEADERS = {
    "beyond the file": _safetensors({"w": _entry([4], 0, 16)}, bytes(8)),
    "overlap": _safetensors({"a": _entry([2], 0, 8), "b": _entry([2], 4, 12)}, bytes(12)),
    "gap": _safetensors({"a": _entry([1], 0, 4), "b": _entry([1], 8, 12)}, bytes(12)),
    "tail": _safetensors({"a": _entry([1], 0, 4)}, bytes(12)),
    "backwards": _safetensors({"a": _entry([1], 4, 0)}, bytes(4)),
    "wrong size": _safetensors({"a": _entry([3], 0, 4)}, bytes(4)),
    "negative": _safetensors({"a": _entry([-1], 0, 4)}, bytes(4)),
    "bool as size": _safetensors({"a": _entry([True], 0, 4)}, bytes(4)),
    "float as size": _safetensors({"a": _entry([1.0], 0, 4)}, bytes(4)),
    "enormous axis": _safetensors({"a": _entry([0, 10**30], 0, 0)}),
    "forty axes": _safetensors({"a": _entry([1] * 40, 0, 4)}, bytes(4)),
    "no offsets": _safetensors({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "three offsets": _safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}}, bytes(4)),
    "entry is a list": _safetensors({"a": [1]}, bytes(4)),
    "null shape": _safetensors({"a": _entry(None, 0, 4)}, bytes(4)),
    "name twice": _safetensors(b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{}}'),
    "not JSON": _safetensors(b"{nonsense}"),
    "not UTF-8": _safetensors(b'{"\xff": 1}'),
    "deep": _safetensors(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "huge number": _safetensors(b'{"a": ' + b"9" * 10_000 + b"}"),
    "long header": _safetensors(b"{}", length=1 << 39),
    "no tensors": _safetensors({"__metadata__": {"format": "pt"}}),
    "long name": _safetensors({"a" * 2000: _entry([1], 0, 4)}, bytes(4)),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_safetensors_header_must_describe_the_data_exactly(refused: Refused, tmp_path: Path, case: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(HEADERS[case])
    refused(tmp_path / "w.safetensors")


def test_a_safetensors_header_beyond_the_limit_is_not_parsed(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(_safetensors(b"{" + b" " * (17 << 20) + b"}"))
    assert "the limit is" in refused(tmp_path / "w.safetensors")


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


ENTRIES = {
    "claims more than it has": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}", bytes(16)),
    "claims less than it has": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", bytes(16)),
    "negative shape": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}", bytes(16)),
    "code as header": _npy("__import__('os').system('true')", bytes(16)),
    "no numpy file": b"hello, this is no array",
    "nothing": b"",
    "version 9": b"\x93NUMPY\x09\x00" + bytes(20),
    "long header": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}" + " " * 20_000, bytes(4)),
    "text": _npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", bytes(16)),
    "structured": _npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", bytes(4)),
    "complex": _npy("{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", bytes(16)),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_an_npz_entry_must_be_the_array_it_claims(refused: Refused, tmp_path: Path, case: str) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", ENTRIES[case])
    refused(tmp_path / "w.npz")


def test_a_flipped_bit_in_npz_is_found_by_its_checksum(refused: Refused, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.arange(1000, dtype=np.float32))
    data = bytearray((tmp_path / "w.npz").read_bytes())
    data[2000] ^= 1
    (tmp_path / "w.npz").write_bytes(bytes(data))
    assert "array w" in refused(tmp_path / "w.npz")


def test_an_inflating_npz_costs_nothing_until_it_is_read(tmp_path: Path) -> None:
    size = 200 << 20
    head = _npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({size // 4},)}}")
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as entry:
        entry.write(head)
        for _ in range(200):
            entry.write(bytes(1 << 20))
    assert (tmp_path / "w.npz").stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        tensor = read_checkpoint(tmp_path / "w.npz").tensors["w"]
        assert tensor.shape == (size // 4,)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_a_zip_with_an_entry_twice(refused: Refused, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("w.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("w.npy", b"")
    assert "the entry w.npy is there twice" in refused(tmp_path / "w.npz")


def test_a_zip_with_an_enormous_table_is_not_read(refused: Refused, tmp_path: Path) -> None:
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 40 << 20, 4, 0)
    (tmp_path / "w.npz").write_bytes(b"PK\x03\x04" + bytes(41 << 20) + end)
    assert "its table of entries is" in refused(tmp_path / "w.npz")


def test_a_compressed_torch_archive_is_not_inflated(refused: Refused, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(50 << 20))
    assert "is compressed" in refused(tmp_path / "w.pth")


def test_a_torch_archive_with_an_enormous_pickle_is_not_read(refused: Refused, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", bytes(9 << 20))
    assert "its table of contents has" in refused(tmp_path / "w.pth")


# -- anything at all


def _sound(name: str) -> bytes:
    import torch

    buffer = io.BytesIO()
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    if name == "w.safetensors":
        from safetensors.numpy import save

        return save({"a.b": values, "c": values})
    if name == "w.npz":
        named: dict[str, Any] = {"a.b": values, "c": values}
        np.savez(buffer, **named)
    else:
        content = {"a.b": torch.from_numpy(values), "c": torch.ones(2)}
        torch.save(content, buffer, _use_new_zipfile_serialization=name == "w.pth")
    return buffer.getvalue()


def _open(path: Path) -> None:
    """Only a ConvcError may come out; anything else fails the test."""
    with contextlib.suppress(ConvcError):
        for tensor in read_checkpoint(path).tensors.values():
            tensor.read()


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x08\0\0\0\0\0\0\0{", b"\x93NUMPY"])
)
@example(b"", b"\x80\x02")
def test_random_bytes_give_a_checkpoint_or_one_error(tmp_path: Path, data: bytes, magic: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(magic + data)
    _open(tmp_path / "w.pth")


@pytest.mark.parametrize("name", NAMES)
@QUICK
@given(edits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_a_checkpoint_or_one_error(
    tmp_path: Path, name: str, edits: list[tuple[float, int]]
) -> None:
    data = bytearray(_sound(name))
    for at, value in edits:
        data[int(at * len(data))] = value
    (tmp_path / name).write_bytes(bytes(data))
    _open(tmp_path / name)
