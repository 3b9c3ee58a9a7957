"""seq, residual, branches, split, share and use: what they read, merge, and let be read."""

from __future__ import annotations

import pytest

from tests.compiler.frontend.nets import Nets, args, names, node, params, reads, shape


def test_seq_is_a_list_as_one_step(nets: Nets) -> None:
    net = nets.steps(
        "- relu:\n  id: a\n- tanh\n- seq: [neg, abs]\n  from: a\n  id: s\n- add: [s, s.n]".replace(
            "neg", "{neg: , id: n}"
        )
    )
    assert reads(net) == {"a": ("image",), "tanh": ("a",), "s.n": ("a",), "s.abs": ("s.n",), "add": ("s.abs", "s.n")}


def test_an_empty_seq_hands_on_what_it_reads(nets: Nets) -> None:
    assert reads(nets.steps("- relu:\n  id: a\n- tanh\n- seq: []\n  from: a\n- abs"))["abs"] == ("a",)


# -- residual


def test_residual_adds_the_body_and_the_identity(nets: Nets) -> None:
    assert reads(nets.steps("- residual: [relu]"))["add"] == ("relu", "image")


def test_a_shortcut_whose_steps_are_all_skipped_is_the_identity(nets: Nets) -> None:
    text = "- residual: [relu]\n  shortcut:\n    - conv: {out: 4, kernel: 1}\n      when: x.channels != 4"
    assert reads(nets.steps(text))["add"] == ("relu", "image")
    assert reads(nets.steps("- conv: 8\n- residual: [relu]\n  shortcut: [{tanh: }, {abs: }]"))["add"] == (
        "relu",
        "shortcut.abs",
    )


def test_act_comes_after_the_sum(nets: Nets) -> None:
    net = nets.steps("- residual: [tanh]\n  act: {leaky_relu: 0.3}")
    assert reads(net) == {"tanh": ("image",), "add": ("tanh", "image"), "act": ("add",)}
    assert args(net, "act")["slope"] == 0.3
    assert names(nets.steps("- residual: [tanh]\n  act: none")) == ["tanh", "add"]


def test_shortcut_when_false_leaves_the_body_alone(nets: Nets) -> None:
    text = "- residual: [{conv: {out: 4, stride: 2}}]\n  shortcut_when: x.height == 4\n  act: relu"
    assert reads(nets.steps(text)) == {"conv": ("image",), "act": ("conv",)}


def test_a_sum_that_does_not_fit_shows_what_to_write(nets: Nets) -> None:
    found = nets.fault("- residual: [{conv: {out: 8, stride: 2}}]")
    assert found.message.startswith(
        "cannot add 'main' [N, 8, 8, 8] and 'shortcut' [N, 4, 16, 16]: channels differ (8 and 4)"
    )
    assert "`shortcut: [{conv_bn: {out: 8, kernel: 1, stride: 2}}]`, or let `shortcut_when:` drop it" in found.hint


def test_a_residual_does_not_guess_which_of_a_list_to_add(nets: Nets) -> None:
    found = nets.fault("- residual: [concat]\n  from: [x, x]")
    assert found.message == "the shortcut of `residual` is a list of 2 values"


# -- branches


@pytest.mark.parametrize(
    ("merge", "op", "channels"),
    [("add", "add", 4), ("mul", "mul", 4), ("sub", "sub", 4), ("max", "max", 4), ("concat", "concat", 8)],
)
def test_branches_read_one_input_and_are_merged(nets: Nets, merge: str, op: str, channels: int) -> None:
    net = nets.steps(f"- branches: {{a: [relu], b: [tanh]}}\n  merge: {merge}")
    assert reads(net) == {"a": ("image",), "b": ("image",), op: ("a", "b")}
    assert shape(net) == f"[N, {channels}, 16, 16]"


def test_stack_and_matmul_merge_too_and_axis_says_where(nets: Nets) -> None:
    text = "- branches: {a: [relu], b: [tanh]}\n  merge: "
    assert shape(nets.steps(f"{text}stack")) == "[N, 2, 4, 16, 16]"
    assert shape(nets.steps(f"{text}matmul")) == "[N, 4, 16, 16]"
    assert shape(nets.steps(f"{text}concat\n  axis: 1 + 1")) == "[N, 4, 32, 16]"
    assert shape(nets.steps(f"{text}stack\n  axis: -1")) == "[N, 4, 16, 16, 2]"


def test_the_merge_may_be_a_parameter(nets: Nets) -> None:
    text = "params: {how: add}\nnetwork:\n  - branches: {a: [relu], b: [tanh]}\n    merge: $how\n"
    assert names(nets.net(text, how="mul")) == ["a", "b", "how"]
    assert node(nets.net(text, how="mul"), "how").op.name == "mul"


