"""Where a value is expected: names, parts, numbers, conditional references; and what is never one."""

from __future__ import annotations

import pytest

from tests.compiler.frontend.nets import Nets, args, names, node, reads, shape

HEAD = """\
- branches: {left: [relu], right: [tanh]}
  id: b
- split: 2
  from: image
  id: parts
- neg:
  from: image
  id: one
"""


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ("[one, x]", ("one", "one")),
        ("[b.left, b.right]", ("b.left", "b.right")),
        ("b.*", ("b.left", "b.right")),
        ("[b.*, one, b.*]", ("b.left", "b.right", "one", "b.left", "b.right")),
        ("['b[1]', 'b[-2]', b.0]", ("b.right", "b.left", "b.left")),
        ("[one.*, one.0, 'one[0]']", ("one", "one", "one")),
        ("['b[len(b) - 1]', 'parts[len(one)]']", ("b.right", "parts.1")),
        ("[b.left if one.channels == 4 else b.right, one if false else b.left]", ("b.left", "b.left")),
        ("['b[0] if k < len(b) else x', 'b[k] if k < len(b) else x']", ("one", "one")),
        ("[image, [b.*, [one]], x]", ("image", "b.left", "b.right", "one", "one")),
        ("b", ("b.left", "b.right")),
    ],
)
def test_a_name_leads_to_its_value(nets: Nets, values: str, wanted: tuple[str, ...]) -> None:
    axis = 1 if "parts" in values else 2
    found = reads(nets.steps(f"{HEAD}- concat: {values}\n  id: out\n  axis: {axis}", "params: {k: 2}\n"))
    assert found["out"] == wanted


def test_a_number_is_a_constant(nets: Nets) -> None:
    net = nets.steps("- mul: [x, 0.8]\n- add: [2, x, 1e-3]\n- add:\n  from: [x, 7]", "")
    assert reads(net)["mul"] == ("image", "mul.constant")
    assert [args(net, name)["value"] for name in names(net) if node(net, name).op.name == "constant"] == [
        0.8,
        2.0,
        1e-3,
        7.0,
    ]
    assert shape(net) == "[N, 4, 16, 16]"


def test_a_parameter_or_an_expression_may_be_the_number(nets: Nets) -> None:
    net = nets.steps("- mul: [x, gain]\n- add: [x, 1 / 4]", "params: {gain: 3}\n")
    assert [args(net, f"{op}.constant")["value"] for op in ("mul", "add")] == [3.0, 0.25]


def test_a_value_is_found_before_a_parameter_of_its_name(nets: Nets) -> None:
    net = nets.steps("- relu:\n  id: out\n- tanh\n- add: [x, out, out if true else x]", "params: {out: 3}\n")
    assert reads(net)["add"] == ("tanh", "out", "out")


def test_x_is_the_incoming_value_and_its_parts_can_be_read(nets: Nets) -> None:
    net = nets.steps("- split: 2\n- mul: ['x[0]', x.1]\n- linear: x.width\n- conv: x.channels + 1")
    assert reads(net)["mul"] == ("split.0", "split.1")
    assert args(net, "conv")["out"] == 3


def test_of_several_values_expressions_ask_the_first(nets: Nets) -> None:
    net = nets.steps(
        "- conv: 6\n  id: a\n- seq: [concat, {conv: x.channels}]\n"
        "  from: [a, image]\n  id: s\n- seq: [{conv: x.channels}]\n  from: image"
    )
    assert args(net, "s.conv")["out"] == 10
    inner = nets.steps("- conv: 6\n  id: a\n- concat:\n  from: [a, image]\n  when: x.channels == 6\n")
    assert names(inner) == ["a", "concat"]


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ("[x, lft]", "no value is called 'lft' here", "names that can be read here"),
        ("[x, onee]", "no value is called 'onee'", "did you mean 'one'?"),
        ("[x, b.lft]", "'b.lft': there is no part 'lft'", "it has 2: left, right"),
        ("[x, one.left]", "'one.left': 'one' is one value and has no part 'left'", ""),
        ("[x, b.2]", "there is no part '2'", "it has 2"),
        ("[x, 'b[2]']", "index 2 is out of range", "from 0 to 1"),
        ("[x, true]", "'true' names no value", ""),
        ("[x, null]", "names no value", ""),
        ("[x, one + 1]", "cannot add", "no arithmetic on tensors"),
        ("[x, 'one * one']", "cannot multiply", "operators do that"),
        ("[x, image.height]", "'image.height': 'image' is one value", ""),
        ("[x, {one: 1}]", "a mapping stands where the name of a value is expected", ""),
        ("[x, \"'text'\"]", "is the text 'text', expected the name of a value", ""),
        ("[x, 'one.shape if true else x']", "is the list", ""),
    ],
)
def test_what_names_no_value_is_refused(nets: Nets, values: str, message: str, hint: str) -> None:
    found = nets.fault(f"{HEAD}- add: {values}")
    assert message in found.message
    assert hint in found.hint
    assert found.mark is not None
    assert found.mark.line == 12


