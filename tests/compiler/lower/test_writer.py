"""The writer: bytes that onnx reads back, data files, and no second copy of the weights."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convc.compiler.artifacts import write_all
from convc.compiler.errors import OutputError
from convc.compiler.ir import DType, Lazy, Model, Op, Param, Stored, TensorType
from convc.compiler.lower import OnnxModel, Weight, check_file, model_files, serialize, to_onnx, writer
from convc.compiler.ops import OPS

from .conftest import Net


def weights_only(*weights: Weight) -> OnnxModel:
    head = onnx.ModelProto(ir_version=10, opset_import=[onnx.helper.make_opsetid("", 20)]).SerializeToString()
    return OnnxModel(head, onnx.GraphProto(name="g").SerializeToString(), weights, (), 20, 10)


def read(data: bytes) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(data).graph.initializer}


@pytest.mark.parametrize("shape", [(), (0,), (1,), (127,), (128,), (3, 0, 2), (16384, 2), (2, 3, 5, 7)])
@pytest.mark.parametrize("dtype", list(DType))
def test_every_shape_and_type_is_read_back(shape: tuple[int, ...], dtype: DType) -> None:
    values = np.asarray(np.random.default_rng(0).standard_normal(shape) * 4).astype(dtype.value)
    found = read(serialize(weights_only(Weight("a" * 200, Stored(values), dtype), Weight("é", Stored(values), dtype))))
    for name in ("a" * 200, "é"):
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    "change", [lambda a: a.T, lambda a: a[::2], lambda a: a.astype(">f4"), lambda a: a.astype("f8")]
)
def test_arrays_in_any_layout_are_written_in_c_order(change: Callable[[np.ndarray], np.ndarray]) -> None:
    values = change(np.arange(24, dtype=np.float32).reshape(4, 6))
    found = read(serialize(weights_only(Weight("w", Stored(values)))))["w"]
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.float32


def test_a_length_of_several_bytes_is_a_varint() -> None:
    assert [writer._varint(n).hex() for n in (0, 127, 128, 300, 2**35)] == ["00", "7f", "8001", "ac02", "808080808001"]


def test_the_same_as_onnx_itself_would_write() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    model = weights_only(Weight("w", Stored(values)))
    proto = onnx.load_model_from_string(serialize(model))
    expected = onnx.ModelProto.FromString(model.head)
    expected.graph.name = "g"
    expected.graph.initializer.append(numpy_helper.from_array(values, "w"))
    assert proto == expected


def conv(out: int, **rest: Any) -> Op:
    return OPS["conv"](**{"out": out, **rest})


def net() -> Model:
    made = Net(input=TensorType((1, 8, 8, 8)))
    made.add("a", conv(32), "input")
    made.add("b", conv(64), "a")
    made.add("c", conv(3, kernel=1), "b")
    return made.model("c")


def test_above_the_threshold_the_weights_lie_in_an_aligned_file_named_by_its_content(tmp_path: Path) -> None:
    model = net()
    lowered = to_onnx(model)
    written = write_all(tmp_path, model_files(lowered, threshold=50_000))
    data, name = written
    assert (data, name) == (f"model-{written[data][:8]}.onnx.data", "model.onnx")
    check_file(tmp_path / name)
    proto = onnx.load(tmp_path / name, load_external_data=False)
    places = {t.name: {e.key: e.value for e in t.external_data} for t in proto.graph.initializer if t.external_data}
    assert places.keys() == {"a.weight", "b.weight"}
    assert all(place["location"] == data and int(place["offset"]) % 4096 == 0 for place in places.values())
    loaded = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / name).graph.initializer}
    assert loaded.keys() == model.params.keys()
    for key, value in loaded.items():
        np.testing.assert_array_equal(value, model.params[key].evaluate())


def test_a_runtime_reads_the_data_file(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    lowered = to_onnx(net())
    write_all(tmp_path, model_files(lowered, threshold=0))
    x = {"input": np.ones((1, 8, 8, 8), np.float32)}
    providers = ["CPUExecutionProvider"]
    outside = ort.InferenceSession(tmp_path / "model.onnx", providers=providers).run(None, x)
    inside = ort.InferenceSession(serialize(lowered), providers=providers).run(None, x)
    np.testing.assert_array_equal(outside, inside)


def test_under_the_threshold_there_is_one_file(tmp_path: Path) -> None:
    lowered = to_onnx(net())
    assert list(write_all(tmp_path, model_files(lowered))) == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == serialize(lowered)


def test_a_changed_weight_changes_the_data_file_s_name(tmp_path: Path) -> None:
    model = net()
    first = list(write_all(tmp_path, model_files(to_onnx(model), threshold=0)))
    params = {**model.params, "b.weight": model.params["b.weight"] * 1.001}
    second = list(write_all(tmp_path, model_files(to_onnx(Model(model.graph, params, model.trained)), threshold=0)))
    assert first[0] != second[0]
    assert sorted(os.listdir(tmp_path)) == sorted(second)
    check_file(tmp_path / "model.onnx")


def test_more_than_a_message_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MESSAGE_LIMIT", 10_000)
    with pytest.raises(OutputError, match="one ONNX file holds at most 10000"):
        serialize(to_onnx(net()))


def test_a_parameter_that_yields_another_size_is_not_written() -> None:
    class Liar(Stored):
        shape = (4,)

    with pytest.raises(ValueError, match="was promised"):
        serialize(weights_only(Weight("w", Liar(np.zeros(3, np.float32)))))


def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path) -> None:
    size, count = 1_000_000, 12
    stored = np.zeros(size, np.float32)
    scaled: list[Param] = [Lazy((size,), lambda a: a * 2, (Stored(stored),), "scale") for _ in range(count)]
    model = weights_only(*(Weight(f"w{k}", param) for k, param in enumerate(scaled)))
    tracemalloc.start()
    write_all(tmp_path, model_files(model))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "model.onnx").stat().st_size > size * 4 * count
    # Two float64 temporaries and the rounded tensor; all twelve would be 48 MB.
    assert peak < 22_000_000


def test_stored_weights_are_written_from_where_they_lie(tmp_path: Path) -> None:
    model = weights_only(*(Weight(f"w{k}", Stored(np.zeros(1_000_000, np.float32))) for k in range(4)))
    tracemalloc.start()
    write_all(tmp_path, model_files(model))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