@pytest.mark.parametrize("merge", ["", "  merge: none\n", "  merge: null\n"])
def test_without_a_merge_branches_are_a_list(nets: Nets, merge: str) -> None:
    net = nets.steps(f"- branches: {{a: [relu], b: [tanh]}}\n{merge}  id: m\n- sub: [m.b, m.a]")
    assert reads(net)["sub"] == ("m.b", "m.a")


def test_a_branch_whose_condition_is_false_does_not_exist(nets: Nets) -> None:
    text = "- branches:\n    a: [relu]\n    b: {when: x.channels == 5, do: [{conv: nothing}]}\n  id: m\n"
    assert reads(nets.steps(f"{text}  merge: add\n- tanh"))["tanh"] == ("m.a",)
    assert reads(nets.steps(f"{text}- concat: m.*"))["concat"] == ("m.a",)
    found = nets.fault("- branches:\n    b: {when: false, do: [relu]}\n  merge: add")
    assert "no branch of `branches` exists here" in found.message


def test_branches_may_use_one_id_for_themselves(nets: Nets) -> None:
    steps = "- branches:\n    a: [{relu: , id: r}, {tanh: }, {add: [x, r]}]\n    b: [{relu: , id: r}, {abs: }, {add: [x, r]}]\n"
    net = nets.steps(f"{steps}  merge: add")
    assert reads(net)["a.add"] == ("a.tanh", "a.r")
    assert reads(net)["b.add"] == ("b.abs", "b.r")
    found = nets.fault(f"{steps}  merge: add\n- tanh:\n  from: r")
    assert "two branches have a step called 'r'" in found.message
    assert reads(nets.steps(f"{steps}  merge: add\n  id: m\n- sub: [m.a.r, m.b.r]"))["sub"] == ("m.a.r", "m.b.r")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("- branches: {a: [relu]}\n  merge: conv", "`merge` is 'conv'"),
        ("- branches: {a: [relu], b: [relu]}\n  merge: add\n  axis: 1", "`add` has no axis"),
        ("- branches: {a: [relu], b: [relu]}\n  axis: 1", "`axis` goes with `merge:`"),
        (
            "- branches: {a: [relu], b: [{conv: 8}]}\n  merge: add",
            "cannot add 'a' [N, 4, 16, 16] and 'b' [N, 8, 16, 16]",
        ),
        ("- branches: {weight: [relu]}", "the word 'weight' is taken"),
        ("- branches: {a b: [relu]}", "a branch cannot be called 'a b'"),
        ("- branches: {a: [relu]}\n- relu", "`relu` takes one value, this is a list of"),
    ],
)
def test_what_is_wrong_with_branches_is_said(nets: Nets, steps: str, message: str) -> None:
    text = steps if "list of" not in message else steps.replace("{a: [relu]}", "{a: [relu], b: [relu]}")
    assert message in nets.fault(text).message


# -- split


def test_split_runs_steps_on_equal_parts(nets: Nets) -> None:
    net = nets.steps("- split: {left: [], right: [{conv: 6}]}\n  merge: concat")
    assert (args(net, "split.left")["end"], args(net, "split.right")["start"]) == (2, 2)
    assert reads(net)["concat"] == ("split.left", "right")
    assert shape(net) == "[N, 8, 16, 16]"


def test_split_by_sizes_and_along_an_axis(nets: Nets) -> None:
    net = nets.steps("- split: {a: [], b: [relu]}\n  sizes: [x.channels - 1, 1]\n  id: s\n- tanh:\n  from: s.b")
    assert str(net.graph.type_of("s.split.a")) == "[N, 3, 16, 16]"
    assert str(net.graph.type_of("tanh")) == "[N, 1, 16, 16]"
    assert shape(nets.steps("- split: {a: [], b: [relu]}\n  axis: 2\n  merge: concat")) == "[N, 4, 16, 16]"
    assert shape(nets.steps("- split: {a: [], b: [relu]}\n  axis: -1\n  merge: mul")) == "[N, 4, 16, 8]"