def test_names_inside_a_named_combinator_are_read_below_its_id(nets: Nets) -> None:
    seq = "- seq: [{relu: , id: a}, {seq: [{tanh: , id: c}, {abs: }], id: b}]\n  id: s\n"
    assert reads(nets.steps(f"{seq}- add: [s.a, s.b.c, s.b, s]"))["add"] == ("s.a", "s.b.c", "s.b.abs", "s.b.abs")
    assert "no value is called 'a'" in nets.fault(f"{seq}- add: [x, a]").message
    assert reads(nets.steps(f"{seq}- add: [x, s.a if s.b.channels == 4 else s]"))["add"] == ("s.b.abs", "s.a")


def test_names_inside_an_unnamed_combinator_are_visible_as_they_are(nets: Nets) -> None:
    for wiring in (
        "seq: [{relu: , id: a}, {tanh: }]",
        "residual: [{relu: , id: a}]",
        "branches: {l: [{relu: , id: a}], r: []}\n  merge: add",
    ):
        assert reads(nets.steps(f"- {wiring}\n- sub: [x, a]"))["sub"][1].endswith("a")
    shortcut = nets.steps("- residual: [relu]\n  shortcut: [{tanh: , id: a}, {abs: }]\n- sub: [x, a]")
    assert reads(shortcut)["sub"] == ("add", "shortcut.a")


def test_inner_names_hide_outer_ones_and_outer_ones_are_seen(nets: Nets) -> None:
    net = nets.steps(
        "- relu:\n  id: a\n- seq: [{tanh: , id: a}, {abs: , id: b}, {add: [a, b, image]}]\n  id: s\n- sub: [x, a]"
    )
    assert reads(net)["s.add"] == ("s.a", "s.b", "image")
    assert reads(net)["sub"] == ("s.add", "a")


def test_an_id_with_dots_wins_over_a_part(nets: Nets) -> None:
    net = nets.steps(
        "- branches: {left: [relu], right: [tanh]}\n  id: b\n- abs:\n  id: b.left\n  from: image\n- sub: [b.left, b.right]"
    )
    assert reads(net)["sub"][1] == "b.right"
    assert node(net, reads(net)["sub"][0]).op.name == "abs"


def test_a_step_may_not_bear_the_name_of_an_input(nets: Nets) -> None:
    assert "a step has the name of the input 'image'" in nets.fault("- relu:\n  id: image").message


@pytest.mark.parametrize("step", ["relu", "linear: 3", "max_pool: 2", "batch_norm"])
def test_what_takes_one_value_takes_no_list(nets: Nets, step: str) -> None:
    found = nets.fault(f"{HEAD}- {step.partition(':')[0]}:{step.partition(':')[2]}\n  from: b")
    assert "takes one value, this is a list of 2" in found.message
    assert "`from: parts[0]`" in found.hint
    twice = nets.fault(f"{HEAD}- {step.partition(':')[0]}:{step.partition(':')[2]}\n  from: [one, one]")
    assert "takes one value, 2 were given" in twice.message


def test_too_few_and_too_many_values_are_refused(nets: Nets) -> None:
    assert "`sub` takes 2 values, 3 were given" in nets.fault("- sub: [x, x, x]").message
    assert "`sub` takes 2 values, 1 were given" in nets.fault("- sub").message
    assert nets.fault("- sub: [x]").hint == "e.g. `- sub: [a, b]`"
