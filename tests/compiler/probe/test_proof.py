"""What the probe measures, at which sizes, and that its short cuts are PyTorch's own operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.compiler.errors import PassError
from convc.compiler.ir import Editor, Model, Param, Region, Seeded, Stored, constant
from convc.compiler.ir.text import graph
from convc.compiler.ops import OPS
from convc.compiler.passes import O2, PassManager
from convc.compiler.passes.exact import FoldBatchNorm
from convc.compiler.probe import TorchProbe, randomised, whole
from convc.compiler.probe import float64 as running
from convc.compiler.probe.float64 import depthwise
from convc.compiler.probe.proof import difference
from convc.compiler.probe.sizes import plans


def region_of(model: Model, *writes: Any) -> Region:
    """The region of some writes."""
    edit = model.edit()
    with edit.region("test", "site"):
        for write in writes:
            write(edit)
    return edit.regions[0]


def shapes(region: Region) -> list[dict[str, str]]:
    return [{name: str(type_) for name, type_ in plan.inputs.items()} for plan in plans(region)]


def folded(text: str) -> Region:
    return FoldBatchNorm().run(graph(text)).regions[0]


# -- sizes


@pytest.mark.parametrize(
    ("shape", "call", "expected"),
    [
        ("[N, 8, 224, 224]", "conv(x, kernel=1)", [[1, 8, 3, 4], [2, 8, 4, 3]]),
        ("[N, 8, 224, 224]", "conv(x)", [[1, 8, 7, 8], [2, 8, 6, 5]]),
        ("[N, 8, H, W]", "conv(x)", [[1, 8, 7, 8], [2, 8, 6, 5]]),
        ("[N, 8, 500]", "conv(x, kernel=5)", [[1, 8, 11], [2, 8, 8]]),
        ("[4, 8, 50, 50, 50]", "conv(x)", [[1, 8, 7, 8, 7], [2, 8, 6, 5, 6]]),
        ("[N, 3, 224, 224]", "conv(x, kernel=11, stride=4, padding=2)", [[1, 3, 23, 26], [2, 3, 14, 15]]),
        ("[N, 8, 56, 56]", "conv(x, kernel=1, stride=2)", [[1, 8, 3, 4], [2, 8, 4, 3]]),
    ],
)  # fmt: skip
def test_sizes_are_small_and_tell_about_pads(shape: str, call: str, expected: list[list[int]]) -> None:
    region = folded(f"input x: {shape}\nc = {call}\nb = batch_norm(c)")
    assert shapes(region) == [{"x": str(sizes)} for sizes in expected]


def test_a_stride_is_seen_where_a_window_just_fits_and_where_one_would_be_added() -> None:
    region = folded("input x: [N, 3, 99, 99]\nc = conv(x, kernel=11, stride=4, padding=2)\nb = batch_norm(c)")
    for plan in plans(region):
        heights, widths = plan.inputs["x"].shape[2:]
        assert {(int(str(n)) + 4 - 11) % 4 for n in (heights, widths)} == {0, 3}


def test_operators_that_insist_on_their_sizes_get_them() -> None:
    region = folded("input x: [N, 4, 8, 8]\nf = flatten(x)\nc = linear(f, out=6)\nb = batch_norm(c)")
    assert shapes(region) == [{"f": "[2, 256]"}]
    fixed = graph(
        "input x: [1, 4, 8, 8]\na = relu(x)\nr = reshape(a, shape=[1, 4, 64])\nc = conv(r)\nb = batch_norm(c)"
    )
    region = region_of(
        fixed, lambda e: e.include("r"), lambda e: e.include("c"), lambda e: e.set_op("b", e.node("b").op)
    )
    assert shapes(region) == [{"a": "[1, 4, 8, 8]"}]


def test_a_pyramid_keeps_its_ratios() -> None:
    text = "input x: [N, 4, 64, 64]\np = max_pool(x, kernel=2)\nu = resize(p, scale=2)\ny = add(u, x)"
    region = region_of(graph(text), lambda e: e.include("u"), lambda e: e.set_inputs("y", ("u", "x")))
    small = shapes(region)
    assert small[0] == {"p": "[1, 4, 3, 4]", "x": "[1, 4, 6, 8]"}
    assert TorchProbe().max_error(region) == 0


def test_a_rewrite_may_be_exact_at_promised_sizes_alone() -> None:
    model = graph("symbol H multiple=2\ninput x: [N, 4, H, 6]\na = conv(x, kernel=2, stride=2, padding=0)")

    def pad(edit: Editor) -> None:
        op: Any = model.graph.nodes["a"].op
        edit.set_op("a", replace(op, padding=(0, 0, 1, 1)))

    assert TorchProbe().max_error(region_of(model, pad)) == float("inf")
    region = region_of(model, Editor.fix_sizes, pad)
    assert shapes(region) == [{"x": "[2, 4, 10, 6]"}]
    assert TorchProbe().max_error(region) == 0


def test_a_promise_of_a_dynamic_size_is_kept_where_it_matters() -> None:
    text = """
        symbol H multiple=8 minimum=16
        input x: [N, 4, H, 6]
        a = relu(x)
        b = slice(a, axis=2, end=16)
        c = slice(b, axis=2, end=12)
    """
    region = region_of(graph(text), lambda e: e.include("c"), lambda e: e.set_inputs("b", ("a",)))
    assert shapes(region) == [{"a": "[2, 4, 16, 6]"}]


@pytest.mark.parametrize(
    "line",
    [
        "b = reshape(a, shape=[0, 2, 2, (H), (W)])\nc = reshape(b, shape=[0, 4, (H), (W)])",
        "b = resize(a, size=[(2 * H), (W)])\nc = crop(b, size=[(H), (W)])",
        "b = pad(a, padding=[(H), 1])\nc = slice(b, axis=2, start=(H))",
    ],
)
def test_a_dynamic_size_among_the_arguments_is_known_where_the_network_runs(line: str) -> None:
    model = graph(f"input x: [N, 4, H, W]\na = relu(x)\n{line}\nd = conv(c)\ne = batch_norm(d)")
    after = PassManager(O2, TorchProbe()).run(model).model
    assert 0 < whole(model, after) < 1e-12


def test_a_dynamic_size_deep_inside_leaves_something_to_run_on() -> None:
    model = graph(
        "input x: [N, 4, H, W]\na = conv(x, kernel=21, padding=0)\nb = transpose(a, perm=[0, 1, 2, 3])\nc = relu(b)"
    )
    region = region_of(model, Editor.fix_sizes, lambda e: e.bypass("b"))
    assert shapes(region) == [{"a": "[2, 4, 13, 13]"}]
    assert TorchProbe().max_error(region) == 0


def test_what_is_only_true_at_the_sizes_of_the_network_is_true() -> None:
    """A pool over all of a map of fixed size is a global pool, there and nowhere else."""
    text = "input x: [N, 4, 7, 7]\na = relu(x)\nb = avg_pool(a, kernel=7)"

    def pool_all(edit: Editor) -> None:
        edit.set_op("b", OPS["global_avg_pool"](keepdims=True))  # type: ignore[call-arg]

    assert TorchProbe().max_error(region_of(graph(text), pool_all)) == float("inf")
    assert TorchProbe().max_error(region_of(graph(text), Editor.fix_sizes, pool_all)) < 1e-12


# -- the measure


def tensor(values: Iterable[Any]) -> torch.Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.0),
        ([[1.0, 2.0]], [[1.1, 2.0]], 0.1),
        ([[1.0, 1000.0]], [[1.1, 1000.0]], 0.1),
        ([[1.0, 1e6]], [[1.1, 1e6]], 1e-4),
        ([[0.0, 0.0]], [[0.0, 0.0]], 0.0),
        ([1.0, 4.0], [1.0, 5.0], 0.25),
        ([[float("nan"), 1.0]], [[1.0, 1.0]], float("inf")),
        ([[1.0, 1.0]], [[float("nan"), 1.0]], float("inf")),
        ([[1.0, 1.0]], [[float("inf"), 1.0]], float("inf")),
        ([[float("inf"), 1.0]], [[-float("inf"), 1.0]], float("inf")),
        ([[float("inf"), 1.0]], [[float("inf"), 1.5]], 0.5),
        ([[1.0, 2.0]], [[1.0], [2.0]], float("inf")),
    ],
)
def test_a_channel_counts_by_its_own_scale(before: list[Any], after: list[Any], expected: float) -> None:
    assert difference(tensor(before), tensor(after)) == pytest.approx(expected)


def test_zero_that_becomes_something_is_an_error() -> None:
    assert difference(tensor([[0.0]]), tensor([[1e-30]])) > 1


def test_a_nan_is_an_error_even_on_both_sides() -> None:
    model = graph("input x: [N, 4, 9, 9]\na = conv(x)\nb = batch_norm(a)")
    bad = Model(model.graph, {**model.params, "b.running_var": constant(-1.0, (4,))}, model.trained)
    (region,) = FoldBatchNorm().run(bad).regions
    with np.errstate(invalid="ignore"):
        assert TorchProbe().max_error(region) == float("inf")


def test_an_operator_with_a_bounded_domain_is_given_what_it_knows() -> None:
    model = graph("input x: [N, 4, 9, 9]\na = relu(x)\nb = sqrt(a)\nc = sqrt(b)")
    same = region_of(model, lambda e: e.set_op("b", OPS["sqrt"]()))
    assert TorchProbe().max_error(same) == 0
    other = region_of(model, lambda e: e.set_op("b", OPS["abs"]()))
    assert TorchProbe().max_error(other) > 0.1


def test_every_output_of_a_region_is_compared() -> None:
    model = graph("input x: [N, 4, 9, 9]\na = relu(x)\nb = sigmoid(a)\noutput y = a\noutput z = b")
    region = region_of(model, lambda e: e.include("a"), lambda e: e.set_op("b", OPS["tanh"]()))
    assert [old for old, _ in region.outputs] == ["a", "b"]
    assert TorchProbe().max_error(region) > 0.1


def test_whole_numbers_are_fed_as_such() -> None:
    model = graph("input x: int64[N, 4]\na = identity(x)\nb = identity(a)")
    assert TorchProbe().max_error(region_of(model, lambda e: e.bypass("b"))) == 0


def test_a_region_that_nobody_reads_needs_no_proof() -> None:
    model = graph("input x: [N, 4]\na = relu(x)\nb = relu(x)\noutput y = a")
    assert TorchProbe().max_error(region_of(model, lambda e: e.drop("b"))) == 0


def test_the_same_seed_gives_the_same_error_whatever_the_threads() -> None:
    region = folded("input x: [N, 8, 9, 9]\nc = conv(x)\nb = batch_norm(c)")
    before = torch.get_num_threads()
    first = TorchProbe(1).max_error(region)
    assert first == TorchProbe(1).max_error(region) > 0
    assert torch.get_num_threads() == before


def test_a_lazy_parameter_is_computed_once_a_region() -> None:
    calls: list[int] = []

    def counted(array: Any) -> Any:
        calls.append(1)
        return array * 2

    model = graph("input x: [N, 8, 9, 9]\nc = conv(x)\nb = batch_norm(c)")
    lazy = model.params["c.weight"].apply((8, 8, 3, 3), counted, "counted")
    model = Model(model.graph, {**model.params, "c.weight": lazy}, model.trained)
    (region,) = FoldBatchNorm().run(model).regions
    assert TorchProbe().max_error(region) < 1e-12
    assert len(calls) == 1


# -- short cuts


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_depthwise_is_pytorchs(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    axes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, stride, dilation, padding = (data.draw(axes) for _ in range(4))
    channels, times, bias = data.draw(st.integers(2, 4)), data.draw(st.integers(1, 3)), data.draw(st.booleans())
    x = torch.randn(2, channels, *data.draw(st.tuples(*[st.integers(5, 9)] * rank)), dtype=torch.float64)
    w = torch.randn(channels * times, 1, *kernel, dtype=torch.float64)
    b = torch.randn(channels * times, dtype=torch.float64) if bias else None
    conv = getattr(torch.nn.functional, f"conv{rank}d")
    expected = conv(x, w, b, stride, padding, dilation, channels)
    torch.testing.assert_close(depthwise(x, w, b, stride, padding, dilation), expected, rtol=1e-12, atol=1e-12)


def test_a_vast_linear_is_the_same_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    model = graph("input x: [N, 30]\na = linear(x, out=17)\nb = relu(a)\nc = linear(b, out=50, bias=false)")
    assert whole(model, model) == 0
    rounded = {name: Stored(np.array(p.evaluate(), np.float64)) for name, p in model.params.items()}
    same = Model(model.graph, rounded, model.trained)
    assert whole(model, same) == 0
    monkeypatch.setattr(running, "_STRIP", 60)
    assert whole(model, same) < 1e-14


# -- the whole network


CLASSIFIER = """
    input x: [N, 3, 224, 224]
    a = conv(x, out=8, stride=2, bias=false)
    b = batch_norm(a)
    c = relu(b)
    aux = global_avg_pool(c) train_only
    d = conv(c, out=8, stride=2)
    e = batch_norm(d)
    f = global_avg_pool(e)
    g = linear(f, out=5)
    output y = g
    train_output aux
