"""What a user may give by mistake: one message that names the file, the right exit code, nothing measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from convc.compiler.errors import ConvcError, ModelError, ProviderError, UsageError
from convc.runtime.profile.plan import Case, Plan
from convc.runtime.profile.profile import profile
from convc.runtime.providers import Tuning

from ..models import external, model, relu, save, tensor


def _node(op: str, *inputs: str, **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), ["y"], **attributes)


def _ends(node: Any, kind: int = TensorProto.FLOAT, **options: Any) -> Any:
    return model([node], [tensor("x", ("N",), kind)], [tensor("y", (None,), kind)], **options)


def _unfitting() -> Any:
    weights = {"w": np.zeros((4, 5), np.float32)}
    return model([_node("MatMul", "x", "w")], [tensor("x", ("N", 3))], [tensor("y", ("N", 5))], weights=weights)


def _fails_when_run() -> Any:
    """No node has a name, so that a file of other bytes than the user's is what runs."""
    weights = {"s": np.array([7], np.int64)}
    return model([_node("Reshape", "x", "s")], [tensor("x", ("N", 3))], [tensor("y", (7,))], weights=weights)


def _endless() -> Any:
    nodes = [_node("ConstantOfShape", "s")]
    return model(
        nodes, [tensor("x", ("N", 3))], [tensor("y", (None, None))], weights={"s": np.array([2**21] * 2, np.int64)}
    )


FILES: dict[str, tuple[Callable[[], Any], str]] = {
    "foreign domain": (
        lambda: _ends(_node("Strange", "x", domain="com.example"), domains=["com.example"]),
        "operator Strange of domain com.example",
    ),
    "future opset": (lambda: relu(opset=99), "needs opset 99"),
    "future version": (lambda: relu(ir=99), "has IR version 99"),
    "dangling": (lambda: model([_node("Relu", "q")], [tensor("x", (1,))], [tensor("y", (1,))]), "'q', which nothing produces"),
    "does not fit": (_unfitting, "Incompatible dimensions"),
    "fails when run": (_fails_when_run, "cannot run it.*Reshape"),
    "endless": (_endless, "not enough memory: node 'y'"),
    "weights elsewhere": (lambda: external("gone.data"), "weights of 'w' are in a file that is not there"),
    "no inputs": (
        lambda: model([helper.make_node("Constant", [], ["y"], value_float=1.0)], [], [tensor("y", ())]), "has no inputs"
    ),
    "text": (
        lambda: _ends(_node("StringNormalizer", "x"), TensorProto.STRING),
        "only numbers can be made up",
    ),
}  # fmt: skip


def _measure(path: Path, **options: Any) -> None:
    given = {"providers": ("cpu",), "duration_s": 0.1, "warmup_ms": 1.0, "roofline": False, "layers": "none", **options}
    profile(Plan((Case(str(path)),), **given))


@pytest.mark.parametrize("name", FILES)
def test_a_bad_model_is_one_message_that_names_it(name: str, tmp_path: Path) -> None:
    make, message = FILES[name]
    path = save(make(), tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match=message) as caught:
        _measure(path)
    assert caught.value.exit_code == 2
    assert "the model:" not in caught.value.message


@pytest.mark.parametrize("data", [b"", b"hello", relu().SerializeToString()[:20], bytes(range(256)) * 9])
def test_what_is_no_model_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"bad\.onnx: "):
        _measure(tmp_path / "bad.onnx")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match=r"pipe\.onnx: is a pipe or a device"):
        _measure(tmp_path / "pipe.onnx")


def test_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.onnx"):
        with pytest.raises(ModelError, match=r"is a folder|no such file"):
            _measure(path)


OPTIONS: dict[str, tuple[dict[str, Any], type[ConvcError], str]] = {
    "batch": ({"batches": (8,)}, UsageError, "--batch asks for 8"),
    "unknown provider": ({"providers": ("cudda",)}, UsageError, "unknown provider 'cudda'"),
    "unknown method": ({"layers": "guess"}, UsageError, "--layers is 'guess'"),
    "kernels of a CPU": ({"layers": "kernels"}, UsageError, "reads the events of a GPU"),
    "no time": ({"duration_s": 0.0}, UsageError, "--duration is 0 s"),
    "endless warm-up": ({"warmup_ms": 1e12}, UsageError, "--warmup is 1e\\+12 ms"),
    "threads": ({"threads": (-1,)}, UsageError, "--threads"),
    "empty sweep": ({"threads": ()}, UsageError, "a sweep is empty"),
    "GPU options on the CPU": ({"tuning": Tuning(nhwc=True)}, UsageError, "options of the GPU providers"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_cannot_be_kept_is_refused(name: str, tmp_path: Path) -> None:
    options, kind, message = OPTIONS[name]
    with pytest.raises(kind, match=message):
        _measure(save(relu((1, 3)), tmp_path / "fixed.onnx"), **options)


def test_a_bad_word_for_the_search_is_refused() -> None:
    with pytest.raises(UsageError, match="--cudnn-search is 'best'"):
        Tuning(search="best")
    with pytest.raises(UsageError, match="--gpu-memory is -1"):
        Tuning(memory_limit_mib=-1)


def test_an_error_of_the_device_while_timing_is_the_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convc.runtime.profile import runner

    def fail(self: runner.Runner) -> float:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0")

    monkeypatch.setattr(runner.Runner, "timed", fail)
    with pytest.raises(ProviderError, match="the device failed: CUDA failure 700"):
        _measure(save(relu(), tmp_path / "relu.onnx"))
