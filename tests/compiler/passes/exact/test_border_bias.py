"""A shift before a padded convolution becomes a bias at each place, where the cost model agrees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convc.compiler.errors import PassError
from convc.compiler.ir import Model
from convc.compiler.ir.text import graph
from convc.compiler.passes import PassManager
from convc.compiler.passes.exact import BorderBias, border_bias
from convc.compiler.probe import TorchProbe, whole
from tests.fuzz.numbers import telling

OFF = BorderBias().judged_by(replace(BorderBias().worth, enabled=False))


def model_of(lines: str, image: str = "[N, 6, 9, 8]") -> Model:
    return telling(graph(f"input x: {image}\n{lines}"))


@pytest.mark.parametrize(
    "conv",
    [
        "conv(b)",
        "conv(b, out=4, bias=false, stride=2)",
        "conv(b, out=9, groups=3, kernel=5, dilation=2)",
        "conv(b, out=6, groups=6, padding=[0, 1, 2, 0])",
        "conv(b, kernel=[1, 3], stride=[2, 1])",
    ],
)
@pytest.mark.parametrize("before", ["batch_norm(x)", "add(x, k)", "sub(k, x)"])
def test_it_becomes_a_bias_of_each_place(conv: str, before: str) -> None:
    number = "" if before.startswith("batch") else "k = parameter(shape=[6, 1, 1])\n"
    model = model_of(f"{number}b = {before}\nc = {conv}\ny = tanh(c)")
    after = PassManager([OFF], TorchProbe()).run(model).model
    assert whole(model, after) < 1e-12
    assert [node.op.name for node in after.graph] == ["conv", "parameter", "add", "tanh"]
    assert after.graph.nodes["c/border"].type.shape == model.graph.nodes["c"].type.shape[1:]


@pytest.mark.parametrize("image", ["[N, 6, 40]", "[N, 3, 5, 6, 7]"])
def test_of_any_number_of_axes(image: str) -> None:
    model = model_of("b = batch_norm(x)\nc = conv(b, out=5)", image)
    after = PassManager([OFF], TorchProbe()).run(model).model
    assert [node.op.name for node in after.graph] == ["conv", "parameter", "add"]
    assert whole(model, after) < 1e-12


def test_the_cost_model_decides() -> None:
    one = BorderBias()
    narrow = model_of("b = batch_norm(x)\nc = conv(b, out=6, stride=2)", "[1, 64, 128, 128]")
    assert one.run(narrow).rewrites == 1
    wide = one.run(model_of("b = batch_norm(x)\nc = conv(b, out=64)"))
    assert not wide.rewrites
    assert "no faster on generic" in wide.misses[0][1]


@pytest.mark.parametrize(
    ("image", "lines", "reason"),
    [
        ("[N, 6, 9, 9]", "c = conv(b)\ny = add(b, c)", "'b' also feeds y"),
        ("[N, 6, H, 9]", "c = conv(b)", "hangs on its size, which is dynamic"),
        ("[N, 6, 9, 9]", "c = conv(b, padding_mode=reflect)", "it pads with reflect"),
    ],
)
def test_it_refuses_with_a_reason(image: str, lines: str, reason: str) -> None:
    model = model_of(f"b = batch_norm(x)\n{lines}", image)
    result = OFF.run(model)
    assert result.model is model
    assert reason in dict(result.misses)["c"]


def test_a_border_that_is_not_seen_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border_bias, "_inside", lambda op, axis, size, places: [[True] * 3] * places)
    with pytest.raises(PassError, match="border_bias changed the numbers at 'c'"):
        PassManager([OFF], TorchProbe()).run(model_of("b = batch_norm(x)\nc = conv(b)"))