"""


def changed(model: Model, **params: Param) -> Model:
    held: Mapping[str, Param] = {**model.params, **{k.replace("_", ".", 1): v for k, v in params.items()}}
    return Model(model.graph, MappingProxyType(dict(held)), model.trained)


def test_the_whole_is_compared() -> None:
    model = graph(CLASSIFIER)
    after = PassManager(O2, TorchProbe()).run(model).model
    assert 0 < whole(model, after) < 1e-12
    weight = after.params["d.weight"]
    assert whole(model, changed(after, d_weight=weight * 1.001)) > 1e-6


def test_fixed_sizes_are_kept_where_the_network_needs_them() -> None:
    model = graph(CLASSIFIER.replace("global_avg_pool(e)", "flatten(e)"))
    after = PassManager(O2).run(model).model
    assert whole(model, after) < 1e-12


def test_dynamic_sizes_and_several_inputs() -> None:
    model = graph("""
        symbol H multiple=32
        input x: [N, 3, H, W]
        input y: [N, 4]
        a = conv(x, out=4)
        b = batch_norm(a)
        c = global_avg_pool(b)
        d = add(c, y)
        output y = d
    """)
    after = PassManager(O2, TorchProbe()).run(model).model
    assert 0 < whole(model, after) < 1e-12


def test_what_overflows_alike_is_no_difference() -> None:
    lines = "\n".join(f"n{i} = mul({f'n{i - 1}' if i else 'x'}, {f'n{i - 1}' if i else 'x'})" for i in range(1200))
    model = graph(f"input x: [N, 4]\n{lines}\nd = dropout(n1199)\ne = relu(d)")
    assert whole(model, PassManager(O2).run(model).model) == 0


def test_other_outputs_are_refused() -> None:
    one, two = graph("input x: [N, 4]\na = relu(x)"), graph("input x: [N, 4]\na = relu(x)\noutput other = a")
    with pytest.raises(PassError, match="the networks differ in their inputs or outputs"):
        whole(one, two)


# -- numbers that tell


def test_only_what_says_nothing_is_replaced() -> None:
    model = graph("input x: [N, 4, 9, 9]\nc = conv(x)\nb = batch_norm(c)")
    fresh = randomised(model)
    assert fresh is not None
    changed_names = {name for name in model.params if fresh.params[name] is not model.params[name]}
    assert changed_names == {"c.bias", "b.weight", "b.bias"}, "fresh statistics are random already"
    assert randomised(fresh) is None
    assert fresh.trained == model.trained


def test_neutral_statistics_are_replaced_by_variances_above_zero() -> None:
    model = graph("input x: [N, 64]\nb = batch_norm(x)")
    neutral = changed(model, b_running_mean=constant(0.0, (64,)), b_running_var=constant(1.0, (64,)))
    fresh = randomised(neutral)
    assert fresh is not None
    assert isinstance(fresh.params["b.running_var"], Seeded)
    assert fresh.params["b.running_var"].evaluate().min() > 0.4
    assert fresh.params["b.running_mean"].evaluate().std() > 0.1


def test_a_region_that_costs_too_much_is_run_where_each_tap_just_meets_data() -> None:
    region = folded(
        "input x: [N, 512, 65, 65]\nc = conv(x, out=512, dilation=36, padding=36, bias=false)\nb = batch_norm(c)"
    )
    assert shapes(region) == [{"x": "[1, 512, 38, 38]"}]
    assert TorchProbe().max_error(region) < 1e-12
