"""`load`: a spec read and elaborated. Cheap on purpose: nothing here imports torch, onnx or onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.errors import UsageError
from ..compiler.frontend.library import open_spec
from ..compiler.frontend.network import Network, Options, elaborate

if TYPE_CHECKING:
    import torch

    from ..compiler.cost import Costs
    from ..compiler.ir import Model
    from .builder import Build, BuildOptions

Size = int | str | Sequence[int]


def load(
    spec: str | Path,
    *,
    batch: int | str | None = None,
    size: Size | None = None,
    root: Path | None = None,
    **params: Any,
) -> Net:
    """The network of a spec: `resnet50`, `my.yaml` or `my.yaml@variant`; `params` set its parameters.

    batch  a number, or "dynamic" (the default where the spec says N)
    size   224, "192x256", (192, 256) or "dynamic": overrides the input's spatial axes
    Raises SpecError (with every independent problem found) and UsageError.
    """
    file, variant = open_spec(spec, root)
    options = Options(params, read_batch(batch), read_size(size))
    return Net(elaborate(file, variant, options))


@dataclass(frozen=True)
class Net:
    """A network: its graph and the types of its parameters; numbers come with a checkpoint or a seed."""

    network: Network

    @property
    def name(self) -> str:
        return self.network.graph.name

    @cached_property
    def shapes(self) -> Model:
        """The model with parameters that nobody has filled yet: types and counts are all it is asked for."""
        from ..compiler.frontend.build import to_model

        return to_model(self.network)

    def costs(self, **sizes: int) -> Costs:
        """Parameters, MACs, bytes and receptive field of every node; `sizes` sets dynamic dimensions (default: see sizes_for)."""
        from ..compiler.cost import costs

        return costs(self.shapes, {**sizes_for(self.network), **sizes})

    def summary(self) -> str:
        """The network as a table: name, operator, output shape, parameters, MACs, receptive field."""
        from .tables import network_table

        return network_table(self)

    def model(self, weights: str | Path | None = None, *, family: str | None = None, seed: int = 0) -> Model:
        """The model with numbers: from a checkpoint, or filled from a seed. Raises WeightsError."""
        from .weights import load_model

        return load_model(self.network, None if weights is None else Path(weights), family, seed).model

    def to_torch(
        self,
        *,
        train: bool = False,
        weights: str | Path | None = None,
        family: str | None = None,
        seed: int = 0,
    ) -> torch.nn.Module:
        """A plain torch.nn.Module whose state_dict carries the spec's names."""
        from ..compiler.lower.to_torch import to_torch

        return to_torch(self.model(weights, family=family, seed=seed), train=train)

    def build(self, output: str | Path | None = None, *, options: BuildOptions | None = None, **given: Any) -> Build:
        """The deployable ONNX model; see `convc.build` for the options."""
        from .builder import BuildOptions, build_network

        return build_network(self.network, output, options or BuildOptions(**given))


def read_batch(batch: int | str | None) -> int | str | None:
    """A batch size or "dynamic"; raises UsageError."""
    if batch is None or batch == "dynamic":
        return batch
    text = str(batch)
    if not text.isdigit() or not 0 < int(text) < 2**20:
        raise UsageError(f"--batch is {batch!r}, expected a number above 0 or `dynamic`")
    return int(text)


def read_size(size: Size | None) -> Sequence[int] | str | None:
    """Spatial sizes, or "dynamic"; raises UsageError."""
    if size is None or size == "dynamic":
        return size
    parts = [size] if isinstance(size, int) else size.lower().split("x") if isinstance(size, str) else list(size)
    if not parts or not all(str(p).isdecimal() and 0 < int(p) < 2**20 for p in parts) or len(parts) > 3:
        raise UsageError(
            f"--size is {size!r}: one to three numbers from 1 to {2**20 - 1}",
            hint="e.g. --size 224, --size 192x256 or --size dynamic",
        )
    return [int(p) for p in parts]


def sizes_for(network: Network, spatial: int = 224) -> dict[str, int]:
    """A value for each dynamic dimension, to count at: batch 1, space 224 or the crop the spec was made for."""
    crop = network.preprocess.get("crop")
    wanted = int(crop) if isinstance(crop, int) else spatial
    found: dict[str, int] = {}
    for type_ in network.graph.inputs.values():
        for axis, dim in enumerate(type_.shape):
            for symbol in [] if isinstance(dim, int) else sorted(dim.symbols()):
                multiple = network.spec.symbols.get(symbol, {}).get("multiple", 1)
                value = 1 if axis == 0 else max(multiple, wanted // multiple * multiple)
                found.setdefault(symbol, value)
    return found


def as_params(pairs: Sequence[str]) -> Mapping[str, str]:
    """`key=value` pairs of --set; raises UsageError."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.isidentifier():
            raise UsageError(f"--set {pair!r} is no key=value", hint="e.g. --set width=0.5 --set classes=10")
        found[key] = value
    return found
