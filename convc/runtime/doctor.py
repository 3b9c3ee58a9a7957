"""What this machine can run, and what to install: found out, never assumed.

Distributions are read from their metadata without importing them; providers and libraries are tried in child
processes. So it answers where onnxruntime, torch or numpy are missing or broken, which is when it is needed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from . import cuda, engine
from .machine import Gpu, Processor, gpus, memory_bytes, processor
from .providers import NAMES
from .report import SCHEMA_VERSION
from .trial import ask

DISTRIBUTIONS = (
    "convc", "numpy", "torch", "onnx", "onnx-ir", "onnxscript", engine.CPU_WHEEL, engine.GPU_WHEEL, "safetensors",
    "pillow",
)  # fmt: skip

# Older ones read external data outside the model's folder (their fixes: late 2025 to May 2026).
_SAFE_ENGINE = (1, 28)
_SAFE_ONNX = (1, 21)

Ask = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ProviderState:
    """Whether a provider really loads, else why not and how to mend it."""

    name: str
    loads: bool
    cause: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Doctor:
    """The findings; `versions` holds the empty string for what is not installed."""

    python: str
    platform: str
    processor: Processor
    memory_bytes: int
    gpus: tuple[Gpu, ...]
    versions: tuple[tuple[str, str], ...]
    providers: tuple[ProviderState, ...]
    libraries: tuple[cuda.Library, ...]
    advice: tuple[str, ...]

    def text(self) -> str:
        return "\n".join(
            [
                f"python     {self.python} on {self.platform}",
                f"processor  {_processor(self.processor)}",
                f"memory     {self.memory_bytes / 2**30:.1f} GiB",
                *([f"gpu        {_gpu(gpu)}" for gpu in self.gpus] or ["gpu        nvidia-smi shows none"]),
                "", "installed", *_table([(name, version or "-") for name, version in self.versions]),
                "", "providers", *_table([(one.name, _state(one)) for one in self.providers]),
                "", "CUDA libraries", *_table([(one.name, one.found or "not found") for one in self.libraries]),
                "", *([f"to do: {line}" for line in self.advice] or ["nothing to do"]),
            ]
        )  # fmt: skip

    def data(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "python": self.python,
            "platform": self.platform,
            "processor": _fields(self.processor) | {"flags": list(self.processor.flags)},
            "memory_bytes": self.memory_bytes,
            "gpus": [_fields(gpu) for gpu in self.gpus],
            "versions": dict(self.versions),
            "providers": [_fields(one) for one in self.providers],
            "libraries": [_fields(one) for one in self.libraries],
            "advice": list(self.advice),
        }


def examine(asking: Ask = ask) -> Doctor:
    """Look at everything. Takes a second or two; raises nothing for what is missing.

    `asking` puts a question to a child process (see trial.py).
    """
    versions = {name: engine.version(name) for name in DISTRIBUTIONS}
    major = engine.cuda_major(cuda.DEFAULT_MAJOR)
    with ThreadPoolExecutor() as pool:
        libraries = pool.submit(_libraries, asking, major)
        cards = pool.submit(gpus)
        states = _providers(asking, pool.map)
    found = Doctor(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=processor(),
        memory_bytes=memory_bytes(),
        gpus=cards.result(),
        versions=tuple(versions.items()),
        providers=states,
        libraries=libraries.result(),
        advice=(),
    )
    return replace(found, advice=tuple(_advice(found)))


def _providers(asking: Ask, spread: Callable[..., Any]) -> tuple[ProviderState, ...]:
    if not engine.location():
        missing = ProviderState("cpu", False, "onnxruntime is not installed", engine.INSTALL)
        return missing, ProviderState("cuda", False, missing.cause, missing.mend)
    answers = list(spread(lambda name: (name, asking("provider", name)), NAMES))
    offered = {name for _, answer in answers for name in answer.get("offered", ())}
    return tuple(_judged(name, answer) for name, answer in answers if name in offered or name in ("cpu", "cuda"))


def _judged(name: str, answer: dict[str, Any]) -> ProviderState:
    return ProviderState(name, answer.get("loads") is True, answer.get("cause", ""), answer.get("mend", ""))


def _libraries(asking: Ask, major: int) -> tuple[cuda.Library, ...]:
    answer = asking("libraries", str(major))
    return tuple(cuda.Library(name, str(answer.get(name, ""))) for name in cuda.sonames(major))


def _advice(found: Doctor) -> list[str]:
    versions = dict(found.versions)
    lines = []
    cpu_wheel, gpu_wheel = versions[engine.CPU_WHEEL], versions[engine.GPU_WHEEL]
    if not engine.location():
        lines.append(f"nothing can be run, all else works: {engine.INSTALL}")
    elif cpu_wheel and gpu_wheel:
        lines.append(engine.CONFLICT)
    elif cpu_wheel and found.gpus:
        lines.append("a GPU is here, but not used: pip uninstall -y onnxruntime, then pip install 'convc[gpu]'")
    for one in found.providers:
        # Without a GPU nobody misses CUDA; TensorRT is missed by those who install it.
        wanted = one.name in ("cpu", "openvino") or (one.name == "cuda" and bool(gpu_wheel and found.gpus))
        if not one.loads and wanted and one.mend and one.mend not in " ".join(lines):
            lines.append(f"{one.name}: {one.mend}")
    if any(one.name == "cuda" and one.loads for one in found.providers) and not _has(found, cuda.CUDNN):
        lines.append(f"{cuda.CUDNN} is not found, and convolutions need it: pip install 'onnxruntime-gpu[cudnn]'")
    if not versions["torch"]:
        lines.append("torch is missing: the proof, verify, .pth checkpoints, --via torch need it: pip install torch")
    return lines + _outdated(versions)


def _has(found: Doctor, library: str) -> bool:
    return any(one.name == library and one.found for one in found.libraries)


def _outdated(versions: dict[str, str]) -> list[str]:
    floors = ((engine.CPU_WHEEL, _SAFE_ENGINE), (engine.GPU_WHEEL, _SAFE_ENGINE), ("onnx", _SAFE_ONNX))
    return [
        f"{name} {versions[name]} reads files outside a model's folder: install {'.'.join(map(str, floor))} or newer"
        for name, floor in floors
        if versions[name] and _release(versions[name]) < floor
    ]


def _release(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def _state(one: ProviderState) -> str:
    if one.loads:
        return "loads"
    return f"no: {one.cause}{f'; to mend it: {one.mend}' if one.mend else ''}"


def _processor(one: Processor) -> str:
    cores = f"{one.cores} cores, " if one.cores else ""
    return f"{one.model}, {cores}{one.usable} of {one.logical} threads usable; {' '.join(one.flags) or 'flags unknown'}"


def _gpu(one: Gpu) -> str:
    return f"{one.name}, {one.memory_mib} MiB, driver {one.driver}, compute capability {one.compute}"


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in rows]


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
