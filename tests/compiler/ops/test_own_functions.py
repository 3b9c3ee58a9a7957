"""Every operator against PyTorch's own function or plain numpy, called here and not by convc; both lowerings are held to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convc.compiler.ir import DType, TensorType
from convc.compiler.ir.param import Stored
from convc.compiler.ops import OPS
from tests.compiler.ops.single import Array, Single, assert_close, make

P = Mapping[str, Tensor]
IMAGE = (2, 6, 9, 8)


class Own(NamedTuple):
    """An operator, its inputs' shapes, and the function that it must be."""

    name: str
    expected: Callable[..., Tensor]
    shapes: tuple[tuple[int, ...], ...] = (IMAGE,)
    arguments: Mapping[str, Any] = {}
    positive: bool = False
    whole: bool = False


def own(name: str, expected: Callable[..., Tensor], *shapes: tuple[int, ...], **rest: Any) -> Own:
    flags = {key: rest.pop(key) for key in ("positive", "whole") if key in rest}
    return Own(name, expected, shapes or (IMAGE,), rest, **flags)


def edges(x: Tensor) -> Tensor:
    """Both Sobel kernels on each channel, as differences of neighbours."""
    p = F.pad(x, (1, 1, 1, 1))
    right = p[..., 2:] - p[..., :-2]
    down = p[..., 2:, :] - p[..., :-2, :]
    across = right[..., :-2, :] + 2 * right[..., 1:-1, :] + right[..., 2:, :]
    along = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.stack([across, along], 2).flatten(1, 2)


def laplace(x: Tensor) -> Tensor:
    p = F.pad(x, (1, 1, 1, 1))
    near = p[..., 1:-1, 2:] + p[..., 1:-1, :-2] + p[..., 2:, 1:-1] + p[..., :-2, 1:-1]
    return near - 4 * x


def warped(x: Tensor, d: Tensor) -> Tensor:
    """grid_sample for each group, in units of half the image."""
    n, c, h, w = x.shape
    groups = d.shape[1] // 2
    d = d.reshape(n * groups, 2, h, w)
    rows = torch.arange(h, dtype=x.dtype)[:, None] + d[:, 0]
    columns = torch.arange(w, dtype=x.dtype) + d[:, 1]
    grid = torch.stack([2 * columns / (w - 1) - 1, 2 * rows / (h - 1) - 1], -1)
    return F.grid_sample(x.reshape(n * groups, -1, h, w), grid, align_corners=True).reshape(n, c, h, w)


def norm(x: Tensor, p: P, **settings: Any) -> Tensor:
    return F.batch_norm(x, p["running_mean"], p["running_var"], p["weight"], p["bias"], **settings)


def orientation_norm(x: Tensor, p: P) -> Tensor:
    return norm(x, {role: value.repeat_interleave(4) for role, value in p.items()})


def layer_norm(x: Tensor, p: P) -> Tensor:
    return F.layer_norm(x.movedim(1, -1), x.shape[1:2], p["weight"], p["bias"]).movedim(-1, 1)


def plain(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, P], Tensor]:
    return lambda x, p: function(x)


def two(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, P], Tensor]:
    return lambda a, b, p: function(a, b)


