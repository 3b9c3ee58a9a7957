"""A graph survives its own text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from convc.compiler.errors import PassError
from convc.compiler.ir import DType, Model, SymDim, TensorType
from convc.compiler.ir.text import from_text, graph, to_text
from tests.compiler.ir.graphs import models


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_what_is_printed_reads_back_as_it_was(model: Model) -> None:
    text = to_text(model.graph)
    assert from_text(text) == model.graph
    assert to_text(from_text(text)) == text


def test_the_form() -> None:
    model = graph("""
        graph tiny
        symbol H multiple=32 minimum=64
        input image: [N, 3, H, 64]
        stem.conv = conv(image, out=8, stride=2, bias=false)
        twin = conv(stem.conv, out=8, bias=false)
        again = conv(twin, out=8, bias=false) with weight=twin.weight
        aux = relu(twin) train_only
        output score = again
        train_output aux
    """)
    assert str(model).splitlines() == [
        "graph tiny",
        "symbol H multiple=32 minimum=64",
        "input image: [N, 3, H, 64]",
        "stem.conv: [N, 8, H / 2, 32] = conv(image, out=8, kernel=[3, 3], stride=[2, 2], padding=[1, 1, 1, 1], "
        "dilation=[1, 1], bias=false)",
        "twin: [N, 8, H / 2, 32] = conv(stem.conv, out=8, kernel=[3, 3], stride=[1, 1], padding=[1, 1, 1, 1], "
        "dilation=[1, 1], bias=false)",
        "again: [N, 8, H / 2, 32] = conv(twin, out=8, kernel=[3, 3], stride=[1, 1], padding=[1, 1, 1, 1], "
        "dilation=[1, 1], bias=false) with weight=twin.weight",
        "aux: [N, 8, H / 2, 32] = relu(twin) train_only",
        "output score = again",
        "train_output aux = aux",
        "# 792 learnable values; 2 of 2 parameters",
    ]
    assert from_text(str(model)) == model.graph


@pytest.mark.parametrize(
    "call",
    [
        "conv(x, out=4, padding=same_upper, padding_mode=reflect)",
        "conv(x, out=4, init=normal(0.02))",
        'conv(x, padding="half")',
        "constant(value=[[1, 2.5], [-3e-05, 4]])",
        "clip(x, min=-1.5)",
        "batch_norm(x, eps=1e-08, scale=false)",
        "reshape(x, shape=[0, 4, -1])",
        "reshape(x, shape=[(N), 2, 2, 63])",
        "leaky_relu(x, slope=0.3)",
    ],
)
def test_every_kind_of_argument(call: str) -> None:
    found = from_text(f"input x: [N, 4, 9, 7]\ny = {call}")
    assert from_text(to_text(found)) == found


def test_types_other_than_float32_and_comments() -> None:
    found = from_text("input ids: int64[N, 4]  # tokens\n\n# nothing\ny = identity(ids)")
    assert found.inputs["ids"] == TensorType((SymDim.symbol("N"), 4), DType.int64)
    assert found.outputs == {"output": "y"}


def test_a_given_type_is_taken_as_it_stands_and_the_check_says_so() -> None:
    text = "input x: [N, 4]\ny: [N, 5] = relu(x)"
    assert from_text(text).nodes["y"].type.shape[1] == 5
    with pytest.raises(PassError, match=r"node 'y' \(relu\): recorded as \[N, 5\], but yields \[N, 4\]"):
        graph(text)


def test_a_node_may_have_the_name_of_a_header() -> None:
    found = from_text("input x: [N, 4]\ninput = relu(x)\noutput: [N, 4] = relu(input)\noutput y = output")
    assert list(found.nodes) == ["input", "output"]
    assert from_text(to_text(found)) == found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("y = conf(x)", "no operator is called 'conf'"),
        ("y = relu(z)", "no line above yields 'z'"),
        ("x = relu(x)", "there is already a value called 'x'"),
        ("y = conv(x, kernal=3)", "conv has no argument 'kernal'"),
        ("y = max_pool(x)", "max_pool needs 'kernel'"),
        ("y = relu(x) with weight=w", "relu has no parameter 'weight'"),
        ("y = relu(x) twice", "expected the end of the line, found 'twice'"),
        ("y = relu(x", "expected ',', found 'the end of the line'"),
        ("y = linear(x, out=$)", "expected a name, found '\\$'"),
        ("y: [N, 4 +] = relu(x)", "cannot read the size"),
        ("y: [N, f(2)] = relu(x)", "a size is made of"),
        ("symbol H even=2", "a symbol promises"),
        ("output z = y", "no line above yields 'y'"),
        ("y = conv(x, kernel=99, padding=0)", "larger than the padded input"),
    ],
)
def test_a_mistake_names_the_line(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"line 2: (?s:.*){message}"):
        from_text(f"input x: [N, 4, 9, 9]\n{line}")


def test_fresh_parameters_follow_the_seed() -> None:
    text = "input x: [N, 4]\ny = linear(x, out=3)"
    first, again, other = graph(text), graph(text), graph(text, seed=1)
    assert (first.params["y.weight"].evaluate() == again.params["y.weight"].evaluate()).all()
    assert (first.params["y.weight"].evaluate() != other.params["y.weight"].evaluate()).any()


def test_train_only_is_part_of_the_text() -> None:
    found = from_text("input x: [N, 4]\ny = relu(x)\na = relu(y) train_only\noutput y\ntrain_output a")
    bare = replace(found.nodes["a"], train_only=False)
    assert found.nodes["a"].train_only
    assert from_text(to_text(found)).nodes["a"] != bare
