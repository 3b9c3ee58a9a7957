"""Where a model runs: a word of ours becomes an ONNX Runtime provider with its options, or an error with its cause.

    cpu | cuda | tensorrt | openvino   ->   Provider

ONNX Runtime falls back in silence: asked for CUDA where CUDA cannot load, it prints a line and runs on the CPU. So a
provider is tried on a one-node model before any real one, and believed only if the session says it has it:

    resolve("cuda")     CUDA, or ProviderError with the missing library
    resolve(None)       CUDA where it loads, else the CPU; `Provider.why` says which and why
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..compiler.errors import ProviderError, UsageError
from . import cuda, engine
from .capture import captured

NAMES: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}

# A serialised model `y = Relu(x)`, float32 of one element, opset 13, IR 8: the smallest thing a provider can run.
PROBE_MODEL = (
    b'\x08\x08:6\n\x0f\n\x01x\x12\x01y\x1a\x01r"\x04Relu\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)

_CUDA_LIBRARIES = "pip install 'onnxruntime-gpu[cuda,cudnn]' brings CUDA 13 and cuDNN 9"
_MISSING = re.compile(r"error: (lib[\w.+-]+): cannot open shared object file")
_FAILURE = re.compile(r"CUDA failure \d+: ([^;\n]+)")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_LOG_PREFIX = re.compile(r"^[\d:. -]+\[\w:onnxruntime:[^\]]*\] ?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that loads here, with the options a session gets.

    `why` says how it came to be chosen where nobody asked for it; `notes` are for the reader of a report.
    """

    name: str
    engine: str
    options: Mapping[str, str] = field(default_factory=dict)
    asked: bool = False
    why: str = ""
    notes: tuple[str, ...] = ()

    def chain(self) -> list[tuple[str, dict[str, str]]]:
        """The list for InferenceSession. The CPU stands behind for nodes without a kernel; placement is reported."""
        first = [(self.engine, dict(self.options))]
        return first if self.name == "cpu" else [*first, (NAMES["cpu"], {})]


# Our words for cuDNN's ways to choose an algorithm, and ONNX Runtime's.
SEARCHES: Mapping[str, str] = {"exhaustive": "EXHAUSTIVE", "heuristic": "HEURISTIC", "default": "DEFAULT"}


@dataclass(frozen=True, slots=True)
class Tuning:
    """Options of the GPU providers, by the names of the command line; the CPU has none of them.

    search             how cuDNN chooses algorithms; empty: exhaustive for fixed sizes, heuristic for varying ones
    tf32               products of float32 in TF32, which has ten bits of mantissa (CUDA)
    nhwc               channels last inside (CUDA): what tensor cores want for float16
    cuda_graph         the launches are recorded once and replayed; all nodes must run on the GPU
    memory_limit_mib   of ONNX Runtime's arena; 0: none. cuDNN's workspace comes on top
    """

    search: str = ""
    tf32: bool = True
    nhwc: bool = False
    cuda_graph: bool = False
    memory_limit_mib: int = 0

    def __post_init__(self) -> None:
        if self.search and self.search not in SEARCHES:
            raise UsageError(f"--cudnn-search is {self.search!r}", hint=f"one of {', '.join(SEARCHES)}")
        if self.memory_limit_mib < 0:
            raise UsageError(f"--gpu-memory is {self.memory_limit_mib} MiB: it must be 0 (no limit) or more")


DEFAULTS = Tuning()


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of one attempt to load a provider: `cause` and `mend` are empty where it loads."""

    name: str
    loads: bool
    cause: str = ""
    mend: str = ""


def resolve(
    asked: str | None = None, *, exact: bool = False, many_shapes: bool = False, tuning: Tuning = DEFAULTS
) -> Provider:
    """The provider for a session.

    exact        full float32 (TF32 off): for comparing numbers, not for timing
    many_shapes  input sizes will vary: CUDA then picks convolution algorithms by rule instead of by search
    tuning       options of the GPU providers

    Raises UsageError for an unknown name, ProviderError where the provider asked for does not load, or onnxruntime
    is not there.
    """
    if asked is not None and asked not in NAMES:
        raise UsageError(f"unknown provider {asked!r}", hint=f"one of {', '.join(NAMES)}")
    name, why = (asked, "") if asked is not None else _default()
    trial = attempt(name)
    if not trial.loads:
        raise ProviderError(f"provider {name} cannot be used: {trial.cause}", hint=trial.mend)
    chosen = options(name, exact=exact, many_shapes=many_shapes, tuning=tuning)
    return Provider(name, NAMES[name], chosen, asked is not None, why, _notes(name, exact or not tuning.tf32))


def options(name: str, *, exact: bool = False, many_shapes: bool = False, tuning: Tuning = DEFAULTS) -> dict[str, str]:
    """Provider options where ONNX Runtime's defaults are not what a convolution network wants, or must be pinned."""
    if name == "tensorrt":
        return {"trt_cuda_graph_enable": "1"} if tuning.cuda_graph else {}
    if name != "cuda":
        return {}
    found = {
        "use_tf32": "0" if exact or not tuning.tf32 else "1",
        "cudnn_conv_algo_search": SEARCHES[tuning.search or ("heuristic" if many_shapes else "exhaustive")],
        "cudnn_conv_use_max_workspace": "1",
        "do_copy_in_default_stream": "1",
    }
    if tuning.nhwc:
        found["prefer_nhwc"] = "1"
    if tuning.cuda_graph:
        found["enable_cuda_graph"] = "1"
    if tuning.memory_limit_mib:
        found |= {"gpu_mem_limit": str(tuning.memory_limit_mib << 20), "arena_extend_strategy": "kSameAsRequested"}
    return found


