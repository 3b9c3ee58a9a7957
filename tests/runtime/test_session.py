"""Loading: every bad model is one plain sentence. Running: every bad feed is refused before ONNX Runtime sees it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from convc.compiler.errors import ModelError, ProviderError, UsageError
from convc.runtime.faults import explain
from convc.runtime.providers import NAMES, Provider
from convc.runtime.session import Session
from tests.runtime.models import classifier, external, model, relu, save, tensor

GOOD = relu().SerializeToString()


def _nodes(*nodes: onnx.NodeProto, domains: tuple[str, ...] = ()) -> bytes:
    made = model(list(nodes), [tensor("x", ("N", 3))], [tensor("y", ("N", 3))], domains=domains)
    return bytes(made.SerializeToString())


BAD = {
    "empty": (b"", "0 bytes"),
    "random bytes": (np.random.default_rng(0).bytes(300), "not an ONNX model"),
    "text": (b"<html>404</html>", "not an ONNX model"),
    "truncated": (GOOD[: len(GOOD) // 2], "not an ONNX model"),
    "future opset": (relu(opset=99).SerializeToString(), "opset 99 of ai.onnx.*up to 2[0-9]"),
    "future IR": (relu(ir=99).SerializeToString(), "IR version 99.*up to 1[0-9]"),
    "foreign domain": (
        _nodes(helper.make_node("Foo", ["x"], ["y"], domain="acme"), domains=("acme",)),
        "operator Foo of domain acme",
    ),
    "undeclared domain": (_nodes(helper.make_node("Foo", ["x"], ["y"], domain="acme")), "'acme' without declaring"),
    "unknown operator": (_nodes(helper.make_node("Foo", ["x"], ["y"])), "operator Foo, which opset 20"),
    "dangling input": (_nodes(helper.make_node("Relu", ["zz"], ["y"])), "reads 'zz'"),
    "name twice": (_nodes(*[helper.make_node("Relu", ["x"], ["y"])] * 2), "two nodes produce 'y'"),
    "cycle": (
        _nodes(helper.make_node("Add", ["x", "b"], ["y"]), helper.make_node("Relu", ["y"], ["b"])),
        "cycle",
    ),
    "no such output": (_nodes(helper.make_node("Relu", ["x"], ["q"])), "output 'y' is produced by no node"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_model_is_one_plain_sentence(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data, expected = BAD[name]
    with pytest.raises(ModelError, match=expected) as caught:
        Session(data, "cpu")
    assert caught.value.exit_code == 2
    assert "ONNXRuntimeError" not in str(caught.value)
    assert "/onnxruntime_src" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_error_onnxruntime_words_freely_loses_its_c_plus_plus_place() -> None:
    wrong_type = model([helper.make_node("Relu", ["x"], ["y"])], [tensor("x", ("N", 3))], [tensor("y", ("N", 3), 7)])
    with pytest.raises(ModelError, match=r"cannot load it: Type Error: Type \(tensor\(int64\)\)") as caught:
        Session(wrong_type.SerializeToString(), "cpu")
    assert ".cc:" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "fields", "expected"),
    [
        ("nowhere.data", {}, "a file that is not there"),
        ("../secret", {}, "outside the model's folder: refused"),
        ("{absolute}", {}, "outside the model's folder: refused"),
        ("link", {}, "outside the model's folder: refused|not there"),
        ("short", {}, "need bytes 0 to 0\\+12 of a file of 4 bytes"),
        ("short", {"offset": -4, "length": 12}, "model.onnx"),
        ("short", {"length": 2**62}, "model.onnx"),
    ],
)
def test_external_data_stays_in_the_folder(
    location: str, fields: dict[str, int], expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(12))
    (folder / "short").write_bytes(bytes(4))
    os.symlink(tmp_path / "secret", folder / "link")
    place = location.format(absolute=tmp_path / "secret")
    path = save(external(place, **fields), folder / "model.onnx")
    with pytest.raises(ModelError, match=expected):
        Session(path, "cpu")
    assert capfd.readouterr() == ("", "")


def test_external_data_in_the_folder_is_read_from_a_path_and_from_bytes(tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(np.array([1, 2, 3], np.float32).tobytes())
    path = save(external("w.data"), tmp_path / "model.onnx")
    x = np.zeros((1, 3), np.float32)
    for session in (Session(path, "cpu"), Session(path.read_bytes(), "cpu", folder=tmp_path)):
        assert session.run({"x": x})["y"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(("name", "expected"), [("none.onnx", "no such file"), (".", "is a folder"), ("e", "is empty")])
def test_path_that_is_no_model(name: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "e").touch()
    with pytest.raises(ModelError, match=expected):
        Session(tmp_path / name, "cpu")


def test_path_with_a_nul_byte_is_refused() -> None:
    with pytest.raises(ModelError, match=r"cannot be read|no such file"):
        Session("a\0b.onnx", "cpu")


def test_run_gives_arrays_by_output_name() -> None:
    session = Session(GOOD, "cpu", threads=1)
    y = session.run({"x": np.array([[-1, 0, 2]], np.float32)})
    assert list(y) == ["y"]
    assert y["y"].tolist() == [[0, 0, 2]]
    assert session.placement() == {NAMES["cpu"]: 1}


def test_signature_and_metadata_are_told() -> None:
    session = Session(classifier(metadata={"convc.labels": "[]"}).SerializeToString(), "cpu")
    assert [(one.name, str(one)) for one in session.inputs] == [("image", "float32 [N, 3, 8, 8]")]
    assert [(one.name, one.shape) for one in session.outputs] == [("scores", ("N", 7))]
    assert session.metadata == {"convc.labels": "[]"}
    assert not session.inputs[0].fixed


F32 = np.float32
FEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "no batch axis": ({"image": np.zeros((3, 8, 8), F32)}, r"got float32 \[3, 8, 8\]: add a batch axis"),
    "channels last": ({"image": np.zeros((2, 8, 8, 3), F32)}, "channels come second"),
    "rank": ({"image": np.zeros(3, F32)}, "must have 4 axes"),
    "size": ({"image": np.zeros((2, 3, 8, 9), F32)}, "axis 3 must be 8"),
    "float64": ({"image": np.zeros((2, 3, 8, 8))}, r"got float64 .*\.astype\('float32'\)"),
    "objects": ({"image": np.array([None])}, "got object"),
    "misspelt": ({"imgae": np.zeros((2, 3, 8, 8), F32)}, "did you mean 'image'"),
    "missing": ({}, "'image' is not given.*float32 \\[N, 3, 8, 8\\]"),
    "one too many": ({"image": np.zeros((2, 3, 8, 8), F32), "mask": np.zeros(1)}, "no input 'mask'"),
}


@pytest.mark.parametrize("name", FEEDS)
def test_wrong_feed_says_what_was_expected_and_what_to_do(name: str) -> None:
    feeds, expected = FEEDS[name]
    session = Session(classifier().SerializeToString(), "cpu")
    with pytest.raises(ModelError, match=expected):
        session.run(feeds)


def test_message_of_a_missing_batch_axis_in_full() -> None:
    session = Session(classifier().SerializeToString(), "cpu")
    with pytest.raises(ModelError) as caught:
        session.run({"image": np.zeros((3, 8, 8), np.float32)})
    wanted = "input 'image' is float32 [N, 3, 8, 8], got float32 [3, 8, 8]: add a batch axis, as in x[None]"
    assert str(caught.value) == wanted


def test_a_symbol_is_one_number_for_all_inputs() -> None:
    add = model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [tensor("a", ("N", 3)), tensor("b", ("N", 3))],
        [tensor("y", ("N", 3))],
    )
    session = Session(add.SerializeToString(), "cpu")
    with pytest.raises(ModelError, match="N is 2 at axis 0 of 'a', and 1 at axis 0"):
        session.run({"a": np.zeros((2, 3), np.float32), "b": np.zeros((1, 3), np.float32)})


def test_foreign_byte_order_and_strides_are_put_right() -> None:
    x = np.arange(6, dtype=">f4").reshape(3, 2).T
    assert Session(GOOD, "cpu").run({"x": x})["y"].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_unknown_output_is_refused() -> None:
    with pytest.raises(ModelError, match="no output 'Y'"):
        Session(GOOD, "cpu").run({"x": np.zeros((1, 3), np.float32)}, ["Y"])


def test_type_that_numpy_has_not_is_refused() -> None:
    cast = model(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        [tensor("x", ("N", 3), TensorProto.BFLOAT16)],
        [tensor("y", ("N", 3))],
    )
    session = Session(cast.SerializeToString(), "cpu")
    with pytest.raises(ModelError, match="bfloat16: numpy has no arrays of that"):
        session.run({"x": np.zeros((1, 3), np.uint16)})


def test_model_that_fails_while_running_is_a_model_error() -> None:
    shape = np.array([2, 2], np.int64)
    reshape = model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], name="bend")],
        [tensor("x", ("N", 3))],
        [tensor("y", (2, 2))],
        weights={"shape": shape},
    )
    with pytest.raises(ModelError, match=r"cannot run it: .*bend") as caught:
        Session(reshape.SerializeToString(), "cpu").run({"x": np.zeros((1, 3), np.float32)})
    assert "/onnxruntime_src" not in str(caught.value)


def test_tensor_of_terabytes_is_refused_by_its_size(capfd: pytest.CaptureFixture[str]) -> None:
    huge = model(
        [helper.make_node("ConstantOfShape", ["shape"], ["y"])],
        [tensor("shape", (4,), TensorProto.INT64)],
        [tensor("y", (None, None, None, None))],
    )
    session = Session(huge.SerializeToString(), "cpu")
    with pytest.raises(ModelError, match=r"needs a buffer of 4398046511104 bytes|not enough memory"):
        session.run({"shape": np.array([1024] * 4, np.int64)})
    assert capfd.readouterr() == ("", "")


def test_sequence_output_is_refused() -> None:
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, ["N", 3])
    proto = model([helper.make_node("SequenceConstruct", ["x"], ["y"])], [tensor("x", ("N", 3))], [sequence])
    with pytest.raises(ModelError, match="'y' is a list, not a tensor"):
        Session(proto.SerializeToString(), "cpu").run({"x": np.zeros((1, 3), np.float32)})


@pytest.mark.parametrize("options", [{"level": "more"}, {"threads": -1}])
def test_wrong_arguments_are_usage_errors(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Session(GOOD, "cpu", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["off", "basic", "extended", "all"])
def test_every_level_runs(level: str) -> None:
    y = Session(classifier().SerializeToString(), "cpu", level=level).run({"image": np.ones((1, 3, 8, 8), np.float32)})
    assert y["scores"].shape == (1, 7)


def test_a_session_that_left_its_provider_is_refused() -> None:
    claimed = Provider("cuda", NAMES["cuda"], asked=True)
    with pytest.raises(ProviderError, match="left cuda for CPUExecutionProvider"):
        Session(GOOD, claimed)


def test_memory_that_runs_out_while_loading_is_told_as_that() -> None:
    error = explain(RuntimeError("Exception during initialization: std::bad_alloc"), "net.onnx", "load")
    assert (type(error), error.message) == (ModelError, "net.onnx: memory ran out")
    assert "smaller batch" in error.hint
