"""What both lowerings share could be wrong in both: these are checked against the formula of the paper, or PyTorch's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from convc.compiler.ir import TensorType
from convc.compiler.ops.adaptive_pool import windows
from tests.compiler.ops.single import Single, make


def run(name: str, shape: tuple[int, ...], **arguments: Any) -> tuple[np.ndarray, np.ndarray, Single]:
    """Input and output in float64."""
    single = Single(make(name, **arguments), (TensorType(shape),))
    x = single.inputs({})[0].astype(np.float64)
    return x, single.torch([x], "float64"), single


@pytest.mark.parametrize("divide", [True, False])
def test_lrn_is_the_papers_sum(divide: bool) -> None:
    x, y, _ = run("lrn", (2, 7, 3, 3), size=3, alpha=0.4, beta=0.6, k=2.0, divide_by_size=divide)
    factor = 0.4 / 3 if divide else 0.4
    for channel in range(7):
        near = x[:, max(0, channel - 1) : channel + 2]
        expected = x[:, channel] / (2.0 + factor * (near**2).sum(axis=1)) ** 0.6
        assert np.allclose(y[:, channel], expected, rtol=1e-12)


def test_hardsigmoid_is_relu6_of_x_plus_3_over_6() -> None:
    x, y, _ = run("hardsigmoid", (2, 50))
    assert np.allclose(y, np.clip(4 * x / 4 + 3, 0, 6) / 6, rtol=1e-12)


def test_prelu_has_a_slope_per_channel() -> None:
    x, y, single = run("prelu", (2, 4, 3, 3))
    slope = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    given = single.bound.torch(torch, torch.from_numpy(x), p={"weight": slope})
    assert torch.equal(given, torch.nn.functional.prelu(torch.from_numpy(x), slope))
    assert np.allclose(y, np.where(x > 0, x, 0.25 * x))


def test_layer_norm_is_over_the_channels_at_each_place() -> None:
    x, y, _ = run("layer_norm", (2, 5, 3, 4), eps=1e-3)
    mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    assert np.allclose(y, (x - mean) / np.sqrt(var + 1e-3), rtol=1e-9)


def test_scale_and_shuffle_move_whole_channels() -> None:
    x, y, _ = run("channel_shuffle", (1, 6, 2, 2), groups=2)
    assert np.array_equal(y[0], x[0, [0, 3, 1, 4, 2, 5]])
    weighted = Single(make("scale"), (TensorType((1, 6, 2, 2)),))
    factors = torch.arange(6, dtype=torch.float64)
    given = weighted.bound.torch(torch, torch.from_numpy(x), p={"weight": factors})
    assert np.array_equal(given[0, 2].numpy(), x[0, 2] * 2)


def test_an_uneven_mean_counts_as_it_says() -> None:
    shape = (1, 1, 5)
    x, counted, _ = run("avg_pool", shape, kernel=3, stride=2, padding=(1, 0), ceil=True)
    _, inside, _ = run("avg_pool", shape, kernel=3, stride=2, padding=(1, 0), ceil=True, count_include_pad=False)
    a = x[0, 0]
    # Windows start at -1, 1 and 3; the last hangs over, where nothing counts.
    assert np.allclose(counted[0, 0], [(a[0] + a[1]) / 3, a[1:4].mean(), a[3:].mean()])
    assert np.allclose(inside[0, 0], [a[:2].mean(), a[1:4].mean(), a[3:].mean()])


def test_a_transposed_convolution_with_the_padding_same_is_the_gradient_of_one() -> None:
    """As TensorFlow defines it: the gradient, over the input, of a convolution with the same padding."""
    single = Single(
        make("conv_transpose", out=2, kernel=3, stride=2, padding="same_upper", bias=False), (TensorType((1, 3, 5)),)
    )
    x = torch.from_numpy(single.inputs({})[0])
    weight = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0))
    forward = make("conv", out=3, kernel=3, stride=2, padding="same_upper", bias=False).bind(TensorType((1, 2, 10)))
    image = torch.zeros(1, 2, 10, requires_grad=True)
    forward.torch(torch, image, p={"weight": weight}).backward(x)
    assert image.grad is not None
    assert torch.allclose(single.bound.torch(torch, x, p={"weight": weight}), image.grad, atol=1e-6)


def test_resize_nearest_repeats() -> None:
    x, y, _ = run("resize", (1, 2, 3, 4), scale=(2.0, 3.0))
    assert np.array_equal(y, x.repeat(2, axis=2).repeat(3, axis=3))


def test_adaptive_windows_cover_the_input() -> None:
    covered = windows(10, 4)
    assert [(w.start, w.stop) for w in covered] == [(0, 3), (2, 5), (5, 8), (7, 10)]


def test_constants_and_slices_are_what_was_written() -> None:
    constant = make("constant", value=((1, 2), (3, 4.5)))
    assert constant.torch(torch, p={}).tolist() == [[1.0, 2.0], [3.0, 4.5]]
    x, y, _ = run("slice", (1, 9, 2), start=-7, end=-1, step=2)
    assert np.array_equal(y, x[:, [2, 4, 6]])
