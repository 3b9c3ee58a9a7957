"""What this machine reaches at best through ONNX Runtime: the roof that layers are held against.

    GMAC/s   the fastest of three 3x3 convolutions (ResNet's shapes, 116 million multiply-accumulates an image) and a product
    GB/s     y = Relu(x) over sizes from caches to memory, bytes read plus bytes written

Each is the fastest of several runs, with the threads and the options of the measurement.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import prod
from typing import Any

from ..providers import Provider
from ..session import Session
from .record import Bandwidth, Peak
from .runner import Runner

# Per problem: at least this many runs, and at least this long.
_RUNS = 4
_SECONDS = 0.15


@dataclass(frozen=True)
class Scale:
    """Problem sizes: batch of the convolution, side of the product, megabytes moved."""

    batch: int
    side: int
    moves: tuple[int, ...]


_SHAPES = ((64, 56, 56), (128, 28, 28), (256, 14, 14))
_CPU = Scale(1, 512, (1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 27))
_DEVICE = Scale(256, 8192, (1 << 20, 1 << 23, 1 << 26, 1 << 29))


def peak(provider: Provider, threads: int, scale: Scale | None = None) -> Peak:
    """Measure; takes one to three seconds."""
    scale = scale or (_CPU if provider.name in ("cpu", "openvino") else _DEVICE)
    rates = dict(_convolution((scale.batch, *shape), provider, threads) for shape in _SHAPES)
    seconds = _best(_product(scale.side), {"x": (scale.side, scale.side)}, provider, threads)
    rates[f"{scale.side}x{scale.side} matrix product"] = scale.side**3 / seconds
    fastest = max(rates, key=lambda name: rates[name])
    moved = tuple(_move(size, provider, threads) for size in scale.moves)
    method = f"{fastest}; Relu over {moved[-1].bytes >> 20} MiB"
    return Peak(provider.name, threads, rates[fastest] / 1e9, moved[-1].gbytes_per_s, method, moved)


def _convolution(shape: tuple[int, ...], provider: Provider, threads: int) -> tuple[str, float]:
    seconds = _best(_conv(shape), {"x": shape}, provider, threads)
    return f"3x3 convolution of {'x'.join(map(str, shape))}", prod(shape) * shape[1] * 9 / seconds


def _move(size: int, provider: Provider, threads: int) -> Bandwidth:
    seconds = _best(_relu(), {"x": (size // 8,)}, provider, threads)
    return Bandwidth(size, size / seconds / 1e9)


def _best(model: bytes, shapes: dict[str, tuple[int, ...]], provider: Provider, threads: int) -> float:
    import numpy as np

    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    runner = Runner(Session(model, provider, threads=threads), feeds)
    best, count, start = float("inf"), 0, time.perf_counter()
    while count < _RUNS or time.perf_counter() - start < _SECONDS:
        best = min(best, runner.timed() / 1e3)
        count += 1
    return best


def _conv(shape: tuple[int, ...]) -> bytes:
    from onnx import helper

    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    return _model(node, shape, shape, (shape[1], shape[1], 3, 3))


def _product(side: int) -> bytes:
    from onnx import helper

    return _model(helper.make_node("MatMul", ["x", "w"], ["y"]), (side, side), (side, side), (side, side))


def _relu() -> bytes:
    from onnx import helper

    return _model(helper.make_node("Relu", ["x"], ["y"]), ("n",), ("n",))


def _model(node: Any, x: tuple[int | str, ...], y: tuple[int | str, ...], w: tuple[int, ...] = ()) -> bytes:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    weights = [numpy_helper.from_array(np.full(w, 0.01, np.float32), "w")] if w else []
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(s)) for name, s in (("x", x), ("y", y))]
    graph = helper.make_graph([node], "peak", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
