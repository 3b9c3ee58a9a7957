"""costs: counts against hand calculations and the literature."""

from __future__ import annotations

from typing import Any

import pytest

from convc.compiler.cost import Cost, costs
from convc.compiler.errors import ShapeError
from convc.compiler.ir import Op, SymDim, TensorType
from convc.compiler.ops import OPS

from .lower.conftest import Net

N, H = SymDim.symbol("N"), SymDim.symbol("H")


def op(name: str, **arguments: Any) -> Op:
    return OPS[name](**arguments)


def chain(input: TensorType, *steps: Op) -> dict[str, Cost]:
    net = Net(input=input)
    last = "input"
    for position, step in enumerate(steps):
        last = net.add(f"n.{position}", step, last)
    return {row.name: row for row in costs(net.model(last), {"N": 1, "H": 32}).rows}


def field(*steps: Op, size: int = 512) -> tuple[int, ...] | None:
    return list(chain(TensorType((1, 4, size, size)), *steps).values())[-1].receptive_field


def test_a_convolution_by_hand() -> None:
    row = chain(TensorType((N, 4, H, 8)), op("conv", out=6, groups=2, stride=2))["n.0"]
    assert row == Cost(
        name="n.0",
        op="conv",
        output=(1, 6, 16, 4),
        params=6 * 2 * 9 + 6,
        macs=16 * 4 * 6 * 2 * 9,
        attention_macs=0,
        bytes=4 * (4 * 32 * 8 + 6 * 16 * 4 + 6 * 2 * 9 + 6),
        receptive_field=(3, 3),
    )


def test_sizes_follow_the_symbols() -> None:
    net = Net(input=TensorType((N, 3, H, H)))
    net.add("c", op("conv", out=8), "input")
    model = net.model("c")
    one, many = costs(model, {"N": 1, "H": 16}), costs(model, {"N": 3, "H": 32})
    assert many.macs == 12 * one.macs
    assert many.params == one.params
    with pytest.raises(ShapeError, match="H has no value"):
        costs(model, {"N": 1})


def test_shared_parameters_count_once_and_statistics_never() -> None:
    net = Net(input=TensorType((1, 4, 8, 8)))
    net.add("a", op("conv", out=4), "input")
    net.add("bn", op("batch_norm"), "a")
    net.add("b", op("conv", out=4), "bn", like="a")
    model = net.model("b")
    found = costs(model)
    assert [row.params for row in found.rows] == [148, 8, 0]
    assert found.params == model.param_count() == 156
    # The second use reads the weights again.
    assert found.rows[2].bytes == found.rows[0].bytes
    assert found.rows[1].bytes == 4 * (2 * 256 + 16)
    assert found.bytes == sum(row.bytes for row in found.rows)


def test_train_only_nodes_count_as_parameters_alone() -> None:
    net = Net(input=TensorType((1, 4, 8, 8)))
    net.add("a", op("conv", out=4), "input")
    net.add("aux", op("conv", out=4), "a", train_only=True)
    found = costs(net.model("a", {"aux": "aux"}))
    assert found.params == 2 * 148
    assert (found.macs, found.bytes) == (found.rows[0].macs, found.rows[0].bytes)
    assert found.rows[1].macs == found.rows[0].macs


def test_products_of_activations_are_counted_apart() -> None:
    net = Net(a=TensorType((2, 3, 5)), b=TensorType((2, 5, 7)))
    net.add("y", op("matmul"), "a", "b")
    found = costs(net.model("y"))
    assert (found.macs, found.attention_macs) == (0, 2 * 3 * 5 * 7)


def test_a_value_read_twice_is_moved_once() -> None:
    net = Net(input=TensorType((1, 4)))
    net.add("y", op("add"), "input", "input")
    assert costs(net.model("y")).bytes == 2 * 16


def conv(kernel: Any = 3, **rest: Any) -> Op:
    return op("conv", kernel=kernel, padding=0, **rest)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([conv(), conv()], 5),
        ([conv(), conv(), conv()], 7),
        ([conv(dilation=1), conv(dilation=2), conv(dilation=4)], 15),
        ([conv(stride=2), conv()], 7),
        ([conv(stride=2), op("relu"), op("max_pool", kernel=3, stride=2), conv()], 15),
        ([conv(stride=2), op("conv_transpose", kernel=2, stride=2)], 3),
        ([op("conv_transpose", kernel=4, stride=2, padding=1), conv()], 3),
        ([conv(stride=2), op("resize", scale=2), conv()], 5),
        ([conv(stride=2), op("resize", scale=2, mode="bilinear"), conv()], 7),
        ([op("adaptive_avg_pool", size=128), conv()], 12),
        ([op("pad", padding=2), conv()], 3),
    ],
)
def test_receptive_fields_by_the_recursion(steps: list[Op], expected: int) -> None:
    assert field(*steps) == (expected, expected)


def test_alexnet_s_receptive_fields() -> None:
    pool = op("max_pool", kernel=3, stride=2)
    steps = [conv(11, stride=4), pool, conv(5), pool, conv(), conv(), conv(), pool]
    fields = [row.receptive_field for row in chain(TensorType((1, 3, 512, 512)), *steps).values()]
    assert fields == [(n, n) for n in (11, 19, 51, 67, 99, 131, 163, 195)]


def test_axes_are_counted_apart() -> None:
    assert field(conv((1, 7), stride=(1, 2)), conv((3, 3))) == (3, 11)


def test_a_join_takes_the_largest_branch() -> None:
    net = Net(input=TensorType((1, 4, 32, 32)))
    net.add("a", op("conv", kernel=1), "input")
    net.add("b", op("conv", kernel=5), "input")
    net.add("y", op("concat"), "a", "b")
    assert costs(net.model("y")).rows[-1].receptive_field == (5, 5)


def test_who_sees_everything_has_no_field() -> None:
    rows = chain(TensorType((1, 4, 8, 8)), conv(), op("global_avg_pool", keepdims=True), op("relu"), op("flatten"))
    assert [row.receptive_field for row in rows.values()] == [(3, 3), None, None, None]


def test_vectors_have_no_axes() -> None:
    rows = chain(TensorType((1, 4)), op("linear", out=3), op("relu"))
    assert [row.receptive_field for row in rows.values()] == [(), ()]


def test_a_gate_over_the_whole_image_sees_everything() -> None:
    net = Net(input=TensorType((1, 4, 8, 8)))
    net.add("gap", op("global_avg_pool", keepdims=True), "input")
    net.add("y", op("mul"), "input", "gap")
    assert costs(net.model("y")).rows[-1].receptive_field is None


def test_a_learned_tensor_does_not_widen_the_field() -> None:
    net = Net(input=TensorType((1, 4, 8, 8)))
    net.add("c", conv(), "input")
    net.add("gain", op("parameter", shape=(1, 4, 1, 1)))
    net.add("y", op("mul"), "c", "gain")
    assert costs(net.model("y")).rows[-1].receptive_field == (3, 3)
