"""What this machine is made of: processor, memory, NVIDIA GPUs. Nothing here names the machine itself."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# The instruction sets that convolution kernels are written for, as Linux spells them on x86-64 and on 64-bit Arm.
_FLAGS = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_bf16", "amx_int8", "asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16",
)  # fmt: skip
_QUERY = "name,driver_version,memory.total,compute_cap"


@dataclass(frozen=True, slots=True)
class Processor:
    """`cores` are physical (0: not known), `usable` are the logical ones this process may run on."""

    model: str
    cores: int
    logical: int
    usable: int
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One line of nvidia-smi."""

    name: str
    driver: str
    memory_mib: int
    compute: str


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """The CPU as the operating system describes it."""
    text = _read(cpuinfo)
    logical = os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    model = _field(text, "model name") or _field(text, "Model") or platform.processor() or platform.machine()
    present = set((_field(text, "flags") or _field(text, "Features")).split())
    flags = tuple(flag for flag in _FLAGS if flag in present)
    return Processor(model, _physical(text), logical, len(affinity(0)) if affinity else logical, flags)


def memory_bytes() -> int:
    """Physical memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def gpus(command: str = "nvidia-smi", timeout_s: float = 5.0) -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that the driver's own tool sees; none where it is absent, fails or hangs."""
    try:
        done = subprocess.run(
            [command, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode:
        return ()
    return tuple(gpu for line in done.stdout.splitlines() if (gpu := _gpu(line)) is not None)


def _gpu(line: str) -> Gpu | None:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 4:
        return None
    name, driver, memory, compute = fields
    return Gpu(name, driver, int(memory) if memory.isdigit() else 0, compute)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{re.escape(name)}\s*: (.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _physical(text: str) -> int:
    """Distinct (socket, core) pairs; 0 where the kernel does not list them, as on Arm."""
    sockets = re.findall(r"^physical id\s*: (\d+)$", text, re.MULTILINE)
    cores = re.findall(r"^core id\s*: (\d+)$", text, re.MULTILINE)
    return len(set(zip(sockets, cores, strict=False)))
