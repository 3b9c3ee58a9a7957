"""Every format that is read, and everything else that people or attackers pass as one."""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.compiler.errors import ProviderError, WeightsError
from convc.compiler.weights import read_checkpoint

Save = Callable[[str, Mapping[str, Any]], Path]
Refused = Callable[[Path], str]
Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]
NAMES = ["w.safetensors", "w.npz", "w.pth", "legacy.pth"]


# -- what is read


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_back_names_shapes_types_and_numbers(save: Save, arrays: Arrays, name: str) -> None:
    kept = {**arrays, "count": np.array(3, np.int64), "half": np.ones((2, 0, 3), np.float16), "wide": np.eye(3)}
    checkpoint = read_checkpoint(save(name, kept))
    assert list(checkpoint.tensors) == list(kept) or name == "w.safetensors"
    assert checkpoint.tensors.keys() == kept.keys()
    for key, array in kept.items():
        tensor = checkpoint.tensors[key]
        assert (tensor.shape, tensor.dtype) == (array.shape, array.dtype.name)
        values = tensor.read()
        np.testing.assert_array_equal(values, array, strict=True)
        assert not values.flags.writeable
    assert checkpoint.notes == ()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_bfloat16_is_read_exactly(tmp_path: Path, name: str) -> None:
    import torch
    from safetensors.torch import save_file

    values = torch.tensor([1.5, -3.0e38, 1e-40, float("inf")]).to(torch.bfloat16)
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save({"w": values}, path)
    else:
        save_file({"w": values}, path)
    tensor = read_checkpoint(path).tensors["w"]
    assert tensor.dtype == "bfloat16"
    np.testing.assert_array_equal(tensor.read(), values.float().numpy(), strict=True)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_mapped_formats_hand_out_views_not_copies(save: Save, name: str) -> None:
    checkpoint = read_checkpoint(save(name, {"w": np.ones((64, 64), np.float32)}))
    first, second = (checkpoint.tensors["w"].read() for _ in range(2))
    assert not first.flags.owndata
    assert np.shares_memory(first, second)


def test_safetensors_at_an_odd_offset_is_aligned(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    head = json.dumps({
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
    }).encode()  # fmt: skip
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"\x07" + np.array([1, 2], "<f4").tobytes())
    values = read_checkpoint(path).tensors["w"].read()
    assert values.flags.aligned
    assert values.tolist() == [1, 2]


