"""The machine at one moment, and whether it is still the same at the end of a measurement.

Read from the operating system and nvidia-smi; nothing is set, and what cannot be read is None.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import engine
from ..machine import memory_bytes, processor
from .record import GpuState, MachineState

_GPU_FIELDS = (
    "name", "driver_version", "memory.total", "memory.used", "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu",
    "utilization.gpu", "clocks_throttle_reasons.active",
)  # fmt: skip
_LIBRARIES = ("numpy", "onnx", engine.CPU_WHEEL, engine.GPU_WHEEL, "torch")
# A clock that moved by more than this makes two halves of a measurement incomparable.
CLOCK_SLACK = 0.05
# Someone else's work: a run queue longer than the processors.
_BUSY = 1.0


def state(root: Path = Path("/"), command: str = "nvidia-smi") -> MachineState:
    """What can be read now. `root` is where `proc` and `sys` are looked for."""
    cpu = processor(root / "proc/cpuinfo")
    return MachineState(
        platform=f"{platform.system()} {platform.machine()}",
        cpu_model=cpu.model,
        cpu_cores=cpu.cores or cpu.logical,
        cpu_usable=cpu.usable,
        cpu_flags=cpu.flags,
        load_1min=_load(),
        cpu_mhz=_mhz(root),
        cpu_governor=_governor(root),
        memory_total_bytes=memory_bytes() or None,
        memory_available_bytes=available_bytes(root),
        gpus=gpus(command),
        versions=_versions(),
    )


def available_bytes(root: Path = Path("/")) -> int | None:
    """Memory that can be had without swapping, as Linux estimates it."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def gpus(command: str = "nvidia-smi", timeout_s: float = 5.0) -> tuple[GpuState, ...]:
    """Clocks, power and memory of the NVIDIA GPUs; none where the tool is absent, fails or hangs."""
    try:
        done = subprocess.run(
            [command, f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(_gpu(line) for line in done.stdout.splitlines() if line.strip()) if not done.returncode else ()


def drifted(start: MachineState, end: MachineState) -> Iterator[str]:
    """A sentence for each thing that was another at the end."""
    # An idle processor sleeps at a low clock: only a fall while it worked is a drift.
    if start.cpu_mhz and end.cpu_mhz and end.cpu_mhz < start.cpu_mhz * (1 - CLOCK_SLACK):
        yield f"the CPU clock fell from {start.cpu_mhz:.0f} to {end.cpu_mhz:.0f} MHz"
    if start.cpu_governor != end.cpu_governor:
        yield f"the CPU governor changed from {start.cpu_governor or 'none'} to {end.cpu_governor or 'none'}"
    for index, (before, after) in enumerate(zip(start.gpus, end.gpus, strict=False)):
        yield from _gpu_drift(index, before, after)


def busy(start: MachineState) -> Iterator[str]:
    """A warning where others were at work when the measurement began."""
    if start.load_1min is not None and start.load_1min > _BUSY * start.cpu_usable:
        yield (
            f"other work ran on this machine when the measurement began: load {start.load_1min:.1f} on "
            f"{start.cpu_usable} processors"
        )


def _gpu_drift(index: int, before: GpuState, after: GpuState) -> Iterator[str]:
    clock = before.sm_clock_mhz, after.sm_clock_mhz
    if clock[0] and clock[1] and clock[1] < clock[0] * (1 - CLOCK_SLACK):
        yield f"the clock of GPU {index} fell from {clock[0]:.0f} to {clock[1]:.0f} MHz"
    if after.throttle and after.throttle != before.throttle:
        yield f"GPU {index} is throttled ({after.throttle})"


def _gpu(line: str) -> GpuState:
    fields = [field.strip() for field in line.split(",")]
    fields += [""] * (len(_GPU_FIELDS) - len(fields))
    name, driver, *numbers, throttle = fields[: len(_GPU_FIELDS)]
    total, used, sm, memory, power, heat, use = map(_number, numbers)
    return GpuState(name, driver, total, used, sm, memory, power, heat, use, _throttle(throttle))


# Bits of nvidia-smi's mask that slow a card down; idle (1) and application clocks (2) do not count.
_SLOWED = {0x4: "power cap", 0x8: "hardware", 0x20: "thermal", 0x40: "hardware thermal", 0x80: "power brake"}


def _throttle(mask: str) -> str:
    try:
        bits = int(mask, 16)
    except ValueError:
        return ""
    return ", ".join(name for bit, name in _SLOWED.items() if bits & bit)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _mhz(root: Path) -> float | None:
    scaled = [_read(path) for path in root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")]
    found = [float(text) / 1000 for text in scaled if text.strip().isdigit()]
    found = found or [
        float(m) for m in re.findall(r"^cpu MHz\s*: ([\d.]+)", _read(root / "proc/cpuinfo"), re.MULTILINE)
    ]
    return statistics.fmean(found) if found else None


def _governor(root: Path) -> str:
    paths = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    return ", ".join(sorted({_read(path).strip() for path in paths} - {""}))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
