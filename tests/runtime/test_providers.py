"""No silent fallback: a provider is believed only when a session has it, and a refusal says why and how to mend it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from onnx import checker, load_model_from_string

from convc.compiler.errors import ProviderError, UsageError
from convc.runtime import cuda, engine, providers
from convc.runtime.providers import NAMES, PROBE_MODEL, attempt, options, plain, resolve
from convc.runtime.trial import ask

LOG = (
    "\x1b[1;31m2026-11-23 05:40:09.236980256 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] /x.cc:1"
    " Failed to load library /site/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared"
    " object file: No such file or directory\n\x1b[m"
)

without_cuda = pytest.mark.skipif("cuda" in providers.available(), reason="this onnxruntime has a CUDA provider")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    attempt.cache_clear()
    yield
    attempt.cache_clear()


def test_probe_model_is_relu_of_one_float() -> None:
    proto = load_model_from_string(PROBE_MODEL)
    checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node] == ["Relu"]
    assert (proto.ir_version, proto.opset_import[0].version) == (8, 13)


def test_cpu_loads() -> None:
    provider = resolve("cpu")
    assert provider.chain() == [("CPUExecutionProvider", {})]
    assert provider.asked
    assert provider.why == ""


@without_cuda
def test_nothing_asked_takes_the_cpu_and_says_why() -> None:
    provider = resolve()
    assert (provider.name, provider.asked) == ("cpu", False)
    assert provider.why == "this onnxruntime has no CUDA provider"


def test_unknown_name_is_a_usage_error_that_lists_the_known() -> None:
    with pytest.raises(UsageError, match="cpu, cuda, tensorrt, openvino"):
        resolve("cudda")


@without_cuda
def test_cuda_asked_of_a_cpu_wheel_is_refused_quickly_and_quietly() -> None:
    code = (
        "import sys; from convc.compiler.errors import ConvcError\n"
        "from convc.runtime.providers import resolve\n"
        "try: resolve('cuda')\n"
        "except ConvcError as error: print(error.render(), end=''); sys.exit(error.exit_code)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert done.stderr == ""
    assert done.stdout.startswith("error: provider cuda cannot be used: the installed onnxruntime ")
    assert "convc[gpu]" in done.stdout
    # The promise is 5 s; a busy machine gets four times that.
    assert time.monotonic() - start < 20


def test_missing_onnxruntime_names_both_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(engine, "version", lambda _: "")
    with pytest.raises(ProviderError, match="not installed") as caught:
        resolve()
    assert "convc[gpu]" in caught.value.hint
    assert "convc[cpu]" in caught.value.hint
    assert caught.value.exit_code == 4


def test_broken_onnxruntime_with_both_wheels_names_the_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(engine, "version", lambda _: "1.31.1")
    with pytest.raises(ProviderError) as caught:
        resolve()
    assert caught.value.hint == engine.CONFLICT


@pytest.fixture
def gpu_wheel(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A GPU wheel whose CUDA provider fails with `log`, on a machine with the libraries of `found`."""
    state: dict[str, Any] = {"log": LOG, "found": ()}
    monkeypatch.setattr(providers, "available", lambda: ("cuda", "tensorrt", "cpu"))
    monkeypatch.setattr(
        providers, "_create", lambda name: None if name == "cpu" else state["log"] and plain(state["log"])
    )
    monkeypatch.setattr(
        cuda,
        "preload",
        lambda major: tuple(cuda.Library(n, "x" if n in state["found"] else "") for n in cuda.sonames()),
    )
    return state


def test_missing_driver_is_named_first(gpu_wheel: dict[str, Any]) -> None:
    with pytest.raises(
        ProviderError, match=r"libcuda\.so\.1 is not found: this machine has no NVIDIA driver"
    ) as caught:
        resolve("cuda")
    assert "libcublasLt.so.13" in str(caught.value)
    assert "install the NVIDIA driver" in caught.value.hint


def test_missing_library_is_named_with_what_brings_it(gpu_wheel: dict[str, Any]) -> None:
    gpu_wheel["found"] = tuple(name for name in cuda.sonames() if name != "libcublasLt.so.13")
    with pytest.raises(ProviderError, match=r"cannot be used: not found: libcublasLt\.so\.13\n") as caught:
        resolve("cuda")
    assert "onnxruntime-gpu[cuda,cudnn]" in caught.value.hint


def test_device_failure_is_told_in_cudas_words(gpu_wheel: dict[str, Any]) -> None:
    gpu_wheel["found"] = cuda.sonames()
    gpu_wheel["log"] = "CUDA failure 100: no CUDA-capable device is detected ; GPU=0 ; hostname=box ; file=x.cc"
    with pytest.raises(ProviderError, match="no CUDA-capable device is detected") as caught:
        resolve("cuda")
    assert "hostname" not in str(caught.value)


def test_tensorrt_library_is_told_apart(gpu_wheel: dict[str, Any]) -> None:
    gpu_wheel["found"] = cuda.sonames()
    gpu_wheel["log"] = LOG.replace("libcublasLt.so.13", "libnvinfer.so.10")
    with pytest.raises(ProviderError, match=r"libnvinfer\.so\.10") as caught:
        resolve("tensorrt")
    assert "TensorRT" in caught.value.hint


def test_failed_cuda_falls_back_only_where_nobody_asked(gpu_wheel: dict[str, Any]) -> None:
    provider = resolve()
    assert provider.name == "cpu"
    assert provider.why.startswith("CUDA cannot be used: libcuda.so.1 is not found")


def test_cuda_without_cudnn_is_not_chosen_but_may_be_asked_for(gpu_wheel: dict[str, Any]) -> None:
    gpu_wheel["log"] = None
    gpu_wheel["found"] = tuple(name for name in cuda.sonames() if name != cuda.CUDNN)
    assert resolve().name == "cpu"
    assert "libcudnn.so.9" in resolve().why
    assert "without cuDNN" in resolve("cuda").notes[0]


def test_working_cuda_is_chosen_and_keeps_the_cpu_behind(gpu_wheel: dict[str, Any]) -> None:
    gpu_wheel["log"] = None
    gpu_wheel["found"] = cuda.sonames()
    provider = resolve(exact=True)
    assert (provider.name, provider.why) == ("cuda", "CUDA loads here")
    assert [name for name, _ in provider.chain()] == [NAMES["cuda"], NAMES["cpu"]]
    assert provider.options["use_tf32"] == "0"
    assert provider.notes == ("TF32 off",)


def test_options_follow_the_purpose() -> None:
    assert options("cuda")["use_tf32"] == "1"
    assert options("cuda", exact=True)["use_tf32"] == "0"
    assert options("cuda")["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert options("cuda", many_shapes=True)["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options("cpu", exact=True) == {}


def test_log_lines_lose_colours_and_time_stamps() -> None:
    assert plain(LOG).startswith("/x.cc:1 Failed to load library")


def test_trial_in_a_child_process_agrees() -> None:
    found = ask("provider", "cpu")
    assert found["loads"] is True
    assert "cpu" in found["offered"]


def test_a_child_that_crashes_or_hangs_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -11, "", "")

    def hang(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired("trial", 3)

    monkeypatch.setattr(subprocess, "run", crash)
    assert ask("provider", "cuda") == {"cause": "crashed with SIGSEGV"}
    monkeypatch.setattr(subprocess, "run", hang)
    assert ask("provider", "cuda", timeout_s=3) == {"cause": "gave no answer within 3 s"}


def test_noise_before_the_answer_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"loads": True})
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess([], 0, f"noise\n{line}\n", ""))
    assert ask("provider", "cuda") == {"loads": True}
