"""Parameters, cost, windows, training behaviour and closed forms."""

from __future__ import annotations

import pytest
import torch

from convc.compiler.errors import ShapeError
from convc.compiler.ir import Init, Op, SymDim, TensorType, Window
from convc.compiler.ops.init import parse_init
from tests.compiler.ops.single import H, N, Single, W, make, typed

IMAGE = TensorType((1, 6, 9, 7))


def bound(op: Op, *types: TensorType) -> Op:
    return op.bind(*(types or (IMAGE,)))


def test_parameters_by_role() -> None:
    conv = bound(make("conv", out=4, kernel=(3, 5), groups=2))
    params = conv.params(IMAGE)
    assert {role: kind.shape for role, kind in params.items()} == {"weight": (4, 3, 3, 5), "bias": (4,)}
    assert params["weight"].init == Init("kaiming", 2**0.5)
    assert params["bias"].init == Init("constant", 0.0)
    transposed = bound(make("conv_transpose", out=4, groups=2, bias=False))
    assert {role: kind.shape for role, kind in transposed.params(IMAGE).items()} == {"weight": (6, 2, 2, 2)}
    linear = bound(make("linear", out=3), TensorType((N, 5)))
    assert {role: kind.shape for role, kind in linear.params(TensorType((N, 5))).items()} == {
        "weight": (3, 5),
        "bias": (3,),
    }


def test_statistics_are_not_trained_and_not_trivial() -> None:
    params = bound(make("batch_norm")).params(IMAGE)
    assert {role: kind.trained for role, kind in params.items()} == {
        "weight": True, "bias": True, "running_mean": False, "running_var": False,
    }  # fmt: skip
    assert params["running_mean"].init == Init("normal", 0.1)
    assert params["running_var"].init == Init("positive", 0.75)


def test_init_fills_weights_and_leaves_biases() -> None:
    for name in ("conv", "conv_transpose", "batch_norm"):
        params = bound(make(name, init=Init("constant", 0.5))).params(IMAGE)
        assert params["weight"].init == Init("constant", 0.5)
        assert params["bias"].init == Init("constant", 0.0)


@pytest.mark.parametrize(
    ("op", "shape", "macs"),
    [
        (make("conv", out=8, kernel=3, stride=2), (1, 6, 9, 7), 8 * 5 * 4 * 6 * 9),
        (make("conv", out=6, kernel=3, groups=6), (2, 6, 9, 7), 2 * 6 * 9 * 7 * 9),
        # By the input's positions, whatever padding cuts off.
        (make("conv_transpose", out=4, kernel=3, padding=1), (1, 6, 9, 7), 6 * 9 * 7 * 4 * 9),
        (make("linear", out=4), (2, 5, 10), 2 * 5 * 4 * 10),
        (make("max_pool", kernel=2), (1, 6, 9, 7), 0),
        (make("batch_norm"), (1, 6, 9, 7), 0),
    ],
)
def test_macs(op: Op, shape: tuple[int, ...], macs: int) -> None:
    x = TensorType(shape)
    op = op.bind(x)
    assert op.macs(op.infer(x), x) == macs
    assert op.attention_macs(op.infer(x), x) == 0


def test_products_of_activations_are_counted_apart() -> None:
    a, b = TensorType((2, 3, 4, 5)), TensorType((2, 3, 5, 6))
    matmul = make("matmul")
    assert matmul.attention_macs(matmul.infer(a, b), a, b) == 2 * 3 * 4 * 6 * 5
    assert matmul.macs(matmul.infer(a, b), a, b) == 0


def test_the_cost_of_a_dynamic_size_is_refused() -> None:
    x = typed(("N", 6, 9, 7))
    op = make("conv").bind(x)
    with pytest.raises(ShapeError, match="dynamic size"):
        op.macs(op.infer(x), x)