TWICE = (IMAGE, (2, 6, 1, 8))
TABLE = [
    own("conv", lambda x, p: F.conv2d(x, p["weight"], p["bias"], 2, (1, 2), 2, 3), out=9, kernel=3, stride=2,
        padding=(1, 2), dilation=2, groups=3),
    own("conv", lambda x, p: F.conv1d(F.pad(x, (8, 0)), p["weight"], dilation=4), (2, 6, 11), kernel=3, dilation=4,
        padding="causal", bias=False),
    own("conv", lambda x, p: F.conv2d(F.pad(x, (3, 3, 0, 0), mode="reflect"), p["weight"], p["bias"]), kernel=(1, 7),
        padding_mode="reflect"),
    own("conv", lambda x, p: F.conv3d(x, p["weight"], p["bias"], padding=1), (1, 2, 4, 5, 6), out=3),
    own("conv_transpose", lambda x, p: F.conv_transpose2d(x, p["weight"], p["bias"], 2, 1, 1, 2, 2), out=4, kernel=3,
        stride=2, padding=1, output_padding=1, groups=2, dilation=2),
    own("fixed_conv", plain(edges)),
    own("fixed_conv", plain(laplace), kernel="laplace"),
    own("fixed_conv", plain(lambda x: x[..., 1:] - 3 * x[..., :-1]), weight=((-3, 1),), padding=0),
    own("embedding", lambda x, p: F.embedding(x, p["weight"]).permute(0, 2, 1), (2, 7), out=5, count=20, whole=True),
    own("linear", lambda x, p: F.linear(x, p["weight"], p["bias"]), (3, 4, 6), out=5),
    own("batch_norm", lambda x, p: norm(x, p, eps=1e-3), eps=1e-3),
    own("c4_batch_norm", orientation_norm, (2, 8, 5, 5)),
    own("layer_norm", layer_norm),
    own("layer_norm", lambda x, p: F.layer_norm(x, x.shape[-1:], p["weight"], p["bias"], 1e-6), axis="last", eps=1e-6),
    own("group_norm", lambda x, p: F.group_norm(x, 3, p["weight"], p["bias"]), groups=3),
    own("instance_norm", lambda x, p: F.instance_norm(x, weight=p["weight"], bias=p["bias"])),
    own("scale", lambda x, p: x * p["weight"].reshape(1, -1, 1, 1)),
    own("lrn", plain(lambda x: F.local_response_norm(x, 5, 1e-4, 0.75, 1.0))),
    own("lrn", plain(lambda x: F.local_response_norm(x, 5, 5e-4, 0.75, 2.0)), divide_by_size=False, k=2.0),
    own("max_pool", plain(lambda x: F.max_pool2d(x, 3, 2, 1, 1, True)), kernel=3, stride=2, padding=1, ceil=True),
    own("max_pool", plain(lambda x: F.max_pool2d(x, 2, 1, 0, 3)), kernel=2, stride=1, dilation=3),
    own("avg_pool", plain(lambda x: F.avg_pool2d(x, 3, 2, 1)), kernel=3, stride=2, padding=1),
    own("avg_pool", plain(lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)), kernel=3, stride=2, padding=1,
        count_include_pad=False),
    own("global_avg_pool", plain(lambda x: x.mean((2, 3)))),
    own("global_max_pool", plain(lambda x: x.amax((2, 3), keepdim=True)), keepdims=True),
    # 9 and 8 into 4 and 5, and into 2 and 3: sizes that do not divide.
    own("adaptive_avg_pool", plain(lambda x: F.adaptive_avg_pool2d(x, (4, 5))), size=(4, 5)),
    own("adaptive_avg_pool", plain(lambda x: F.adaptive_avg_pool2d(x, (12, 3))), size=(12, 3)),
    own("adaptive_max_pool", plain(lambda x: F.adaptive_max_pool2d(x, (2, 3))), size=(2, 3)),
    own("c4_pool", plain(lambda x: x.reshape(2, 2, 4, 9, 8).amax(2)), (2, 8, 9, 8)),
    own("warp", two(warped), IMAGE, (2, 12, 9, 8)),
    own("warp", two(warped), IMAGE, (2, 4, 9, 8)),
    own("resize", plain(lambda x: F.interpolate(x, scale_factor=2)), scale=(2.0,)),
    own("resize", plain(lambda x: F.interpolate(x, (4, 13))), size=(4, 13)),
    own("resize", plain(lambda x: F.interpolate(x, (4, 13), mode="nearest-exact")), size=(4, 13), mode="nearest_exact"),
    own("resize", plain(lambda x: F.interpolate(x, (5, 20), mode="bilinear")), size=(5, 20), mode="bilinear"),
    own("resize", plain(lambda x: F.interpolate(x, (5, 20), mode="bilinear", align_corners=True)), size=(5, 20),
        mode="bilinear", align_corners=True),
    own("resize", plain(lambda x: F.interpolate(x, (5, 20), mode="bicubic")), size=(5, 20), mode="bicubic"),
    own("resize", two(lambda x, y: F.interpolate(x, y.shape[2:])), IMAGE, (2, 1, 18, 5)),
    own("relu", plain(F.relu)), own("relu6", plain(lambda x: F.relu6(x)), positive=True),
    own("leaky_relu", plain(lambda x: F.leaky_relu(x, 0.2)), slope=0.2), own("elu", plain(F.elu)),
    own("prelu", lambda x, p: F.prelu(x, p["weight"])), own("gelu", plain(F.gelu)),
    own("gelu", plain(lambda x: F.gelu(x, approximate="tanh")), approximate="tanh"), own("silu", plain(F.silu)),
    own("mish", plain(F.mish)), own("hardswish", plain(F.hardswish)), own("hardsigmoid", plain(F.hardsigmoid)),
    own("sigmoid", plain(torch.sigmoid)), own("tanh", plain(torch.tanh)), own("softplus", plain(F.softplus)),
    own("clip", plain(lambda x: x.clamp(-0.5, 0.25)), min=-0.5, max=0.25), own("identity", plain(lambda x: x)),
    own("softmax", plain(lambda x: x.softmax(1))), own("softmax", plain(lambda x: x.softmax(-1)), axis=-1),
    own("add", two(torch.add), *TWICE), own("sub", two(torch.sub), *TWICE), own("mul", two(torch.mul), *TWICE),
    own("div", two(torch.div), *TWICE, positive=True), own("max", two(torch.maximum), *TWICE),
    own("min", two(torch.minimum), *TWICE), own("matmul", two(torch.matmul), (2, 3, 4, 5), (2, 1, 5, 6)),
    own("pow", plain(lambda x: x**3), exponent=3.0), own("sqrt", plain(torch.sqrt), positive=True),
    own("exp", plain(torch.exp)), own("abs", plain(torch.abs)), own("neg", plain(torch.neg)),
    own("reduce_mean", plain(lambda x: x.mean((1,), keepdim=True)), axes=(1,)),
    own("reduce_max", plain(lambda x: x.amax((2, 3))), axes=(2, 3), keepdims=False),
    own("reduce_sum", plain(lambda x: x.sum((3,), keepdim=True)), axes=(3,)),
    own("concat", two(lambda a, b: torch.cat([a, b], 1)), IMAGE, (2, 3, 9, 8)),
    own("stack", two(lambda a, b: torch.stack([a, b], 1)), IMAGE, IMAGE),
    own("slice", plain(lambda x: x[:, 1:5:2]), start=1, end=5, step=2),
    own("gather", plain(lambda x: x[:, [3, 0, 5]]), indices=(3, 0, -1)),
    own("flatten", plain(lambda x: x.flatten(2)), start=2),
    own("reshape", plain(lambda x: x.reshape(2, 3, 2, 72)), shape=(0, 3, 2, -1)),
    own("transpose", plain(lambda x: x.permute(0, 2, 3, 1)), perm=(0, 2, 3, 1)),
    own("pad", plain(lambda x: F.pad(x, (2, 4, 1, 3), value=0.5)), padding=(1, 2, 3, 4), value=0.5),
    own("pad", plain(lambda x: F.pad(x, (2, 2, 2, 2), mode="replicate")), padding=2, mode="replicate"),
    own("crop", plain(lambda x: x[:, :, 1:6, 3:5]), size=(5, 2), offset=(1, 3)),
    own("pixel_shuffle", plain(lambda x: F.pixel_shuffle(x, 2)), (2, 8, 3, 4), factor=2),
    own("channel_shuffle", plain(lambda x: F.channel_shuffle(x, 3)), groups=3),
    own("dropout", plain(lambda x: x)), own("drop_path", plain(lambda x: x), p=0.5),
]  # fmt: skip
# Whose references are a formula in loops, or that read nothing.
ELSEWHERE = {"deform_conv", "c4_conv", "max_unpool", "max_pool_indices", "parameter", "constant"}


