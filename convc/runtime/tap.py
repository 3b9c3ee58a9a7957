"""Make inner values of an ONNX model its outputs, so that they can be compared by name."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path

from ..compiler.errors import ModelError, ProviderError


def with_outputs(model: bytes | Path, names: Sequence[str]) -> bytes:
    """The model with `names` added to its outputs, in this order; names that are outputs already stay where they are.

    External data is neither read nor moved: run the result with `Session(..., folder=...)`. Raises ModelError where
    the bytes are no model or no node produces a name; ProviderError where onnx is not installed.
    """
    try:
        import onnx

        protobuf = importlib.import_module("google.protobuf.message")
    except ImportError as error:
        raise ProviderError("onnx is not installed: inner values cannot be read", hint="pip install onnx") from error
    try:
        proto = onnx.ModelProto.FromString(model if isinstance(model, bytes) else model.read_bytes())
    except (protobuf.DecodeError, OSError) as error:
        raise ModelError(f"not a readable ONNX model: {error}") from error
    produced = {name for node in proto.graph.node for name in node.output if name}
    present = {output.name for output in proto.graph.output}
    for name in dict.fromkeys(names):
        if name in present:
            continue
        if name not in produced:
            near = difflib.get_close_matches(name, sorted(produced), n=1)
            raise ModelError(f"no node produces {name!r}", hint=f"did you mean {near[0]!r}?" if near else "")
        # The type is left open: ONNX Runtime infers it.
        proto.graph.output.append(onnx.ValueInfoProto(name=name))
    try:
        return bytes(proto.SerializeToString(deterministic=True))
    except (protobuf.EncodeError, ValueError) as error:
        raise ModelError("the model with its weights is over 2 GiB: keep the weights in external data") from error