def test_compressed_and_fortran_ordered_npz(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    array = np.asfortranarray(np.arange(12, dtype=">f4").reshape(3, 4))
    named: dict[str, Any] = {"a.b": array}
    np.savez_compressed(path, **named)
    values = read_checkpoint(path).tensors["a.b"].read()
    np.testing.assert_array_equal(values, array)
    assert values.dtype == np.float32


def test_torch_views_and_shared_storage_keep_their_strides(tmp_path: Path) -> None:
    import torch

    base = torch.arange(12.0).reshape(3, 4)
    torch.save({"t": base.t(), "row": base[1]}, tmp_path / "w.pth")
    tensors = read_checkpoint(tmp_path / "w.pth").tensors
    np.testing.assert_array_equal(tensors["t"].read(), base.t().numpy())
    np.testing.assert_array_equal(tensors["row"].read(), [4, 5, 6, 7])


@pytest.mark.parametrize(("name", "kind"), [("w.npz", "npz"), ("w.safetensors", "safetensors"), ("w.pth", "torch")])
def test_the_bytes_decide_not_the_name(save: Save, arrays: Arrays, name: str, kind: str) -> None:
    path = save(name, arrays)
    wrong = path.rename(path.with_name("model.pt" if kind != "torch" else "model.npz"))
    checkpoint = read_checkpoint(wrong)
    assert checkpoint.tensors.keys() == arrays.keys()
    assert checkpoint.notes == (f"{wrong.name} is a {kind} file, whatever its name says",)


def test_a_type_that_numpy_lacks_is_refused_only_when_it_is_read(tmp_path: Path) -> None:
    import torch

    torch.save({"q": torch.zeros(3, dtype=torch.float8_e4m3fn), "w": torch.zeros(3)}, tmp_path / "w.pth")
    tensors = read_checkpoint(tmp_path / "w.pth").tensors
    assert tensors["w"].read().tolist() == [0, 0, 0]
    with pytest.raises(WeightsError, match="tensor q is stored as float8_e4m3fn"):
        tensors["q"].read()


def test_the_hash_is_that_of_the_bytes(save: Save, arrays: Arrays) -> None:
    import hashlib

    path = save("w.npz", arrays)
    assert read_checkpoint(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# -- wrappers


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state", "net", "state_dict_ema", "model_ema"])
def test_wrappers_are_peeled_and_reported(save: Save, arrays: Arrays, key: str) -> None:
    path = save("w.pth", {key: arrays, "epoch": 90, "optimizer": {"state": {0: {"exp_avg": np.ones(3)}}}})
    checkpoint = read_checkpoint(path)
    assert list(checkpoint.tensors) == list(arrays)
    assert checkpoint.notes == (f"took '{key}' out of the file; left out: epoch, optimizer",)


def test_of_weights_and_their_average_the_weights_are_taken(save: Save, arrays: Arrays) -> None:
    average = {name: array * 0 for name, array in arrays.items()}
    checkpoint = read_checkpoint(save("w.pth", {"model_ema": average, "model": arrays, "epoch": 1}))
    np.testing.assert_array_equal(checkpoint.tensors["linear.bias"].read(), arrays["linear.bias"])
    assert checkpoint.notes == ("took 'model' out of the file; it also holds model_ema, not used; left out: epoch",)


def test_wrappers_in_wrappers_and_a_name_nobody_knows(save: Save, arrays: Arrays) -> None:
    checkpoint = read_checkpoint(save("w.pth", {"my_net": {"model": {"state_dict": arrays}}, "lr": 0.1}))
    assert list(checkpoint.tensors) == list(arrays)
    assert checkpoint.notes[0] == "took 'my_net' out of the file; left out: lr"


def test_a_network_whose_part_is_called_model_is_not_peeled(save: Save, arrays: Arrays) -> None:
    checkpoint = read_checkpoint(save("w.pth", {**arrays, "model": {"step": np.array(1)}, "epoch": 3}))
    assert list(checkpoint.tensors) == list(arrays)
    assert checkpoint.notes == ("left out what is no tensor: model, epoch",)


def test_tensors_in_two_unknown_places_are_not_guessed(refused: Refused, save: Save, arrays: Arrays) -> None:
    text = refused(save("w.pth", {"generator": arrays, "critic": arrays}))
    assert "holds tensors in several places: generator, critic" in text


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], 3, {"state_dict": {}}])
def test_files_without_tensors(refused: Refused, tmp_path: Path, content: object) -> None:
    import torch

    torch.save(content, tmp_path / "w.pth")
    text = refused(tmp_path / "w.pth")
    assert "holds no tensors" in text or "not a state_dict" in text


def test_a_mapping_that_holds_itself_ends(refused: Refused, tmp_path: Path) -> None:
    import torch

    loop: dict[str, Any] = {"epoch": 1}
    loop["model"] = loop
    torch.save(loop, tmp_path / "w.pth")
    assert "holds no tensors" in refused(tmp_path / "w.pth")


# -- what is refused