def test_every_operator_has_a_function_of_its_own() -> None:
    assert {row.name for row in TABLE} | ELSEWHERE == OPS.keys()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.name}-{','.join(map(str, row.arguments))}")
def test_an_operator_is_what_pytorch_or_numpy_says(row: Own) -> None:
    dtype = DType.int64 if row.whole else DType.float32
    single = Single(make(row.name, **row.arguments), tuple(TensorType(shape, dtype) for shape in row.shapes))
    numbers = _random(single)
    arrays = single.inputs({}, seed=4, positive=row.positive)
    p = {role: torch.from_numpy(numbers[name].astype(np.float64)) for role, name in _names(single).items()}
    inputs = [torch.from_numpy(array if row.whole else array.astype(np.float64)) for array in arrays]
    expected = row.expected(*inputs, p).numpy()
    assert_close(single.torch(arrays, "float64"), expected, 1e-9)
    assert_close(single.ort(single.session(), arrays), expected.astype(np.float32))


def _names(single: Single) -> Mapping[str, str]:
    return single.model.graph.nodes["y"].params


def _random(single: Single) -> Mapping[str, Array]:
    """Fresh biases are 0 and fresh scales 1, which would hide a parameter that is not read: every number is drawn."""
    rng = np.random.default_rng(9)
    drawn = {}
    for role, name in _names(single).items():
        values = rng.standard_normal(single.model.params[name].shape).astype(np.float32)
        drawn[name] = np.abs(values) + np.float32(0.5) if role == "running_var" else values
    single.__dict__["model"] = replace(single.model, params={name: Stored(value) for name, value in drawn.items()})
    return drawn
