"""One operator as a whole model: run in PyTorch and in ONNX Runtime, at any sizes of its dynamic dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from convc.compiler.ir import Dim, DType, Graph, Model, Node, Op, Seeded, SymDim, TensorType
from convc.compiler.lower.to_onnx import check, to_onnx
from convc.compiler.lower.to_torch import evaluate
from convc.compiler.lower.writer import serialize
from convc.compiler.ops import OPS
from convc.compiler.probe.float64 import run
from convc.compiler.probe.sizes import Side

Array = NDArray[Any]
ShapeText = Sequence[Dim | str]

N, H, W = (SymDim.symbol(name) for name in "NHW")


def typed(shape: ShapeText, symbols: Mapping[str, SymDim] = MappingProxyType({})) -> TensorType:
    """`("N", 3, "H", "W")` as a type."""
    known = {"N": N, "H": H, "W": W, **symbols}
    return TensorType(tuple(known[dim] if isinstance(dim, str) else dim for dim in shape))


def make(name: str, **arguments: Any) -> Op:
    """The operator called `name`, not yet bound."""
    build: Any = OPS[name]
    op: Op = build(**arguments)
    return op


@dataclass(frozen=True)
class Single:
    """A model with one node, `y`."""

    op: Op
    types: tuple[TensorType, ...]

    @cached_property
    def bound(self) -> Op:
        return self.op.bind(*self.types)

    @cached_property
    def type(self) -> TensorType:
        return self.bound.infer(*self.types)

    @cached_property
    def model(self) -> Model:
        wanted = self.bound.params(*self.types)
        names = {role: f"y.{role}" for role in wanted}
        params = {names[role]: Seeded(kind.shape, kind.init, names[role]) for role, kind in wanted.items()}
        inputs = {f"x{i}": kind for i, kind in enumerate(self.types)}
        node = Node("y", self.bound, tuple(inputs), self.type, MappingProxyType(names))
        trained = frozenset(names[role] for role, kind in wanted.items() if kind.trained)
        model = Model(Graph("net", inputs, {"y": node}, {"out": "y"}), params, trained)
        model.check()
        return model

    def session(self, opset: int = 20) -> onnxruntime.InferenceSession:
        lowered = to_onnx(self.model, opset=opset)
        check(lowered)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(serialize(lowered), options, providers=["CPUExecutionProvider"])

    def inputs(self, sizes: Mapping[str, int], seed: int = 0, positive: bool = False) -> list[Array]:
        rng = np.random.default_rng(seed)
        arrays = [_filled(kind, kind.at(sizes), rng) for kind in self.types]
        return [abs(array) + np.float32(0.1) for array in arrays] if positive else arrays

    def torch(self, arrays: Sequence[Array], dtype: str = "float32") -> Array:
        graph = self.model.graph
        values = {
            f"x{i}": torch.from_numpy(array if array.dtype.kind == "i" else array.astype(dtype))
            for i, array in enumerate(arrays)
        }
        result = evaluate(list(graph), values, self.model.params, dtype, ["y"])["y"]
        return np.asarray(result)

    def proven(self, arrays: Sequence[Array]) -> Array:
        """In float64 as the proof runs it, which does some operators otherwise than PyTorch."""
        values = {
            f"x{i}": torch.from_numpy(array if array.dtype.kind == "i" else array.astype(np.float64))
            for i, array in enumerate(arrays)
        }
        return np.asarray(run(Side(list(self.model.graph), self.model.params), values, ["y"], None)["y"])

    def ort(self, session: onnxruntime.InferenceSession, arrays: Sequence[Array]) -> Array:
        return np.asarray(session.run(None, {f"x{i}": array for i, array in enumerate(arrays)})[0])


def assert_close(actual: Array, expected: Array, bound: float = 1e-5) -> None:
    """Equal shapes, and values within `bound` of the largest expected one."""
    assert actual.shape == expected.shape
    scale = max(float(abs(expected).max(initial=0.0)), 1e-6)
    worst = float(abs(actual.astype(np.float64) - expected).max(initial=0.0))
    assert worst <= bound * scale, f"off by {worst:.3g}, where values reach {scale:.3g}"


def symbolic(shape: Sequence[Dim]) -> bool:
    return any(not isinstance(dim, int) for dim in shape)


def _filled(kind: TensorType, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Numbers around 0; whole ones are places, each named once."""
    if kind.dtype is DType.int64:
        return rng.permutation(math.prod(shape)).reshape(shape)
    return rng.standard_normal(shape).astype(np.float32)
