"""Affine maps per channel fold backwards and forwards where that is exact, and stay with the reason where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convc.compiler.errors import PassError
from convc.compiler.ir import Model
from convc.compiler.ir.text import graph, to_text
from convc.compiler.passes import O1, O2, PassManager, Rewrite
from convc.compiler.passes import affine_takers as takers
from convc.compiler.passes.exact import BorderBias, FoldAffineBack, FoldAffineForward, FoldBatchNorm
from convc.compiler.probe import TorchProbe, randomised, whole
from tests.fuzz.numbers import telling

IMAGE = "[N, 6, 9, 9]"
BACK, FORWARD = FoldAffineBack(), FoldAffineForward()


def model_of(lines: str, image: str = IMAGE) -> Model:
    return telling(graph(f"input x: {image}\n{lines}"))


def proven(model: Model, *passes: Rewrite[Any]) -> list[str]:
    """The operators that are left, each region and the whole proven."""
    after = PassManager(passes, TorchProbe()).run(model).model
    assert after is not model
    assert whole(model, after) < 1e-12
    return [node.op.name for node in after.graph]


def refused(model: Model, one: Rewrite[Any], site: str) -> str:
    result = one.run(model)
    assert result.model is model
    return dict(result.misses)[site]


@pytest.mark.parametrize(
    ("image", "before"),
    [
        (IMAGE, "conv(x, out=8, bias=false)"),
        (IMAGE, "conv(x, out=9, groups=3)"),
        (IMAGE, "conv_transpose(x, out=9, groups=3, kernel=3, bias=false)"),
        ("[N, 6]", "linear(x, out=5)"),
    ],
)
@pytest.mark.parametrize(
    "lines",
    [
        "b = scale(a)",
        "b = neg(a)",
        "k = constant(value=3.5)\nb = sub(k, a)",
        "k = constant(value=3.5)\nm = div(a, k)\nb = add(m, k)",
        "b = batch_norm(a)",
        "c = scale(a)\nd = batch_norm(c)\nb = scale(d)",
    ],
)
def test_behind_a_convolution(image: str, before: str, lines: str) -> None:
    found = proven(model_of(f"a = {before}\n{lines}\ny = tanh(b)", image), BACK)
    assert found == [before.split("(")[0], "tanh"]


@pytest.mark.parametrize(
    ("shape", "lines"),
    [
        ([6, 1, 1], "m = mul(k, a)"),
        ([1, 6, 1, 1], "m = add(a, k)"),
        ([1, 1, 1], "m = sub(k, a)"),
        ([], "m = mul(a, k, k)"),
    ],
)
def test_a_learned_constant_on_either_side(shape: list[int], lines: str) -> None:
    found = proven(model_of(f"a = conv(x)\nk = parameter(shape={shape})\n{lines}\ny = tanh(m)"), BACK)
    assert found == ["conv", "tanh"]


def test_a_constant_that_others_read_stays() -> None:
    model = model_of("a = conv(x)\nk = parameter(shape=[6, 1, 1])\nm = mul(k, a)\nr = tanh(m)\ny = add(r, k)")
    assert sorted(proven(model, BACK)) == ["add", "conv", "parameter", "tanh"]


@pytest.mark.parametrize(
    "norm", ["layer_norm(x)", "group_norm(x, groups=2, scale=false, shift=false)", "instance_norm(x)"]
)
def test_into_a_norm_and_from_it(norm: str) -> None:
    name = norm.split("(")[0]
    assert proven(model_of(f"a = {norm}\nb = batch_norm(a)\ny = tanh(b)"), BACK) == [name, "tanh"]
    after = PassManager([BACK, FORWARD], TorchProbe()).run(
        model_of(f"a = {norm}\nb = batch_norm(a)\ny = conv(b, kernel=1)")
    )
    assert [node.op.name for node in after.model.graph] == [name, "conv"]
    assert not after.model.graph.nodes["a"].params


def test_two_in_a_row_become_one() -> None:
    after = PassManager([BACK], TorchProbe()).run(model_of("r = relu(x)\nb = scale(r)\nc = batch_norm(b)\ny = relu(c)"))
    assert [node.op.name for node in after.model.graph] == ["relu", "batch_norm", "relu"]
    assert proven(model_of("r = relu(x)\nb = batch_norm(r)\nc = batch_norm(b)\ny = relu(c)"), BACK) == [
        "relu", "batch_norm", "relu",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "way",
    [
        "avg_pool(a, kernel=2)",
        "avg_pool(a, kernel=3, padding=1, count_include_pad=false)",
        "avg_pool(a, kernel=2, ceil=true)",
        "resize(a, scale=2)",
        "resize(a, scale=2, mode=bilinear)",
        "resize(a, scale=1.5, mode=bicubic)",
        "channel_shuffle(a, groups=2)",
        "gather(a, indices=[5, 3, 1])",
        "slice(a, start=1, end=5, step=2)",
        "slice(a, axis=3, start=2)",
        "crop(a, size=4)",
        "pad(a, padding=1, mode=reflect)",
        "global_avg_pool(a)",
        "adaptive_avg_pool(a, size=3)",
    ],
)
def test_past_what_does_not_mind(way: str) -> None:
    name = way.split("(")[0]
    assert proven(model_of(f"a = conv(x)\np = {way}\nb = batch_norm(p)\ny = tanh(b)"), BACK) == ["conv", name, "tanh"]
    behind = "linear(p, out=4)" if name == "global_avg_pool" else "conv(p, out=4, kernel=1)"
    found = proven(model_of(f"c = tanh(x)\na = batch_norm(c)\np = {way}\ny = {behind}"), FORWARD)
    assert found == ["tanh", name, behind.split("(")[0]]


@pytest.mark.parametrize(
    "way", ["max_pool(a, kernel=3, stride=2, padding=1)", "global_max_pool(a)", "relu(a)", "prelu(a)"]
)
def test_past_a_maximum_with_positive_factors_alone(way: str) -> None:
    name = way.split("(")[0]
    halve = "k = constant(value=0.5)\nb = mul(p, k)\ny = tanh(b)"
    assert proven(model_of(f"a = conv(x)\np = {way}\n{halve}"), BACK) == ["conv", name, "tanh"]
    turned = model_of(f"a = conv(x)\np = {way}\nb = neg(p)\ny = tanh(b)")
    assert refused(turned, BACK, "b").endswith("some factor is negative")


def test_through_a_concat() -> None:
    found = proven(
        model_of("a = conv(x, out=4)\nb = conv(x, out=3)\nc = concat(a, b)\nd = batch_norm(c)\ny = relu(d)"), BACK
    )
    assert found == ["conv", "conv", "concat", "relu"]
    found = proven(model_of("a = tanh(x)\nb = batch_norm(a)\nc = concat(a, b)\ny = conv(c, kernel=1)"), FORWARD)
    assert found == ["tanh", "concat", "conv"]


def test_to_both_operands_of_a_sum() -> None:
    found = proven(model_of("a = conv(x)\nb = conv(x)\nc = add(a, b)\nd = batch_norm(c)\ny = relu(d)"), BACK)
    assert found == ["conv", "conv", "add", "relu"]


def test_to_the_parts_of_a_split() -> None:
    parts = "a = conv(x)\nb = slice(a, end=2)\nc = slice(a, start=2)\nd = batch_norm(b)\ne = batch_norm(c)"
    ends = "f = relu(d)\ng = relu(e)\noutput f = f\noutput g = g"
    assert proven(model_of(f"{parts}\n{ends}"), BACK) == ["conv", "slice", "slice", "relu", "relu"]


def test_past_flattening_with_the_size_known() -> None:
    lines = "a = batch_norm(x)\nb = flatten(a)\ny = linear(b, out=4)"
    assert proven(model_of(lines), FORWARD) == ["flatten", "linear"]


@pytest.mark.parametrize(
    "reader",
    [
        "conv(b, out=8, kernel=1)",
        "conv(b, out=9, groups=3, padding=0)",
        "conv(b, out=6, groups=6, padding=0, bias=false, stride=2)",
        "conv(b, out=4, padding_mode=circular)",
        "conv(b, out=4, padding=0, dilation=2)",
    ],
)
def test_before_a_convolution(reader: str) -> None:
    assert proven(model_of(f"b = batch_norm(x)\ny = {reader}"), FORWARD) == ["conv"]
    every = model_of(f"b = batch_norm(x)\nc = {reader}\nd = conv(b, kernel=1)\noutput c = c\noutput d = d")
    assert proven(every, FORWARD) == ["conv", "conv"]


def test_a_factor_alone_passes_a_padded_border() -> None:
    assert proven(model_of("b = scale(x)\ny = conv(b)"), FORWARD) == ["conv"]
    assert proven(model_of("b = scale(x)\ny = conv_transpose(b, out=9, groups=3)"), FORWARD) == ["conv_transpose"]
    shift = model_of("k = constant(value=0.0)\nb = add(x, k)\ny = conv(b)")
    assert proven(shift, FORWARD) == ["conv"], "a shift of 0 is none"


def test_mean_and_deviation_of_the_input_go_into_the_first_convolution() -> None:
    lines = "m = parameter(shape=[6, 1, 1])\ns = parameter(shape=[6, 1, 1])\na = sub(x, m)\nb = mul(a, s)"
    assert proven(model_of(f"{lines}\ny = conv(b, padding=0)"), BACK, FORWARD) == ["conv"]


def test_a_layer_norm_over_the_last_axis_into_linear_layers() -> None:
    model = model_of(
        "n = layer_norm(x, axis=last)\na = linear(n, out=4)\nb = linear(n, out=4)\ny = add(a, b)", "[N, 7, 6]"
    )
    assert proven(model, FORWARD) == ["layer_norm", "linear", "linear", "add"]


def test_shared_weights_each_take_their_own() -> None:
    model = model_of("a = conv(x, kernel=1)\nb = scale(a)\ny = conv(b, kernel=1) with weight=a.weight, bias=a.bias")
    after = PassManager([BACK], TorchProbe()).run(model).model
    assert whole(model, after) < 1e-12
    assert after.graph.nodes["a"].params["weight"] != after.graph.nodes["y"].params["weight"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("b = batch_norm(x)\ny = relu(b)", "the input 'x' is before it"),
        ("a = conv(x)\nb = scale(a)\ny = add(a, b)", "'a' also feeds y"),
        ("a = conv(x)\nb = scale(a)\noutput y = b\noutput z = a", "'a' is an output of the network as well"),
        ("a = relu(x)\nb = batch_norm(a)", "relu 'a' bends at 0, which a shift would move"),
        ("a = sigmoid(x)\nb = scale(a)", "sigmoid 'a' stands in the way"),
        ("c = tanh(x)\na = concat(c, x)\nb = scale(a)", "the input 'x' is before it"),
        ("c = conv(x)\na = concat(c, c)\nb = scale(a)", "concat 'a' reads one value twice"),
        ("c = conv(x)\nd = relu(x)\na = add(c, d, c)\nb = scale(a)", "add 'a' reads one value twice, or repeats one"),
        ("c = conv(x)\nd = relu(c)\na = concat(c, x)\nb = scale(a)\ny = concat(b, d)", "the input 'x' is before it"),
        ("c = conv(x)\nd = tanh(x)\ne = relu(c)\na = concat(d, c)\nb = scale(a)\ny = concat(b, e)", "'c' also feeds e"),
        ("c = conv(x)\na = pad(c, padding=1)\nb = batch_norm(a)", "pad 'a' pads with zeros, which no shift reaches"),
        ("c = conv(x)\na = pad(c, padding=1, value=2)\nb = scale(a)", "pad 'a' pads with 2, which a map would change"),
        (
            "c = conv(x)\na = avg_pool(c, kernel=3, padding=1)\nb = batch_norm(a)",
            "avg_pool 'a' counts zeros of its padding, which no shift reaches",
        ),
        ("c = conv(x)\na = gather(c, indices=[1, 1, 2])\nb = scale(a)", "gather 'a' takes some channels more than once"),
        ("c = conv(x)\na = slice(c, end=4)\nd = slice(c, start=3)\nb = scale(a)\ny = concat(b, d)", "'c' also feeds d"),
        ("a = linear(x, out=9)\nb = scale(a)", "it goes along axis 1, linear 'a' along 3"),
        ("a = flatten(x)\nb = scale(a)", "flatten 'a' stands in the way"),
    ],
)  # fmt: skip
def test_it_stays_with_the_reason_before_it(lines: str, reason: str) -> None:
    assert refused(model_of(lines), BACK, "b") == reason


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("y = conv(b)", "conv 'y' pads with zeros, where a shift before it is missing"),
        ("y = relu(b)", "relu 'y' bends at 0, which a shift would move"),
        ("c = conv(b, kernel=1)\ny = tanh(b)\noutput c = c\noutput y = y", "tanh 'y' stands in the way"),
        ("c = conv(b, kernel=1)\noutput b = b\noutput c = c", "'b' is an output of the network"),
        ("y = conv_transpose(b)", "conv_transpose 'y' spreads each place over several"),
        ("p = avg_pool(b, kernel=3, padding=1)\ny = conv(p, kernel=1)", "avg_pool 'p' counts zeros"),
        ("p = max_pool(b, kernel=3)\ny = conv(p, kernel=1)", "max_pool 'p' takes the greatest, and some factor is negative"),
        ("c = concat(b, x, axis=3)\ny = conv(c, kernel=1)", "concat 'c' joins it with others along axis 3"),
        ("y = linear(b, out=4)", "it goes along axis 1, linear 'y' along 3"),
        ("y = sigmoid(b)", "sigmoid 'y' stands in the way"),
        ("c = concat(b, x)\nd = relu(c)\ny = conv(d, kernel=1)", "relu 'd' bends at 0, which a shift would move"),
    ],
)  # fmt: skip
def test_it_stays_with_the_reason_behind_it(lines: str, reason: str) -> None:
    found = refused(model_of(f"b = batch_norm(x)\n{lines}"), FORWARD, "b")
    assert found.startswith(f"before it, the input 'x' is before it; behind it, {reason}")


def test_arithmetic_that_is_no_map_per_channel_stays() -> None:
    along_width = "k = parameter(shape=[9])\ny = add(x, k)"
    larger = "k = parameter(shape=[2, 1, 1, 1])\ny = mul(x, k)"
    for lines in (along_width, larger, "a = tanh(x)\ny = add(a, x)", "k = constant(value=1.0)\ny = div(k, x)"):
        model = model_of(f"{lines}\nz = tanh(y)", "[2, 6, 9, 9]")
        for one in (BACK, FORWARD):
            assert one.run(model).model is model
    whole_numbers = graph("input x: int64[N, 6, 9, 9]\ny = neg(x)\nz = neg(y)")
    assert BACK.run(whole_numbers).model is whole_numbers
    zero = model_of("a = conv(x)\nk = constant(value=0.0)\ny = div(a, k)")
    assert BACK.run(zero).misses == (("y", "its numbers go along several axes, or one divides by 0"),)
    assert not BACK.run(model_of("a = tanh(x)\ny = add(a, x)")).misses


def test_every_batch_norm_that_stays_has_its_reason() -> None:
    dense = "a = conv(x)\nb = batch_norm(a)\nr = relu(b)\nc = concat(x, r)\nd = batch_norm(c)\ns = relu(d)\ny = conv(s)"
    done = PassManager(O1, TorchProbe()).run(model_of(dense))
    left = {node.name for node in done.model.graph if node.op.name == "batch_norm"}
    last = next(record for record in done.records if record.name == "fold_affine_forward")
    assert left == {"d"} == {site for site, _ in last.misses}
    assert "relu 's' bends at 0" in dict(last.misses)["d"]


def test_a_long_chain_needs_no_recursion() -> None:
    norms = "\n".join(f"b{i} = scale({f'b{i - 1}' if i else 'a'})" for i in range(400))
    after = PassManager([BACK]).run(model_of(f"a = conv(x)\n{norms}")).model
    assert to_text(after.graph).count("scale") == 0
    assert after.params["a.weight"].evaluate().shape == (6, 6, 3, 3)


@pytest.mark.parametrize(
    ("name", "lines", "one"),
    [
        ("per_output", "a = conv(x)\nb = scale(a)", BACK),
        ("offset", "a = conv(x)\nb = batch_norm(a)", BACK),
        ("per_input", "b = scale(x)\ny = conv(b)", FORWARD),
        ("through", "b = batch_norm(x)\ny = conv(b, padding=0)", FORWARD),
    ],
)
def test_a_mistake_is_caught(name: str, lines: str, one: Rewrite[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(lines)
    right = getattr(takers, name)
    monkeypatch.setattr(takers, name, lambda *given: right(*given) * 1.001)
    with pytest.raises(PassError, match=f"{one.name} changed the numbers at 'b'"):
        PassManager([one], TorchProbe()).run(model)


def test_a_border_overlooked_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takers, "_pads_zeros", lambda op: False)
    with pytest.raises(PassError, match="fold_affine_forward changed the numbers at 'b'"):
        PassManager([FORWARD], TorchProbe()).run(model_of("b = batch_norm(x)\ny = conv(b)"))


def test_fold_batchnorm_then_leaves_nothing_to_do() -> None:
    done = PassManager([FoldBatchNorm(), BACK, FORWARD]).run(model_of("a = conv(x)\nb = batch_norm(a)\ny = relu(b)"))
    assert [record.rewrites for record in done.records] == [1, 0, 0]


MEAN = "m = constant(value=[[[0.5]], [[0.4]], [[0.3]], [[0.2]], [[0.1]], [[0.6]]])\ns = constant(value=0.25)"


@pytest.mark.parametrize(
    ("lines", "ideal"),
    [
        ("a = conv(x)\nb = batch_norm(a)\ny = relu(b)", ["conv", "relu"]),
        ("b = batch_norm(x)\ny = conv(b, kernel=1)", ["conv"]),
        ("b = batch_norm(x)\ny = conv(b, padding=0)", ["conv"]),
        ("b = batch_norm(x)\ny = conv(b)", ["conv", "parameter", "add"]),
        ("a = conv(x)\nb = conv(x, kernel=1)\nc = concat(a, b)\ny = batch_norm(c)", ["conv", "conv", "concat"]),
        ("a = relu(x)\nb = batch_norm(a)\nc = batch_norm(b)\ny = relu(c)", ["relu", "batch_norm", "relu"]),
        ("a = conv(x)\nk = parameter(shape=[6, 1, 1])\nm = mul(a, k)\ny = add(m, k)", ["conv"]),
        ("a = conv(x)\nk = parameter(shape=[6, 1, 1])\nm = mul(k, a)\ny = add(m, x)", ["conv", "add"]),
        (f"{MEAN}\na = sub(x, m)\nb = div(a, s)\ny = conv(b, padding=0)", ["conv"]),
        (f"{MEAN}\na = sub(x, m)\nb = div(a, s)\ny = conv(b)", ["conv", "parameter", "add"]),
    ],
)
def test_micro_graphs_reach_their_ideal(lines: str, ideal: list[str]) -> None:
    """What a batch norm or an affine map would be if it were folded as far as algebra goes."""
    passes = [one.judged_by(replace(one.worth, enabled=False)) for one in (*O1, BorderBias())]
    assert proven(model_of(lines), *passes) == ideal


def test_a_fresh_norm_is_proven_with_factors_that_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = graph(f"input x: {IMAGE}\nn = layer_norm(x)\ny = conv(n, kernel=1)")
    monkeypatch.setattr(takers, "per_input", lambda op, weight, scale: weight)
    PassManager([FORWARD], TorchProbe()).run(fresh)  # a factor of 1 forgotten is not seen
    with pytest.raises(PassError, match="fold_affine_forward changed the numbers at 'n'"):
        PassManager([FORWARD], TorchProbe()).run(randomised(fresh) or fresh)


@pytest.mark.parametrize(
    "lines", ["k = constant(value=3.5)\nb = mul(c, k)", "b = neg(c)", "b = scale(c)", "b = batch_norm(c)"]
)
def test_one_number_for_two_parts_of_a_convolution_goes_to_each_channel_once(lines: str) -> None:
    parts = "s = slice(a, axis=1, end=2)\nt = slice(a, axis=1, start=2)\np = avg_pool(s, kernel=3)\nq = avg_pool(t, kernel=3)"
    model = model_of(f"a = conv(x, out=5)\n{parts}\nc = concat(p, q)\n{lines}")
    assert proven(model, BACK) == ["conv", "slice", "slice", "avg_pool", "avg_pool", "concat"]


def test_one_number_behind_a_part_leaves_the_other_part_alone() -> None:
    parts = "s = slice(a, axis=1, start=0, end=2)\nt = slice(a, axis=1, start=2)"
    model = model_of(f"a = conv(x, out=5)\n{parts}\nk = constant(value=3.5)\nb = mul(s, k)\nz = relu(t)")
    assert proven(model, BACK) == ["conv", "slice", "slice", "relu"]


@pytest.mark.parametrize(
    "lines",
    ["b = add(a, a)", "b = add(a, a, a)", "k = constant(value=3.5)\nb = add(a, k, a)", "c = add(a, a)\nb = neg(c)"],
)
def test_a_value_added_to_itself_is_a_factor(lines: str) -> None:
    assert proven(model_of(f"a = conv(x, out=5)\n{lines}"), BACK) == ["conv"]


def test_a_value_added_to_itself_may_go_forwards_or_merge() -> None:
    assert proven(model_of("r = relu(x)\nb = add(r, r)\ny = conv(b, out=5)"), FORWARD) == ["relu", "conv"]
    assert proven(model_of("a = conv(x)\nb = add(a, a)\ny = add(b, x)"), *O2) == ["conv"]


@pytest.mark.parametrize("lines", ["b = mul(a, a)", "b = sub(a, a)", "b = div(a, a)", "b = add(a, x, a)"])
def test_a_value_with_itself_is_no_factor_otherwise(lines: str) -> None:
    model = model_of(f"a = conv(x, out=6)\n{lines}")
    assert BACK.run(model).model is model