def available() -> tuple[str, ...]:
    """Our names of the providers compiled into the installed onnxruntime; whether they load is another question."""
    offered = engine.load().get_available_providers()
    return tuple(name for name, theirs in NAMES.items() if theirs in offered)


@functools.cache
def attempt(name: str) -> Trial:
    """Create a session with this provider alone in front, and see whether it got it. Remembered per process."""
    if name not in available():
        return Trial(name, False, *_not_offered(name))
    libraries = _preload(name)
    noise = _create(name)
    if noise is None:
        return Trial(name, True)
    return Trial(name, False, *_explain(name, noise, libraries))


def plain(log: str) -> str:
    """ONNX Runtime's log lines without colours, time stamps and severity marks."""
    return _LOG_PREFIX.sub("", _COLOUR.sub("", log)).strip()


def _default() -> tuple[str, str]:
    if "cuda" not in available():
        return "cpu", "this onnxruntime has no CUDA provider"
    trial = attempt("cuda")
    if not trial.loads:
        return "cpu", f"CUDA cannot be used: {trial.cause}"
    if not _has_cudnn():
        return "cpu", f"CUDA loads but {cuda.CUDNN} is not found, and convolutions need it"
    return "cuda", "CUDA loads here"


def _preload(name: str) -> tuple[cuda.Library, ...]:
    if name not in ("cuda", "tensorrt"):
        return ()
    with captured():
        return cuda.preload(engine.cuda_major(cuda.DEFAULT_MAJOR))


def _has_cudnn() -> bool:
    return any(library.name == cuda.CUDNN and library.found for library in _preload("cuda"))


def _create(name: str) -> str | None:
    """None where a session has the provider, else what was printed or raised."""
    runtime = engine.load()
    problem = ""
    loaded = False
    with captured() as noise:
        try:
            session: Any = runtime.InferenceSession(PROBE_MODEL, providers=[NAMES[name]], enable_fallback=0)
            loaded = session.get_providers()[0] == NAMES[name]
        # Whatever a driver throws here is the answer to the question, not a defect.
        except Exception as error:
            problem = str(error)
    return None if loaded else f"{plain(noise.text)}\n{plain(problem)}".strip()


def _explain(name: str, noise: str, libraries: tuple[cuda.Library, ...]) -> tuple[str, str]:
    """(cause, how to mend) out of the log of a failed attempt."""
    named = _MISSING.findall(noise)
    absent = [library.name for library in libraries if not library.found and library.name != cuda.DRIVER]
    driver = any(library.name == cuda.DRIVER and not library.found for library in libraries)
    if driver:
        also = f"; also missing: {', '.join(absent)}" if absent else ""
        mend = f"install the NVIDIA driver, or run with --provider cpu{f'; {_CUDA_LIBRARIES}' if absent else ''}"
        return f"{cuda.DRIVER} is not found: this machine has no NVIDIA driver{also}", mend
    if failure := _FAILURE.search(noise):
        return failure.group(1).strip(), "see nvidia-smi: driver, device and CUDA_VISIBLE_DEVICES"
    if named or absent:
        missing = ", ".join(dict.fromkeys([*named, *absent]))
        return f"not found: {missing}", _mend_library(name, missing)
    lines = [line for line in noise.splitlines() if line.strip()]
    return (lines[-1] if lines else "onnxruntime gave no reason"), "convc doctor says what loads here"


def _mend_library(name: str, missing: str) -> str:
    if "nvinfer" in missing or "nvonnxparser" in missing:
        return "install TensorRT 10, or run with --provider cuda"
    return _CUDA_LIBRARIES if name in ("cuda", "tensorrt") else "convc doctor says what loads here"


def _not_offered(name: str) -> tuple[str, str]:
    wheel = engine.GPU_WHEEL if engine.version(engine.GPU_WHEEL) else engine.CPU_WHEEL
    cause = f"the installed {wheel} {engine.load().__version__} offers only {', '.join(available())}"
    if engine.doubled():
        return cause, engine.CONFLICT
    if name == "cuda":
        return cause, "pip uninstall -y onnxruntime, then pip install 'convc[gpu]' (CUDA 13, cuDNN 9)"
    return cause, f"install an onnxruntime built with {name}, or run with --provider {available()[-1]}"


def _notes(name: str, exact: bool) -> tuple[str, ...]:
    if name == "cuda" and not _has_cudnn():
        return (f"{cuda.CUDNN} is not found: convolutions run without cuDNN, or not at all",)
    if name == "cuda":
        return ("TF32 off",) if exact else ("TF32 on",)
    if name == "tensorrt" and exact:
        return ("TF32 cannot be switched off with tensorrt: set NVIDIA_TF32_OVERRIDE=0",)
    return ()