def test_split_with_a_number_or_sizes_is_the_operator_and_gives_a_list(nets: Nets) -> None:
    net = nets.steps("- split: 4\n  id: p\n- concat: [p.3, 'p[0]', p.*]")
    assert reads(net)["concat"] == ("p.3", "p.0", "p.0", "p.1", "p.2", "p.3")
    for text in ("split: {sizes: [1, 3]}", "split: [1, 3]", "split: {sizes: [1, 3], axis: 1}"):
        assert str(nets.steps(f"- {text}\n  id: p\n- relu:\n  from: p[1]").graph.type_of("relu")) == "[N, 3, 16, 16]"
    assert shape(nets.steps("- split: 2\n  axis: 3\n- add")) == "[N, 4, 16, 8]"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("- split: 3", "cannot split 4 elements into 3 equal parts"),
        ("- split: {sizes: [1, 2]}", "add up to 3, but there are 4 elements"),
        ("- split: {sizes: [2, 2], parts: 2}", "either a number of equal parts or their `sizes`"),
        ("- split", "either a number of equal parts or their `sizes`"),
        ("- split: 2\n  axis: 4", "axis 4 does not exist in [N, 4, 16, 16]"),
        ("- split: 2\n  axis: 0", "is dynamic and cannot be split"),
        ("- split: {a: [], b: []}\n  sizes: [1, 1, 2]", "2 branches take 3 parts"),
        ("- split: {sizes: [a, b]}", "unknown name 'a'"),
        ("- split: 0", "`split` is 0, expected at least 1"),
    ],
)
def test_what_is_wrong_with_a_split_is_said(nets: Nets, steps: str, message: str) -> None:
    assert message in nets.fault(steps).message


# -- share and use


def test_share_runs_the_same_weights_on_each_value(nets: Nets) -> None:
    net = nets.steps(
        "- relu:\n  id: a\n- tanh:\n  id: b\n- share: [{conv: 4, id: c}, {batch_norm: }]\n"
        "  from: [a, b]\n  id: s\n- sub: [s.1, s.0]"
    )
    assert params(net)[:2] == ["s.c.weight", "s.c.bias"]
    assert len([name for name in params(net) if name.endswith("weight")]) == 2
    first, second = node(net, "s.c"), node(net, "s.shared_1.c")
    assert first.params == second.params
    assert (first.inputs, second.inputs) == (("a",), ("b",))
    assert reads(net)["sub"] == ("s.shared_1.batch_norm", "s.batch_norm")


def test_share_spreads_a_list_and_merges(nets: Nets) -> None:
    net = nets.steps("- split: 2\n- share: [{conv: 3}]\n  merge: concat")
    assert shape(net) == "[N, 6, 16, 16]"
    assert params(net) == ["conv.weight", "conv.bias"]


def test_names_inside_a_share_are_read_by_its_place(nets: Nets) -> None:
    net = nets.steps("- share: [{conv: 4, id: c}, {relu: }]\n  from: [x, x]\n  id: s\n- add: [s.0.c, s.1.c]")
    assert reads(net)["add"] == ("s.c", "s.shared_1.c")


def test_shared_weights_need_the_same_channels(nets: Nets) -> None:
    found = nets.fault("- conv: 8\n  id: a\n- share: [{conv: 4}]\n  from: [image, a]")
    assert "'conv.weight' is shared, but needs shape [4, 8, 3, 3] here and [4, 4, 3, 3] there" in found.message


def test_use_runs_an_earlier_step_with_its_weights(nets: Nets) -> None:
    net = nets.steps("- conv_bn:\n  id: a\n- relu\n- use: a\n  id: b\n- use: a\n  from: image")
    assert len(params(net)) == 5
    assert node(net, "b.conv").params == node(net, "a.conv").params == node(net, "use.conv").params
    assert reads(net)["b.conv"] == ("relu",)
    assert reads(net)["use.conv"] == ("image",)


def test_use_keeps_the_names_inside_apart(nets: Nets) -> None:
    net = nets.steps("- seq: [{relu: , id: inner}, {tanh: }]\n  id: a\n- use: a\n  id: b\n- add: [a.inner, b.inner]")
    assert reads(net)["add"] == ("a.inner", "b.inner")


def test_use_sees_the_parameters_of_where_the_step_stood(nets: Nets) -> None:
    net = nets.steps("- for: c\n  in: [4]\n  id: s\n  do: [{conv: c, id: k}, {relu: }]\n- use: s.0.k\n- use: s.k")
    assert params(net) == ["s.0.k.weight", "s.0.k.bias"]
    assert reads(net)["use_2"] == ("use",)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("- use: a", "no step called 'a' ran before"),
        ("- conv: 4\n  id: a\n  when: false\n- use: a", "no step called 'a' ran before"),
        ("- seq: [{use: a}]\n  id: a", "no step called 'a' ran before"),
        ("- use: [a]", "`use` names an earlier step by its id"),
    ],
)
def test_use_of_what_did_not_run_is_refused(nets: Nets, steps: str, message: str) -> None:
    assert message in nets.fault(steps).message


def test_a_step_that_uses_itself_in_the_next_row_ends_in_a_message(nets: Nets) -> None:
    found = nets.fault(
        "- for: k\n  in: range(3)\n  do:\n    - seq:\n        - relu\n        - use: a\n          when: k > 0\n      id: a"
    )
    assert "nested deeper than 64 calls" in found.message
