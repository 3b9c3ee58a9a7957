"""Array files: claims are checked against bytes, nothing is unpickled, and what is written is whole or not there."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convc.compiler.errors import ModelError, OutputError, UsageError
from convc.runtime.arrays import read_npy, read_npz, write_npz

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize("array", [A, np.asfortranarray(A), A[:0], np.float64(3.5), A.astype(">i2"), A > 2])
def test_npy_comes_back_as_written(array: NDArray[Any], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    back = read_npy(tmp_path / "a.npy")
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


BAD_NPY = {
    "empty": b"",
    "text": b"hello",
    "truncated": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", bytes(20)),
    "trailing": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", bytes(25)),
    "terabytes": _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }", bytes(8)),
    "negative": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", bytes(4)),
    "pickle": _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n(S'true'\ntR."),
    "code in header": _npy("__import__('os').abort()"),
    "version": b"\x93NUMPY\x09\x00" + bytes(10),
}


@pytest.mark.parametrize("name", BAD_NPY)
def test_bad_npy_is_a_model_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(BAD_NPY[name])
    with pytest.raises(ModelError, match=r"a\.npy"):
        read_npy(tmp_path / "a.npy")


def test_npz_of_numpy_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=A, b=A[0])
    back = read_npz(tmp_path / "a.npz")
    assert list(back) == ["a", "b"]
    assert np.array_equal(back["b"], A[0])


def test_bad_npz_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=A)
    whole = path.read_bytes()
    for data in (b"", b"PK\x03\x04", whole[: len(whole) // 2], whole.replace(b"NUMPY", b"NUMPX")):
        path.write_bytes(data)
        with pytest.raises(ModelError):
            read_npz(path)


def test_npz_member_with_objects_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}]))
    with pytest.raises(ModelError, match="never unpickled"):
        read_npz(tmp_path / "a.npz")


def test_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"x")
    # The uncompressed size stands at byte 24 of the central directory's record.
    data = bytearray(buffer.getvalue())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 2**32 - 2)
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ModelError, match=f"unpacks to {2**32 - 2} bytes|claims|cannot be read"):
        read_npz(tmp_path / "a.npz")


def test_written_npz_is_read_by_numpy_and_is_the_same_twice(tmp_path: Path) -> None:
    arrays = {"scores": A, "file": A.astype(np.int64), "head.0/y": A[0]}
    write_npz(tmp_path / "a.npz", arrays)
    write_npz(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as back:
        assert sorted(back.files) == sorted(arrays)
        assert all(np.array_equal(back[name], array) for name, array in arrays.items())
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "b.npz"]


def test_output_that_is_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / "a.npz").symlink_to(tmp_path / "kept")
    write_npz(tmp_path / "a.npz", {"y": A})
    assert (tmp_path / "kept").read_bytes() == b"kept"
    assert not (tmp_path / "a.npz").is_symlink()


@pytest.mark.parametrize("name", ["../evil", "/evil", "a\\..\\evil", "a/../../evil"])
def test_output_name_that_would_unpack_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be the name"):
        write_npz(tmp_path / "a.npz", {name: A})
    assert not os.listdir(tmp_path)


def test_output_of_text_is_refused_not_pickled(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds text or objects"):
        write_npz(tmp_path / "a.npz", {"y": np.array(["cat"], object)})
    assert not os.listdir(tmp_path)


def test_output_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_npz(tmp_path / "d.npz", {"y": A})
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(OutputError, match="is a pipe"):
        write_npz(tmp_path / "pipe.npz", {"y": A})
    with pytest.raises(OutputError, match="cannot be written"):
        write_npz(tmp_path / "none" / "a.npz", {"y": A})
    with pytest.raises(UsageError, match=r"must be a \.npz"):
        write_npz(tmp_path / "a.txt", {"y": A})


def test_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, {"y": A})
    before = path.read_bytes()
    code = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from convc.compiler.errors import OutputError\n"
        "from convc.runtime.arrays import write_npz\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_npz(Path(sys.argv[1]), {'y': np.zeros(10000)})\n"
        "except OutputError as error: print(error); sys.exit(error.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large" in done.stdout
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]
