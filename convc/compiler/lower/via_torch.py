"""Model -> OnnxModel through torch.onnx.export of the lowered module: the slow road, which must agree with the other.

The module that is traced files every node under `n<i>`, so that each exported node tells by its name scope which of
ours it belongs to, whatever the spec calls it. Afterwards it bears our names and metadata, and nothing of the machine.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ConvcError, UsageError
from ..ir import Model, Node
from ..ir.dims import Symbol, SymDim
from .clean import Cleaner
from .onnx_model import OnnxModel
from .reach import reachable
from .to_onnx import IR_VERSION, OPSET, PRODUCER, sealed
from .to_torch import tensor

if TYPE_CHECKING:
    import torch

# torch's exporter translates to 18 and later; below, its version converter would have to be trusted.
_LEAST_OPSET = 18

_BATCH = 2
_SIZE = 64
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def export_through_torch(
    model: Model,
    *,
    opset: int = OPSET,
    ir_version: int = IR_VERSION,
    metadata: Mapping[str, str] | None = None,
    producer_version: str = "",
    doc: str = "",
) -> OnnxModel:
    """The deployed model as `to_onnx` gives it, but translated by PyTorch; the weights are evaluated at once.

    Raises UsageError with PyTorch's own reason, and our node where it can be told, if it cannot export the network.
    """
    if opset < _LEAST_OPSET:
        hint = f"build with --opset {_LEAST_OPSET} or higher, or with --via direct"
        raise UsageError(f"torch.onnx.export writes opset {_LEAST_OPSET} and later, not {opset}", hint=hint)
    nodes = list(reachable(model.graph, model.graph.outputs.values()).values())
    names = _flat_names(nodes)
    with _quiet():
        exported = _exported(model, nodes, names, opset)
    exported.ir_version = ir_version
    exported.producer_name, exported.producer_version = PRODUCER, producer_version or None
    exported.doc_string = doc or None
    exported.metadata_props.clear()
    exported.metadata_props.update(sorted((metadata or {}).items()))
    weights = Cleaner(model, nodes, names).clean(exported.graph)
    exported.graph.opset_imports.clear()
    exported.graph.opset_imports[""] = opset
    return sealed(exported, weights, opset)


def _flat_names(nodes: list[Node]) -> dict[str, str]:
    names: dict[str, str] = {}
    for position, node in enumerate(nodes):
        names[node.name] = f"n{position}"
    for node in nodes:
        for role, param in node.params.items():
            names.setdefault(param, f"{names[node.name]}.{role}")
    return names


def _exported(model: Model, nodes: list[Node], names: Mapping[str, str], opset: int) -> Any:
    import torch

    from .torch_module import Network

    graph = model.graph
    network = Network(tuple(graph.inputs), nodes, graph.outputs, {}, names).eval()
    kept = dict.fromkeys(param for node in nodes for param in node.params.values())
    network.fill({name: tensor(model.params[name], "float32") for name in kept}, model.trained)
    network.requires_grad_(False)
    examples, dynamic = _examples(model)
    traced: torch.export.ExportedProgram | None = None
    try:
        # What the sizes must fulfil was proven by our shape rules; as guards it would be beyond torch's solver more often.
        traced = torch.export.export(
            network, examples, dynamic_shapes=(dynamic,), strict=False, prefer_deferred_runtime_asserts_over_guards=True
        )
        program = torch.onnx.export(
            traced,
            (),
            dynamo=True,
            opset_version=opset,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            optimize=True,
            verbose=False,
        )
    except ConvcError:
        raise
    except Exception as error:  # torch's export raises whatever its tracing met
        reason = _reason(error)
        where = _guilty(reason, traced, {flat: name for name, flat in names.items()})
        hint = "build with --via direct, which does not need torch.onnx.export"
        raise UsageError(f"torch.onnx.export cannot export {graph.name!r}{where}: {reason}", hint=hint) from error
    assert program is not None
    return program.model


def _examples(model: Model) -> tuple[tuple[torch.Tensor, ...], tuple[dict[int, Any], ...]]:
    """Example inputs at sizes that fit the network, and what is dynamic in them."""
    import torch

    sizes = _sizes(model)
    inputs = model.graph.inputs.values()
    examples = tuple(torch.zeros(t.at(sizes), dtype=getattr(torch, t.dtype.value)) for t in inputs)
    dims: dict[str, Any] = {}
    dynamic = tuple(
        {axis: _dimension(dim, sizes, dims) for axis, dim in enumerate(t.shape) if isinstance(dim, SymDim)}
        for t in inputs
    )
    return examples, dynamic


def _dimension(dim: SymDim, sizes: Mapping[str, int], known: dict[str, Any]) -> Any:
    import torch

    symbol = _symbol(dim)
    if symbol is None:
        return torch.export.Dim.DYNAMIC
    if symbol.name not in known:
        # torch wants every guard to hold over the whole range, "this size is not 1" among them; the file has no range.
        size = sizes[symbol.name] // symbol.multiple
        known[symbol.name] = torch.export.Dim(symbol.name, min=1 if size == _BATCH else size)
    base = known[symbol.name]
    return base * symbol.multiple if symbol.multiple > 1 else base


def _symbol(dim: SymDim) -> Symbol | None:
    """The symbol, where the dimension is one and nothing more."""
    if len(dim.terms) != 1:
        return None
    (atoms, factor), *_ = dim.terms
    return atoms[0] if factor == 1 and len(atoms) == 1 and isinstance(atoms[0], Symbol) else None


def _sizes(model: Model) -> dict[str, int]:
    """A value for every symbol at which no shape is empty: 2 for the batch, 64 and up for the others, all different."""
    inputs = model.graph.inputs.values()
    batch = {str(t.shape[0]) for t in inputs if t.shape and isinstance(t.shape[0], SymDim)}
    symbols = {s.name: s for t in inputs for d in t.shape if isinstance(d, SymDim) and (s := _symbol(d))}
    for scale in (1, 2, 4, 8, 16):
        sizes: dict[str, int] = {}
        for place, name in enumerate(model.graph.symbols):
            symbol = symbols.get(name, Symbol(name))
            least = max(_BATCH if name in batch else _SIZE * scale, symbol.minimum)
            sizes[name] = (-(-least // symbol.multiple) + (0 if name in batch else place)) * symbol.multiple
        if all(min(node.type.at(sizes), default=1) > 0 for node in model.graph):
            return sizes
    raise UsageError(f"no size up to {_SIZE * 16} fits {model.graph.name!r}", hint="give a fixed --size")


def _reason(error: BaseException) -> str:
    """The innermost cause in one line, without colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _guilty(reason: str, traced: Any, ours: Mapping[str, str]) -> str:
    """` at 'stem.conv'`, where torch's message names a traced node whose module is known."""
    if traced is None:
        return ""
    for node in traced.graph.nodes:
        stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        if stack and re.search(rf"%?\b{re.escape(node.name)}\b", reason) and stack[-1] in ours:
            return f" at {ours[stack[-1]]!r}"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """torch warns about its own internals and logs what is not installed, or a traceback of what it then reports; none of it
    is the user's concern."""
    import torch.onnx  # sets levels of its own when it is first imported

    names = (f"{torch.onnx.__name__}._internal.exporter", "torch.fx.experimental.symbolic_shapes")
    levels = {log: log.level for log in map(logging.getLogger, names)}
    for log in levels:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in levels.items():
            log.setLevel(level)
