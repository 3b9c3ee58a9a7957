"""A model loaded for running, on the provider that was meant.

    Session("out/model.onnx").run({"input": x}) -> {"output": y}

Loading checks that ONNX Runtime kept the provider (it leaves silently); running checks every feed first. Foreign
models are untrusted: ONNX Runtime itself refuses external data outside the model's folder, and no custom operators
are ever registered.
"""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.errors import ModelError, ProviderError, UsageError
from . import engine
from .capture import Noise, captured
from .faults import plainly
from .providers import Provider, plain, resolve
from .signature import Arrays, Value, checked, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Names of ONNX Runtime's own optimisation levels.
LEVELS: Mapping[str, str] = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}

_FATAL_ONLY = 4


class Session:
    """One loaded model.

    model     a path, or the serialised bytes
    provider  from `resolve`, a provider's name, or None: the best one that loads
    threads   of the CPU kernels; 0 leaves the number to ONNX Runtime
    level     off | basic | extended | all: ONNX Runtime's own graph optimisation
    folder    where the external data of a model given as bytes lies
    spinning  idle threads of the CPU kernels wait actively: faster run after run, and in everyone's way where few are run
    yielding  they stop waiting as a run ends: for sessions that are run in turn
    trace     prefix of the file that ONNX Runtime's profiler writes; empty: no profile is taken
    what      what messages call the model; empty: its path
    optimised where ONNX Runtime saves the graph it made of the model; empty: nowhere

    Raises ModelError (the file), ProviderError (the device, or onnxruntime is missing), UsageError (the arguments).
    """

    def __init__(
        self,
        model: str | Path | bytes,
        provider: Provider | str | None = None,
        *,
        threads: int = 0,
        level: str = "all",
        folder: str | Path | None = None,
        spinning: bool = True,
        yielding: bool = False,
        trace: str | Path = "",
        optimised: str | Path = "",
        what: str = "",
    ) -> None:
        if level not in LEVELS:
            raise UsageError(f"unknown optimisation level {level!r}", hint=f"one of {', '.join(LEVELS)}")
        if threads < 0:
            raise UsageError(f"threads is {threads}: it must be 0 (automatic) or more")
        self.what = what or ("the model" if isinstance(model, bytes) else str(model))
        check_source(model, self.what)
        self.provider = provider if isinstance(provider, Provider) else resolve(provider)
        self.threads = threads
        self.level = level
        self.folder = folder if isinstance(model, bytes) else Path(model).parent
        settings = _settings(threads, level, folder, spinning)
        if yielding:
            settings.add_session_config_entry("session.force_spinning_stop", "1")
        _observe(settings, trace, optimised)
        self._session = _create(model, self.what, self.provider, settings)
        self.inputs: tuple[Value, ...] = tuple(value(one) for one in self._session.get_inputs())
        self.outputs: tuple[Value, ...] = tuple(value(one) for one in self._session.get_outputs())

    @property
    def handle(self) -> Any:
        """ONNX Runtime's own session, for what is not wrapped here: bindings, profiles."""
        return self._session

    @property
    def metadata(self) -> dict[str, str]:
        """The model's `metadata_props`."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def placement(self) -> dict[str, int]:
        """How many nodes (before fusion) each provider took; empty where onnxruntime is too old to say."""
        ask = getattr(self._session, "get_provider_graph_assignment_info", None)
        if ask is None:
            return {}
        count: Counter[str] = Counter()
        for part in ask():
            count[part.ep_name] += len(part.get_nodes())
        return dict(sorted(count.items()))

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """One inference: arrays by input name in, arrays by output name out (all of them, or those named).

        Raises ModelError: feeds that do not fit, an unknown output, a model that fails; ProviderError: the device.
        """
        names = [one.name for one in self.outputs] if outputs is None else list(outputs)
        self._check_outputs(names)
        ready = checked(self.inputs, feeds)
        with plainly(self.what, "run"):
            results = self._session.run(names, ready)
        for name, result in zip(names, results, strict=True):
            if not hasattr(result, "dtype"):
                raise ModelError(f"{self.what}: output {name!r} is a {type(result).__name__}, not a tensor")
        return dict(zip(names, results, strict=True))

    def _check_outputs(self, names: Sequence[str]) -> None:
        known = [one.name for one in self.outputs]
        if unknown := [name for name in names if name not in known]:
            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it gives {', '.join(known)}"
            raise ModelError(f"{self.what} has no output {unknown[0]!r}", hint=hint)


def check_source(model: str | Path | bytes, what: str) -> None:
    if isinstance(model, bytes):
        if not model:
            raise ModelError("the model is empty: 0 bytes")
        return
    try:
        path = Path(model)
        if path.is_dir():
            raise ModelError(f"{what}: is a folder", hint="name the .onnx file in it")
        if not path.exists():
            raise ModelError(f"{what}: no such file")
        if not path.is_file():
            raise ModelError(f"{what}: is a pipe or a device", hint="copy it into a file")
        with path.open("rb") as stream:
            if not stream.read(1):
                raise ModelError(f"{what}: the file is empty")
    except (OSError, ValueError) as error:
        raise ModelError(f"{what}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _settings(threads: int, level: str, folder: str | Path | None, spinning: bool) -> Any:
    runtime = engine.load()
    settings = runtime.SessionOptions()
    settings.log_severity_level = _FATAL_ONLY
    settings.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, LEVELS[level])
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if not spinning:
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if folder is not None:
        settings.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return settings


def _observe(settings: Any, trace: str | Path, optimised: str | Path) -> None:
    if trace:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(trace)
    if optimised:
        settings.optimized_model_filepath = str(optimised)
        # The weights go into a file beside it: one message may not pass 2 GiB, and nobody reads them.
        settings.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", f"{Path(optimised).name}.data"
        )
        settings.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")


def _create(model: str | Path | bytes, what: str, provider: Provider, settings: Any) -> Any:
    runtime = engine.load()
    source = model if isinstance(model, bytes) else str(model)
    # Only a device's libraries print past the log level; a progress bar beside the CPU is left in peace.
    quiet = contextlib.nullcontext(Noise()) if provider.name == "cpu" else captured()
    with quiet as noise, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with plainly(what, "load"):
            session = runtime.InferenceSession(
                source, sess_options=settings, providers=provider.chain(), enable_fallback=0
            )
    if session.get_providers()[0] != provider.engine:
        raise ProviderError(
            f"{what}: onnxruntime left {provider.name} for {session.get_providers()[0]}",
            hint=plain(noise.text) or "convc doctor says what loads here",
        )
    return session
