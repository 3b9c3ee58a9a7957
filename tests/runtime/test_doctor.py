"""The doctor answers whatever is missing or broken, and its advice follows from what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convc.runtime import doctor, engine
from convc.runtime.cuda import CUDNN, sonames
from convc.runtime.doctor import examine
from convc.runtime.machine import Gpu, gpus, processor

VERSIONS = dict.fromkeys(doctor.DISTRIBUTIONS, "") | {"torch": "2.13.0", "onnx": "1.23.2", "onnxruntime": "1.31.1"}
H = Gpu("NVIDIA H100", "580.1", 81559, "9.0")


def _asking(cuda: dict[str, Any], libraries: tuple[str, ...] = ()) -> doctor.Ask:
    """A child process that would answer so."""

    def ask(kind: str, argument: str) -> dict[str, Any]:
        if kind == "libraries":
            return {name: "system" if name in libraries else "" for name in sonames()}
        if argument == "cpu":
            return {"offered": ["cpu", "cuda"], "loads": True}
        return cuda if argument == "cuda" else {"loads": False, "cause": "not offered"}

    return ask


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    state: dict[str, Any] = {"versions": dict(VERSIONS), "gpus": ()}
    monkeypatch.setattr(engine, "version", lambda name: state["versions"][name])
    monkeypatch.setattr(doctor, "gpus", lambda: state["gpus"])
    return state


def test_this_machine_loads_the_cpu_provider() -> None:
    found = examine()
    assert next(one for one in found.providers if one.name == "cpu").loads
    assert "cpu " in found.text()
    assert json.loads(json.dumps(found.data()))["schema_version"] == 1
    assert found.memory_bytes > 2**20
    assert found.processor.usable >= 1


def test_it_imports_neither_numpy_nor_onnxruntime_nor_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('numpy', 'onnxruntime', 'torch', 'onnx', 'PIL'): sys.modules[name] = None\n"
        "from convc.runtime.doctor import examine\n"
        "print(examine().text())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu   no: onnxruntime is not installed" in done.stdout
    assert "to do: nothing can be run, all else works: pip install 'convc[gpu]'" in done.stdout


def test_hidden_onnxruntime_is_reported_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = examine()
    assert [(one.name, one.loads, one.cause) for one in found.providers] == [
        ("cpu", False, "onnxruntime is not installed"),
        ("cuda", False, "onnxruntime is not installed"),
    ]
    assert engine.INSTALL in found.advice[0]


def test_both_wheels_are_a_conflict(machine: dict[str, Any]) -> None:
    machine["versions"]["onnxruntime-gpu"] = "1.31.1"
    assert engine.CONFLICT in examine(_asking({"loads": False, "cause": "x"})).advice


def test_gpu_with_a_cpu_wheel_is_told_to_change_it(machine: dict[str, Any]) -> None:
    machine["gpus"] = (H,)
    found = examine(_asking({"loads": False, "cause": "offers only cpu", "mend": "change the wheel"}))
    assert found.advice == ("a GPU is here, but not used: pip uninstall -y onnxruntime, then pip install 'convc[gpu]'",)
    assert "NVIDIA H100, 81559 MiB, driver 580.1" in found.text()


def test_gpu_wheel_that_does_not_load_gives_cause_and_mend(machine: dict[str, Any]) -> None:
    machine["gpus"] = (H,)
    machine["versions"] |= {"onnxruntime": "", "onnxruntime-gpu": "1.31.1"}
    found = examine(_asking({"loads": False, "cause": "not found: libcublas.so.13", "mend": "pip install it"}))
    assert found.advice == ("cuda: pip install it",)
    assert "cuda  no: not found: libcublas.so.13" in found.text()


def test_crashing_provider_is_a_finding(machine: dict[str, Any]) -> None:
    found = examine(_asking({"cause": "crashed with SIGSEGV"}))
    assert [(one.name, one.loads, one.cause) for one in found.providers] == [
        ("cpu", True, ""),
        ("cuda", False, "crashed with SIGSEGV"),
    ]


def test_cuda_without_cudnn_asks_for_it(machine: dict[str, Any]) -> None:
    machine["gpus"] = (H,)
    machine["versions"] |= {"onnxruntime": "", "onnxruntime-gpu": "1.31.1"}
    without = tuple(name for name in sonames() if name != CUDNN)
    assert CUDNN in examine(_asking({"loads": True}, without)).advice[0]
    assert examine(_asking({"loads": True}, sonames())).advice == ()


def test_nothing_missing_is_nothing_to_do(machine: dict[str, Any]) -> None:
    found = examine(_asking({"loads": False, "cause": "offers only cpu", "mend": "change the wheel"}))
    assert found.advice == ()
    assert found.text().endswith("nothing to do")


def test_missing_torch_and_unsafe_versions_are_named(machine: dict[str, Any]) -> None:
    machine["versions"] |= {"torch": "", "onnx": "1.20.1", "onnxruntime": "1.27.0+local"}
    advice = "\n".join(examine(_asking({"loads": False})).advice)
    assert "torch is missing" in advice
    assert "onnx 1.20.1 reads files outside a model's folder: install 1.21 or newer" in advice
    assert "onnxruntime 1.27.0+local" in advice


def test_processor_is_read_from_the_kernels_list(tmp_path: Path) -> None:
    core = "processor : {0}\nmodel name : Example CPU\nphysical id : 0\ncore id : {1}\nflags : fpu avx2 avx512f fma\n"
    listing = "\n".join(core.format(i, i // 2) for i in range(4)).replace(" :", "\t:")
    (tmp_path / "cpuinfo").write_text(listing)
    found = processor(tmp_path / "cpuinfo")
    assert (found.model, found.cores, found.flags) == ("Example CPU", 2, ("fma", "avx2", "avx512f"))
    assert processor(tmp_path / "none").cores == 0


def _tool(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_gpus_are_read_from_the_drivers_tool(tmp_path: Path) -> None:
    line = "echo 'NVIDIA H100, 580.1, 81559, 9.0'"
    assert gpus(_tool(tmp_path / "good", line)) == (H,)
    assert gpus(_tool(tmp_path / "bad", "echo oops; exit 9")) == ()
    assert gpus(_tool(tmp_path / "odd", "echo 'no devices were found'")) == ()
    assert gpus(_tool(tmp_path / "hangs", "exec sleep 30"), timeout_s=0.2) == ()
    assert gpus(str(tmp_path / "none")) == ()