def test_windows() -> None:
    assert bound(make("conv", kernel=(3, 1), stride=2, dilation=3)).window() == Window((3, 1), (2, 2), (3, 3))
    assert bound(make("max_pool", kernel=3, dilation=2)).window() == Window((3, 3), (3, 3), (2, 2))
    assert bound(make("avg_pool", kernel=3, stride=2)).window() == Window((3, 3), (2, 2), (1, 1))
    assert bound(make("relu")).window() is None


def test_padding_is_resolved_where_sizes_are_known() -> None:
    op = make("conv", kernel=3, stride=2, padding="same_upper")
    assert op.bind(TensorType((N, 3, 224, 225))).arguments()["padding"] == (0, 1, 1, 1)
    assert op.bind(TensorType((N, 3, H, W))).arguments()["padding"] == "same_upper"
    promised = SymDim.symbol("H", 32)
    assert op.bind(TensorType((N, 3, promised, promised))).arguments()["padding"] == (0, 0, 1, 1)
    unstrided = make("conv", kernel=4, padding="same_lower")
    assert unstrided.bind(TensorType((N, 3, H, W))).arguments()["padding"] == (2, 2, 1, 1)


def test_dynamic_sizes_have_closed_forms() -> None:
    x = typed(("N", 3, "H", "W"))
    stride = make("conv", stride=2).bind(x)
    assert stride.infer(x) == x.with_shape(N, 3, (H + 1) // 2, (W + 1) // 2)
    same = make("conv", stride=2, padding="same_upper").bind(x)
    assert same.infer(x) == stride.infer(x)
    rounded = make("max_pool", kernel=2, ceil=True).bind(x)
    assert rounded.infer(x) == stride.infer(x)
    assert make("reshape", shape=(N, 3, H * W)).bind(x).arguments()["shape"] == (0, 3, -1)


def test_batch_statistics_move_in_training_only() -> None:
    single = Single(make("batch_norm"), (TensorType((4, 3, 5, 5)),))
    params = {role: torch.ones(3) for role in single.bound.params(*single.types)}
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) + 2
    single.bound.torch(torch, x, p=params)
    assert torch.equal(params["running_mean"], torch.ones(3))
    y = single.bound.torch(torch, x, p=params, training=True)
    expected = 0.9 + 0.1 * x.mean(dim=(0, 2, 3))
    assert torch.allclose(params["running_mean"], expected)
    assert torch.allclose(y.mean(dim=(0, 2, 3)), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("name", ["dropout", "drop_path"])
def test_dropping_keeps_the_mean_in_training(name: str) -> None:
    torch.manual_seed(0)
    op = make(name, p=0.25)
    x = torch.ones(4000, 3)
    y = op.torch(torch, x, p={}, training=True)
    assert sorted(y.unique().tolist()) == pytest.approx([0.0, 1 / 0.75])
    assert float(y.mean()) == pytest.approx(1.0, abs=0.05)
    by_image = (y == 0).all(dim=1) | (y != 0).all(dim=1)
    assert bool(by_image.all()) == (name == "drop_path")
    assert torch.equal(op.torch(torch, x, p={}), x)
    assert op.identity_at_inference


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("zeros", Init("constant", 0.0)),
        ("ones", Init("constant", 1.0)),
        ("kaiming", Init("kaiming", 2**0.5)),
        ("bilinear", Init("bilinear", 1.0)),
        (1e-6, Init("constant", 1e-6)),
        (0, Init("constant", 0.0)),
        ({"normal": 0.02}, Init("normal", 0.02)),
        (Init("normal", 0.5), Init("normal", 0.5)),
    ],
)
def test_fillings(value: object, expected: Init) -> None:
    assert parse_init(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gaussian", "no filling is called 'gaussian'; there is zeros, ones, kaiming"),
        ({"bilinear": 1.0}, "init 'bilinear' takes no number"),
        ({"normal": "wide"}, "needs a finite number, but got 'wide'"),
        ([1], "init must be a word, a number"),
        (True, "init must be a word, a number"),
        (float("nan"), "init must be a word, a number"),
    ],
)
def test_fillings_refused(value: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        parse_init(value)
