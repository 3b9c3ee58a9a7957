"""The child that measures: it answers, it refuses in one sentence, and its death has a cause and an exit code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from convc.compiler.errors import ConvcError, ModelError, ProviderError, UsageError
from convc.runtime.profile.plan import Case, Plan
from convc.runtime.profile.worker import measure

from ..models import relu, save

T = TypeVar("T")
STAGE = "import json; print(json.dumps({'stage': 'cuda batch 1: measuring'}), flush=True); "


def _plan(path: str | Path = "net.onnx", provider: str = "cpu") -> Plan:
    return Plan(
        (Case(str(path)),),
        providers=(provider,),
        iterations=6,
        duration_s=0.1,
        warmup_ms=1.0,
        roofline=False,
        threads=(1,),
    )


def test_the_child_gives_the_record_and_tells_its_stages(tmp_path: Path) -> None:
    stages: list[str] = []
    found = measure(_plan(save(relu(), tmp_path / "relu.onnx")), stages.append)
    assert [point.latency.count for point in found.points] == [6]
    assert stages[0] == "loading"
    assert "cpu batch 1: measuring" in stages


def test_an_error_of_the_child_is_raised_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file") as caught:
        measure(_plan(tmp_path / "absent.onnx"))
    assert caught.value.exit_code == 2
    fixed = save(relu((1, 3)), tmp_path / "fixed.onnx")
    with pytest.raises(UsageError, match="axis 0 is fixed"):
        measure(Plan((Case(str(fixed)),), providers=("cpu",), batches=(4,), roofline=False))


def _dying(code: str, provider: str) -> ConvcError:
    with pytest.raises(ConvcError) as caught:
        measure(_plan(provider=provider), command=[sys.executable, "-c", code])
    return caught.value


KILL = "import os, signal; os.kill(os.getpid(), signal.{})"


def test_a_provider_that_dies_is_named_with_the_signal_and_the_stage() -> None:
    error = _dying(STAGE + KILL.format("SIGSEGV"), "cuda")
    assert isinstance(error, ProviderError)
    assert error.exit_code == 4
    assert "provider cuda died of SIGSEGV (cuda batch 1: measuring)" in error.message
    assert "convc doctor" in error.hint


def test_a_file_that_brings_onnxruntime_down_is_the_files_fault() -> None:
    error = _dying("import sys; print('terminate called', file=sys.stderr); " + KILL.format("SIGABRT"), "cpu")
    assert (type(error), error.exit_code) == (ModelError, 2)
    assert "net.onnx: onnxruntime died of SIGABRT" in error.message
    assert "terminate called" in error.message


def test_a_killed_child_ran_out_of_memory() -> None:
    error = _dying(KILL.format("SIGKILL"), "cuda")
    assert (type(error), error.exit_code) == (ModelError, 2)
    assert "memory ran out" in error.message


def test_bad_alloc_is_told_as_memory() -> None:
    code = 'import sys; print("terminate: what(): std::bad_alloc", file=sys.stderr); ' + KILL.format("SIGABRT")
    assert "memory ran out" in _dying(code, "cpu").message


def test_a_child_that_ends_without_an_outcome_says_so() -> None:
    error = _dying("import sys; print('chatter'); sys.exit(7)", "cpu")
    assert "ended with 7 and no result" in error.message


def test_a_child_that_cannot_start_is_an_error() -> None:
    with pytest.raises(ModelError, match="no process could be started"):
        measure(_plan(), command=["/no/such/python"])


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    path = save(relu(), tmp_path / "relu.onnx")
    plan = replace(_plan(path), iterations=0, duration_s=600.0, warmup_ms=300_000.0)
    line = [sys.executable, "-m", "convc.runtime.profile.worker"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(plan.to_json()) + "\n")
        child.stdin.flush()
        while "warm-up" not in child.stdout.readline():
            assert child.poll() is None
        # As the kernel does where the parent is killed.
        child.stdin.close()
        assert child.wait(30) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_takes_its_child_and_its_folders_along(number: int, tmp_path: Path) -> None:
    path = save(relu(), tmp_path / "relu.onnx")
    arguments = ["profile", str(path), "--provider", "cpu", "--warmup", "300000", "--no-roofline"]
    # A shell that runs a job in the background has it ignore SIGINT.
    heard = "import signal, sys, convc.cli as c; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heard + "sys.exit(c.main(sys.argv[1:]))"
    line = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as parent:
        child = _child_of(parent.pid)
        parent.send_signal(number)
        assert parent.wait(30) == (143 if number == signal.SIGTERM else 130)
        assert parent.stderr is not None
        assert "Traceback" not in parent.stderr.read()
    _wait(lambda: not Path(f"/proc/{child}").exists() or None)
    assert os.listdir(tmp_path) == ["relu.onnx"]


def _child_of(pid: int) -> int:
    def found() -> int | None:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                here = (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(pid)
                if here and b"profile.worker" in (entry / "cmdline").read_bytes():
                    return int(entry.name)
        return None

    return _wait(found)


def _wait(ask: Callable[[], T | None]) -> T:
    for _ in range(600):
        if (found := ask()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen within 30 s")


def test_chatter_of_libraries_does_not_reach_the_record(tmp_path: Path) -> None:
    path = save(relu(), tmp_path / "relu.onnx")
    code = (
        "import os, sys; sys.argv = ['w']\n"
        "import convc.runtime.profile.profile as p, convc.runtime.profile.worker as w\n"
        "real = p.profile\n"
        "def noisy(*given):\n    os.write(1, b'{\"profile\": 1}\\n'); print('hello'); return real(*given)\n"
        "p.profile = noisy; w.main()"
    )
    assert measure(_plan(path), command=[sys.executable, "-c", code]).points
