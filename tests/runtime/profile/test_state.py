"""The machine's state from the operating system's files, and sentences for what moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from convc.runtime.profile.record import GpuState, MachineState
from convc.runtime.profile.state import available_bytes, busy, drifted, gpus, state

CALM = MachineState("Linux x86_64", "a CPU", 4, 4, load_1min=0.5, cpu_mhz=2000.0, cpu_governor="performance")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for cpu, khz in ((0, 2_000_000), (1, 3_000_000)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
        (folder / "scaling_governor").write_text("powersave\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  100 kB\nMemAvailable:     2048 kB\n")
    (tmp_path / "proc/cpuinfo").write_text("model name\t: A CPU @ 2 GHz\nflags\t\t: fma avx2 fpu\n")
    return tmp_path


def test_clock_governor_and_memory_are_read(root: Path) -> None:
    found = state(root, command="no-such-tool")
    assert (found.cpu_mhz, found.cpu_governor, found.memory_available_bytes) == (2500.0, "powersave", 2048 * 1024)
    assert (found.cpu_model, found.cpu_flags, found.gpus) == ("A CPU @ 2 GHz", ("fma", "avx2"), ())
    assert found.versions["python"]


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    found = state(tmp_path, command="no-such-tool")
    assert (found.cpu_mhz, found.cpu_governor, found.memory_available_bytes) == (None, "", None)
    assert available_bytes(tmp_path) is None


def _tool(folder: Path, text: str, code: int = 0) -> str:
    path = folder / "smi"
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{text}\nEOF\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_gpu_lines_are_read_and_gaps_are_none(tmp_path: Path) -> None:
    line = "H, 595.10, 80000, 512, 1980, 2619, 120.5, 41, 7, 0x0000000000000024\n"
    line += "T4, 595.10, 15360, 0, [N/A], 405, [N/A], 30, 0, 0x1"
    first, second = gpus(_tool(tmp_path, line))
    assert first == GpuState("H", "595.10", 80000, 512, 1980, 2619, 120.5, 41, 7, "power cap, thermal")
    assert (second.sm_clock_mhz, second.power_w, second.throttle) == (None, None, "")
    assert gpus(_tool(tmp_path, "x", 9)) == ()
    assert gpus("no-such-tool") == ()


def test_a_steady_machine_gives_no_sentence() -> None:
    assert list(drifted(CALM, replace(CALM, cpu_mhz=3090.0, load_1min=3.9))) == []
    assert list(busy(CALM)) == []


def test_each_thing_that_moved_is_named() -> None:
    cold, hot = GpuState("H", sm_clock_mhz=1980.0), GpuState("H", sm_clock_mhz=1500.0, throttle="thermal")
    start = replace(CALM, gpus=(cold,))
    end = replace(CALM, cpu_mhz=1700.0, cpu_governor="powersave", gpus=(hot,))
    said = "; ".join(drifted(start, end))
    assert "CPU clock fell from 2000 to 1700 MHz" in said
    assert "governor changed from performance to powersave" in said
    assert "GPU 0 fell from 1980 to 1500 MHz" in said
    assert "GPU 0 is throttled (thermal)" in said
    # An idle card that wakes has not drifted.
    assert list(drifted(replace(CALM, gpus=(hot,)), replace(CALM, gpus=(cold,)))) == []


def test_work_of_others_is_said() -> None:
    assert "load 9.0 on 4 processors" in next(busy(replace(CALM, load_1min=9.0)))
