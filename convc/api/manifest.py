"""`manifest.json` and the model's own metadata: what was built from what, and how it was proven. No time, user or path."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..compiler.cost import costs
from ..compiler.frontend.network import Network
from ..compiler.frontend.preprocess import read_labels
from ..compiler.passes import ALLOWED
from ..version import __version__
from .net import sizes_for

if TYPE_CHECKING:
    from ..compiler.compile import Compiled
    from ..compiler.ir import Model
    from ..compiler.passes import PassRecord
    from ..compiler.tuning import Tuning
    from .builder import BuildOptions
    from .releases import Loads
    from .verify import Verification
    from .weights import Numbers

SCHEMA_VERSION = 1
RANDOM = "random weights: not for deployment"


def metadata_of(network: Network, numbers: Numbers, resolved: str) -> dict[str, str]:
    """What travels inside the model: version, spec hash, weights, preprocessing and class names."""
    found = {
        "convc.version": __version__,
        "convc.spec": network.graph.name,
        "convc.spec_sha256": _sha(resolved),
        "convc.weights": f"sha256:{numbers.sha256}" if numbers.sha256 else RANDOM,
    }
    if numbers.preprocess:
        found["convc.preprocess"] = json.dumps(numbers.preprocess, sort_keys=True)
    if labels := read_labels(network.labels, network.file.path.parent):
        found["convc.labels"] = json.dumps(list(labels), ensure_ascii=False)
    return found


def manifest_of(
    network: Network,
    numbers: Numbers,
    compiled: Compiled,
    verification: Verification,
    loads: Loads,
    options: BuildOptions,
    files: Mapping[str, str],
    resolved: str,
    tuning: Tuning | None = None,
) -> dict[str, Any]:
    """The manifest as data; keys are stable, units are in the names."""
    return {
        "schema_version": SCHEMA_VERSION,
        "convc": __version__,
        "versions": library_versions(),
        "name": network.graph.name,
        "spec": {
            "file": network.spec.source.label,
            "name": network.spec.name,
            "variant": network.variant,
            "params": _plain(network.params),
            "sha256": _sha(resolved),
        },
        "inputs": {name: str(type_) for name, type_ in network.graph.inputs.items()},
        "outputs": {name: str(network.graph.type_of(node)) for name, node in network.graph.outputs.items()},
        "weights": numbers.described(),
        "options": {
            "opset": loads.opset,
            "ir_version": loads.ir_version,
            "level": options.level,
            "enable": list(options.enable),
            "disable": list(options.disable),
            "target": options.target,
            "cost_model": options.cost_model,
            "via": options.via,
            "seed": options.seed,
        },
        "tuning": None if tuning is None else {"sha256": tuning.sha256, "decisions": dict(tuning.decisions)},
        "counted_at": sizes_for(network),
        "source": counts(network, compiled.source),
        "deployed": counts(network, compiled.model),
        "passes": [_record(record) for record in compiled.records],
        "proof": {
            "allowed": ALLOWED,
            "whole_network_error": _power(compiled.whole_error),
            **({} if compiled.rounding is None else {"rounding": _power(compiled.rounding)}),
        },
        "verification": verification.data(),
        "files": dict(files),
    }


def manifest_text(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()


def counts(network: Network, model: Model) -> dict[str, Any]:
    """Nodes, in all and by operator; learnable values (train_only included); MACs and bytes moved of the inference path."""
    found = costs(model, sizes_for(network))
    return {
        "nodes": len(model.graph),
        "params": found.params,
        "macs": found.macs,
        "attention_macs": found.attention_macs,
        "bytes": found.bytes,
        "operators": dict(sorted(Counter(node.op.name for node in model.graph).items())),
    }


def library_versions() -> dict[str, str]:
    """Versions of the libraries that took part, as installed; none is imported for it."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("numpy", "onnx", "onnx-ir", "torch", "onnxruntime", "onnxruntime-gpu"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _record(record: PassRecord) -> dict[str, Any]:
    """A record whose error is rounded up to a power of ten: its last bits hang on the machine's state."""
    data = record.data()
    return {**data, "max_error": _power(data["max_error"])}


def _power(error: float | None) -> float | None:
    return float(f"1e{math.ceil(math.log10(error))}") if error else error


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
