"""Model -> torch.nn.Module: what the model means, the reference of every check, and what people train.

The module's state_dict holds exactly our parameter names; every node is a submodule at its own path, so hooks and
`get_submodule("stem.conv")` work. A value is let go after its last reader has run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..ir import Model, Node, Param
from .reach import last_reads, reachable

if TYPE_CHECKING:
    import torch


def to_torch(model: Model, *, train: bool = False, dtype: str = "float32") -> torch.nn.Module:
    """A plain nn.Module with the model's parameters, rounded once to `dtype`; the caller may change them.

    It takes the graph's inputs in order, or by name, and returns the output, or a dictionary where there are several.
    The eval form (`train=False`) holds what the outputs need. The train form holds every node and parameter; while it
    is in training mode it also computes the train outputs and returns them in the dictionary, by their public names.
    """
    from .torch_module import Network

    graph = model.graph
    outputs = dict(graph.outputs)
    extra = dict(graph.train_outputs) if train else {}
    nodes = reachable(graph, [*outputs.values(), *extra.values()])
    kept = dict.fromkeys(name for node in nodes.values() for name in node.params.values())
    tensors = {name: tensor(model.params[name], dtype) for name in kept}
    network = Network(tuple(graph.inputs), list(nodes.values()), outputs, extra)
    network.fill(tensors, model.trained)
    return network.train(train)


def evaluate(
    nodes: Sequence[Node],
    inputs: Mapping[str, torch.Tensor],
    params: Mapping[str, Param],
    dtype: str,
    wanted: Iterable[str],
) -> dict[str, torch.Tensor]:
    """Run nodes (in order) on values for what they read, and return the wanted values, without building a module.

    `dtype` is the element type that parameters are brought to; inputs are taken as they are. A wanted name may be one
    of them.
    """
    import torch

    wanted = tuple(wanted)
    free = last_reads(nodes, wanted)
    values = dict(inputs)
    known: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for node, done in zip(nodes, free, strict=True):
            for name in node.params.values():
                if name not in known:
                    known[name] = tensor(params[name], dtype)
            held = {role: known[name] for role, name in node.params.items()}
            values[node.name] = node.op.torch(torch, *(values[name] for name in node.inputs), p=held)
            for name in done:
                del values[name]
    return {name: values[name] for name in wanted}


def tensor(param: Param, dtype: str) -> torch.Tensor:
    """A tensor of its own: stored arrays are never handed out, as whoever trains writes to what they get."""
    import torch

    values = np.asarray(param.evaluate(), np.dtype(dtype))
    if param.stored() or not (values.flags.writeable and values.flags.c_contiguous):
        values = np.array(values, order="C")
    return torch.from_numpy(values)