class Evil:
    """Pickles as a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, (self.command,))


@pytest.mark.parametrize("name", ["w.pth", "legacy.pth", "plain.pth", "w.pkl"])
def test_pickled_code_never_runs(refused: Refused, tmp_path: Path, name: str) -> None:
    import torch

    witness = tmp_path / "witness"
    content = OrderedDict(w=torch.zeros(2), evil=Evil(f"touch {witness}"))
    path = tmp_path / name
    if name in ("plain.pth", "w.pkl"):
        path.write_bytes(pickle.dumps(Evil(f"touch {witness}")))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=name == "w.pth")
    text = refused(path)
    assert not witness.exists()
    assert "holds pickled code (it asks for posix.system)" in text or name in ("plain.pth", "w.pkl")
    assert "never runs code" in text or "truncated or damaged" in text


def test_a_pickled_module_is_refused_with_its_class(refused: Refused, tmp_path: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    text = refused(tmp_path / "w.pth")
    assert "torch.nn.modules.linear.Linear" in text
    assert "module.state_dict()" in text


def test_pickled_objects_in_npz_are_refused(refused: Refused, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    np.savez(tmp_path / "w.npz", w=np.array([Evil(f"touch {witness}")], dtype=object))
    text = refused(tmp_path / "w.npz")
    assert "array w holds pickled Python objects" in text
    assert not witness.exists()


def test_a_torchscript_program_is_named(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("m/data.pkl", "m/constants.pkl", "m/code/m.py"):
            archive.writestr(name, b"x")
    assert "is a TorchScript program" in refused(path)


STRANGERS = {
    "lfs.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "page.pth": (b"\n<!DOCTYPE html><html>404</html>", "a web page, not weights"),
    "page2.safetensors": (b"<html><body>sign in</body></html>", "a web page, not weights"),
    "denied.npz": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML answer"),
    "keras.pth": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "w.pth.gz": (b"\x1f\x8b\x08" + bytes(30), "gunzip"),
    "m.onnx": (b"\x08\x0a\x12\x05torch" + bytes(30), "is an ONNX model"),
    "old.pth": (b"sys_info" + bytes(249) + b"ustar" + bytes(300), "is a tar archive"),
    "empty.pth": (b"", "is empty (0 bytes)"),
    "empty.npz": (b"PK\x05\x06" + bytes(18), "empty zip archive"),
    "short.safetensors": (b"\x10\0\0", "truncated, damaged, or no .safetensors file"),
    "text.pth": (b"hello, world", "begins with b'hello, w'"),
    "text.txt": (b"hello, world", "no checkpoint that convc knows"),
    "json.safetensors": (b'{"a": 1}', "truncated, damaged"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_named(refused: Refused, tmp_path: Path, name: str) -> None:
    content, part = STRANGERS[name]
    (tmp_path / name).write_bytes(content)
    assert part in refused(tmp_path / name)


def test_npy_is_refused_with_the_reason(refused: Refused, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(3))
    assert "one .npy array without a name" in refused(tmp_path / "w.npy")


def test_a_zip_of_something_else_says_what_it_holds(refused: Refused, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("folder/weights.pth", b"x")
    assert "it holds folder/weights.pth" in refused(tmp_path / "w.pth")


def test_missing_folder_pipe_and_impossible_paths(refused: Refused, tmp_path: Path, save: Save, arrays: Arrays) -> None:
    save("weights.safetensors", arrays)
    missing = refused(tmp_path / "wieghts.safetensors")
    assert "there is no checkpoint" in missing
    assert "did you mean" in missing
    assert "weights.safetensors'?" in missing
    assert "is a folder" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe.pth")
    assert "not a regular file" in refused(tmp_path / "pipe.pth")
    assert "cannot read" in refused(tmp_path / ("x" * 300))
    with pytest.raises(WeightsError, match="cannot read the checkpoint"):
        read_checkpoint(Path("a\0b"))


def test_no_permission(refused: Refused, save: Save, arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save("w.npz", arrays)

    def deny(self: Path, *args: object) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", deny)
    assert "Permission denied" in refused(path)


def test_without_torch_only_pth_is_out_of_reach(save: Save, arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {name: save(name, arrays) for name in NAMES}
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("w.safetensors", "w.npz"):
        assert read_checkpoint(paths[name]).tensors.keys() == arrays.keys()
    for name in ("w.pth", "legacy.pth"):
        with pytest.raises(ProviderError, match="needs torch") as caught:
            read_checkpoint(paths[name])
        assert "safetensors" in caught.value.hint
