"""A session with its inputs and outputs bound: what is timed is the run, not the copying.

    Runner(session, feeds).run()        one inference, finished when it returns

Inputs lie on the device of the provider, outputs go to buffers that were allocated once. Without binding (`--no-io-binding`)
it is ONNX Runtime's plain `session.run`, copies and allocation included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ...compiler.errors import ModelError
from .. import engine
from ..faults import plainly
from ..session import Session
from ..signature import checked

# Where a provider keeps its values; the others work in the memory of the host.
_DEVICES = {"cuda": "cuda", "tensorrt": "cuda"}
_GRAPH, _NOT_RECORDED = "gpu_graph_id", "-1"
_NO_SYNC = "disable_synchronize_execution_providers"


class Runner:
    """Raises ModelError (feeds that do not fit, a model that fails), ProviderError (the device)."""

    def __init__(self, session: Session, feeds: Mapping[str, Any], io_binding: bool = True) -> None:
        self.session = session
        self.device = _DEVICES.get(session.provider.name, "cpu")
        self.feeds = checked(session.inputs, feeds)
        self.names = [one.name for one in session.outputs]
        self._binding: Any = None
        self.first_run_ms = 0.0
        with plainly(session.what, "run"):
            if io_binding:
                self._bind()
            else:
                self.first_run_ms = self.timed()

    @property
    def on_device(self) -> bool:
        """True where inputs and outputs lie in a device's own memory."""
        return self.device != "cpu" and self._binding is not None

    def _bind(self) -> None:
        """Inputs to the device; one run that lets ONNX Runtime allocate the outputs; then the same buffers for ever."""
        runtime = engine.load()
        self._inputs = {k: runtime.OrtValue.ortvalue_from_numpy(v, self.device, 0) for k, v in self.feeds.items()}
        first = self.session.handle.io_binding()
        for name, value in self._inputs.items():
            first.bind_ortvalue_input(name, value)
        for name in self.names:
            first.bind_output(name, self.device, 0)
        first.synchronize_inputs()
        # A graph that is recorded now would hold on to buffers that are not the final ones.
        options = runtime.RunOptions()
        if self.session.provider.options.get("enable_cuda_graph") == "1":
            options.add_run_config_entry(_GRAPH, _NOT_RECORDED)
        start = time.perf_counter()
        self.session.handle.run_with_iobinding(first, options)
        self.first_run_ms = (time.perf_counter() - start) * 1e3
        self._outputs = first.get_outputs()
        self._binding = self.session.handle.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in zip(self.names, self._outputs, strict=True):
            if not value.is_tensor():
                raise ModelError(
                    f"{self.session.what}: output {name!r} is not a tensor", hint="--no-io-binding times it"
                )
            self._binding.bind_ortvalue_output(name, value)

    def run(self) -> None:
        """One inference; the device has finished when it returns."""
        if self._binding is None:
            self.session.handle.run(self.names, self.feeds)
        else:
            self.session.handle.run_with_iobinding(self._binding)

    def timed(self) -> float:
        """Milliseconds of one inference."""
        start = time.perf_counter_ns()
        self.run()
        return (time.perf_counter_ns() - start) / 1e6

    def submit(self) -> Callable[[], None]:
        """A call that hands a run to the device without waiting; `finish` waits for all of them."""
        if not self.on_device:
            return self.run
        options = engine.load().RunOptions()
        options.add_run_config_entry(_NO_SYNC, "1")
        return lambda: self.session.handle.run_with_iobinding(self._binding, options)

    def finish(self) -> None:
        """Wait for the device."""
        if self._binding is not None:
            self._binding.synchronize_outputs()

    def copy_in(self) -> None:
        """The inputs once more from the host to the device."""
        for name, value in self._inputs.items():
            value.update_inplace(self.feeds[name])
        self._binding.synchronize_inputs()

    def copy_out(self) -> None:
        """The outputs from the device to the host."""
        for value in self._outputs:
            value.numpy()
