"""Declared parameters: types and defaults; what variants, `--set` and Python give them."""

from __future__ import annotations

from typing import Any

import pytest

from convc.compiler.errors import UsageError
from convc.compiler.frontend.settings import Options
from tests.compiler.frontend.nets import Nets, args


def value(nets: Nets, declared: str, variant: str | None = None, **given: Any) -> Any:
    return nets.net(
        f"params: {{before: 3, p: {declared}}}\nvariants: {{v: {{}}}}\nnetwork: [relu]", variant, **given
    ).params["p"]


@pytest.mark.parametrize(
    ("declared", "wanted"),
    [
        ("1", 1), ("1.5", 1.5), ("true", True), ("relu", "relu"), ("[1, 2]", (1, 2)), ("[[1], [a, null]]", ((1,), ("a", None))),
        ("null", None), ("'int'", "int"), ("'a = b'", "a = b"), ("int = 4", 4), ("int = before * 2", 6), ("number = 1 / 2", 0.5),
        ("bool = before == 3", True), ("text = relu", "relu"), ("text = 'relu'", "relu"), ("text = null", None),
        ("text = $before", None), ("list = range(3)", (0, 1, 2)), ("'list = [before, 2]'", (3, 2)), ("padding = half", "half"),
        ("padding = before // 2", 1), ("any = half", "half"), ("any = before", 3), ("number = null", None), ("int = null", None),
        ("'int = max(before, 9)'", 9), ('"text = \'a, b\'"', "a, b"), ("{type: int = 4, doc: four}", 4), ("{default: 7}", 7),
    ],
)  # fmt: skip
def test_a_parameter_has_a_type_and_a_default(nets: Nets, declared: str, wanted: object) -> None:
    if declared == "text = $before":
        assert (
            "`p` is 3, expected text" in nets.problem(f"params: {{before: 3, p: {declared}}}\nnetwork: [relu]").message
        )
    else:
        assert value(nets, declared) == wanted


@pytest.mark.parametrize(
    ("declared", "message", "hint"),
    [
        ("integer = 3", "the type 'integer', which there is not", "did you mean 'int'?"),
        ("float", "the type 'float', which there is not", "types: int, number"),
        ("int = 1.5", "`p` is 1.5, expected a whole number", "declare it `p: number = ...`"),
        ("bool = 1", "`p` is 1, expected true or false", ""),
        ("list = 3", "`p` is 3, expected a list", "write `[3]` for a list of one"),
        ("int = after", "unknown name 'after'", ""),
        ("int = x.channels", "unknown name 'x'", ""),
        ("padding = hlf", "no padding", "did you mean 'half'?"),
        ("{typ: int}", "parameter 'p' is a mapping", "declare a type"),
        ("[{a: 1}]", "holds a mapping", ""),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(nets: Nets, declared: str, message: str, hint: str) -> None:
    found = nets.problem(f"params: {{p: {declared}}}\nnetwork: [relu]")
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize("name", ["x", "true", "and", "2nd", "a-b", "in"])
def test_a_parameters_name_is_no_word_of_the_language(nets: Nets, name: str) -> None:
    assert f"a parameter cannot be called '{name}'" in nets.problem(f"params: {{'{name}': 3}}\nnetwork: [relu]").message


def test_the_error_points_into_the_declaration(nets: Nets) -> None:
    for declared in ("int = 2 * beefore", "'int = 2 * beefore'"):
        found = nets.problem(f"params: {{before: 1, p: {declared}}}\nnetwork: [relu]")
        assert found.mark is not None
        assert found.mark.source.line(found.mark.line)[found.mark.column - 1 :].startswith("beefore")
        assert "did you mean 'before'?" in found.hint


# -- variants, --set and Python

SPEC = """\
params: {width: 1.0, depths: [1, 2], act: relu, double: number = 2 * width, wide: bool = false, need: int, pad: padding = half}
variants:
  small: {width: 0.5, need: 1}
  other: {depths: [3], need: 2, act: no, width: null, pad: [1, 2]}
network: [relu]
"""


def test_a_variant_is_data_and_later_defaults_see_it(nets: Nets) -> None:
    small = nets.net(SPEC, "small").params
    assert (small["width"], small["double"], small["need"]) == (0.5, 1.0, 1)
    other = nets.net(SPEC, "other").params
    assert (other["width"], other["depths"], other["act"], other["pad"]) == (1.0, (3,), "no", (1, 2))


def test_what_is_set_comes_before_the_variant(nets: Nets) -> None:
    found = nets.net(SPEC, "small", width="2", depths="[4, 5]", act="no", wide="true", pad="valid").params
    assert dict(found) == {
        "width": 2.0,
        "depths": (4, 5),
        "act": "no",
        "double": 4.0,
        "wide": True,
        "need": 1,
        "pad": "valid",
    }
    assert nets.net(SPEC, "small", depths=[7], width=3, act="012").params["act"] == "012"
    assert nets.net(SPEC, "small", width=None).params["width"] == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"widht": 2}, "has no parameter 'widht'"),
        ({"width": "2 * 3"}, "--set `width` is the text '2 * 3', expected a number"),
        ({"width": "wide"}, "--set `width` is the text 'wide', expected a number"),
        ({"width": [1]}, "--set `width` is the list [1], expected a number"),
        ({"depths": "3"}, "--set `depths` is 3, expected a list"),
        ({"depths": "[{a: 1}]"}, "expected data"),
        ({"depths": "[1, 2"}, "--set depths=[1, 2"),
        ({"wide": 1}, "--set `wide` is 1, expected true or false"),
        ({"need": 1.5}, "--set `need` is 1.5, expected a whole number"),
        ({"act": [1]}, "--set `act` is the list [1], expected text"),
        ({"pad": "hlf"}, "--set `pad` is 'hlf'"),
        ({"width": "1e999"}, "infinity"),
    ],
)
def test_what_is_set_wrongly_is_a_matter_of_arguments(nets: Nets, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        nets.net(SPEC, "small", **given)
    assert message in str(caught.value)


def test_a_required_parameter_must_be_set_and_a_variant_must_be_there(nets: Nets) -> None:
    with pytest.raises(UsageError, match="needs a value for 'need'"):
        nets.net(SPEC)
    with pytest.raises(UsageError) as caught:
        nets.net(SPEC, "smal")
    assert caught.value.hint == "did you mean 'small'?"


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("{widht: 1}", "variant 'v' sets 'widht', which is no parameter"),
        ("{width: 2 * 3}", "variant 'v': `width` is the text '2 * 3', expected a number"),
        ("{width: [1]}", "expected a number"),
        ("{width: {a: 1}}", "expected data"),
        ("3", "`variants: v` is the number 3, expected a mapping"),
    ],
)
def test_what_is_wrong_with_a_variant_is_said(nets: Nets, variant: str, message: str) -> None:
    found = nets.problem(f"params: {{width: 1.0}}\nvariants: {{v: {variant}}}\nnetwork: [relu]", "v")
    assert message in found.message


# -- inputs


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (Options(), "[N, 3, H, 20]"),
        (Options(batch=2), "[2, 3, H, 20]"),
        (Options(batch="dynamic"), "[N, 3, H, 20]"),
        (Options(size=[24]), "[N, 3, 24, 24]"),
        (Options(size=[24, 32]), "[N, 3, 24, 32]"),
        (Options(size="dynamic"), "[N, 3, H, W]"),
    ],
)
def test_sizes_of_the_input_and_what_overrides_them(nets: Nets, options: Options, wanted: str) -> None:
    text = (
        "params: {size: 10}\nsymbols: {H: {multiple: 8, min: 16}}\ninput: {image: [N, 3, H, 2 * size]}\nnetwork: [relu]"
    )
    net = nets.net(text, options=options)
    assert str(net.graph.inputs["image"]) == wanted
    (height,) = [net.graph.inputs["image"].shape[2] // 8 * 8]
    assert height == net.graph.inputs["image"].shape[2]


def test_several_inputs_and_their_types(nets: Nets) -> None:
    net = nets.net("input: {a: [N, 3, 8, 8], b: {shape: [N, 5], dtype: int64}}\nnetwork: [relu]")
    assert {name: str(type_) for name, type_ in net.graph.inputs.items()} == {"a": "[N, 3, 8, 8]", "b": "int64[N, 5]"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{}", "the spec has no input"),
        ("{a: 3}", "input 'a' has no shape"),
        ("{a: []}", "input 'a' has no shape"),
        ("{a: [N, 0]}", "a dimension is 0, expected at least 1"),
        ("{a: [N, -3]}", "a dimension is -3, expected at least 1"),
        ("{a: [N, 1.5]}", "a dimension is 1.5"),
        ("{a: [N, n]}", "unknown name 'n'"),
        ("{a: [N, [3]]}", "a dimension is a list"),
        ("{a: [N, 99999999999]}", "expected at most"),
        ("{a: [N, 60000, 60000]}", "more than 2,147,483,647 values"),
        ("{x: [N, 3]}", "an input cannot be called 'x'"),
        ("{a b: [N, 3]}", "an input cannot be called 'a b'"),
        ("{a: {shape: [N], dtyp: int64}}", "an input has no key 'dtyp'"),
        ("{a: {shape: [N], dtype: int8}}", "an input's dtype is the text 'int8'"),
        ("{a: [1, 1, 1, 1, 1, 1, 1, 1, 1]}", "has 9 axes"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_input_is_said(nets: Nets, given: str, message: str) -> None:
    assert message in nets.problem(f"input: {given}\nnetwork: [relu]").message


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ("{H: {multpile: 8}}", "a symbol promises no 'multpile'"),
        ("{H: {multiple: 0}}", "`multiple` is the number 0, expected a whole number above 0"),
        ("{H: {multiple: true}}", "`multiple` is the truth value true"),
        ("{H: {min: 1.5}}", "`min` is the number 1.5"),
        ("{H: 8}", "`symbols: H` is the number 8, expected a mapping"),
        ("[H]", "`symbols` is a list, expected a mapping"),
    ],
)
def test_what_is_wrong_with_a_promise_is_said(nets: Nets, promise: str, message: str) -> None:
    assert message in nets.problem(f"symbols: {promise}\nnetwork: [relu]").message


def test_a_promise_keeps_sums_even(nets: Nets) -> None:
    text = (
        "symbols: {{H: {{multiple: {}}}}}\ninput: {{image: [N, 3, H, 8]}}\n"
        "network: [{{max_pool: 2}}, {{resize: 2}}, {{add: [x, image]}}]"
    )
    assert str(nets.net(text.format(2)).graph.type_of("add")) == "[N, 3, H, 8]"
    assert "height differs" in nets.problem(text.format(1)).message
    assert args(nets.net(text.format(2)), "resize")["scale"] == (2.0, 2.0)
