"""Steps: heads, the keys beside them, `when`, `repeat`, `train_only`, `$block`, two steps of one id."""

from __future__ import annotations

import pytest

from tests.compiler.frontend.nets import Nets, args, names, node, output, params, reads, shape


def test_a_bare_word_is_a_step_with_its_defaults(nets: Nets) -> None:
    net = nets.steps("- relu\n- relu:\n  id: again\n- conv_bn")
    assert names(net) == ["relu", "again", "conv_bn.conv", "conv_bn.bn"]


@pytest.mark.parametrize(
    ("step", "name", "wanted"),
    [
        ("conv: 8", "conv", {"out": 8}),
        ("linear: 5", "linear", {"out": 5}),
        ("transpose: [0, 2, 1, 3]", "transpose", {"perm": (0, 2, 1, 3)}),
        ("max_pool: [2, 1]", "max_pool", {"kernel": (2, 1)}),
        ("dropout: 0.25", "dropout", {"p": 0.25}),
        ("conv_bn: 12", "conv_bn.conv", {"out": 12}),
        ("conv: {out: 8, kernel: [3, 1]}", "conv", {"out": 8, "kernel": (3, 1)}),
    ],
)
def test_a_scalar_or_a_list_fills_the_principal_parameter(
    nets: Nets, step: str, name: str, wanted: dict[str, object]
) -> None:
    found = args(nets.steps(f"- {step}"), name)
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("step", "message", "hint"),
    [
        ("{id: a}", "names no operator", "e.g. `- relu`"),
        ("{conv: 8, relu: }", "two heads, 'conv' and 'relu'", "arguments go inside"),
        ("{conv: 8, stride: 2}", "two heads", "`- conv: {stride: ...}`"),
        ("{relu: , wen: true}", "a step has no key 'wen'", "did you mean 'when'?"),
        ("{residual: [relu], merge: add}", "a step with `residual` has no key 'merge'", "shortcut"),
        ("{branches: {a: []}, mege: add}", "has no key 'mege'", "did you mean 'merge'?"),
        ("{seq: [relu], residual: [relu]}", "both `seq` and `residual`", "make it two steps"),
        ("[relu]", "a step is a list", "`- seq: [...]`"),
        ("3", "a step is the number 3", ""),
        ("residual", "`residual` stands alone", "write `- residual: ...`"),
        ("{relu: , when: [true]}", "`when` is a list, expected an expression", ""),
        ("{relu: , train_only: perhaps}", "`train_only` is the text 'perhaps', expected true or false", ""),
        ("{relu: , id: a/b}", "a step cannot be called 'a/b'", "letters, digits and _"),
        ("{relu: , id: weight}", "the word 'weight' is taken", ""),
        ("{relu: , id: x}", "the word 'x' is taken", ""),
        ("{relu: , id: 3}", "`id` is the number 3, expected a name", ""),
        ("{add: [x, x], from: x}", "`add` is given values twice", "one of the two"),
        ("{relu: , from: []}", "an empty list of values", ""),
        ("{relu: , from: {a: 1}}", "a mapping stands where the name of a value is expected", ""),
        ("{relu: 3}", "`relu` takes no argument without a name", "no arguments"),
        ("{for: c, in: [1]}", "`for` has no `do:`", "`in:` its rows"),
        ("{branches: }", "`branches` has no branches", "left"),
        ("{branches: {a: {wen: true, do: []}}}", "a branch has no key 'wen'", "did you mean 'when'?"),
        ("{split: 2, merge: add}", "has nothing to merge", ""),
        ("blokc", "there is no operator, block or combinator called 'blokc'", "`convc list ops`"),
        ("conv_bn_atc", "called 'conv_bn_atc'", "did you mean 'conv_bn_act'?"),
        ("{conv: {kernal: 3}}", "'conv' has no field 'kernal'", "did you mean 'kernel'?"),
        ("{conv_bn: {strid: 3}}", "'conv_bn' has no field 'strid'", "did you mean 'stride'?"),
        ("{concat: [x, x], axes: 1}", "'concat' has no field 'axes'", "did you mean 'axis'?"),
        ("gather", "`gather` needs `indices`", ""),
    ],
)
def test_what_is_wrong_with_a_step_is_said_at_its_place(nets: Nets, step: str, message: str, hint: str) -> None:
    found = nets.fault(f"- {step}")
    assert message in found.message
    assert hint in found.hint
    assert found.mark is not None
    assert found.mark.line == 4


def test_a_skipped_step_is_as_if_it_were_not_written(nets: Nets) -> None:
    net = nets.steps("- relu\n- conv: {out: nothing_here, kernel: 1 // 0}\n  when: 1 > 2\n- tanh")
    assert reads(net) == {"relu": ("image",), "tanh": ("relu",)}


def test_the_id_of_a_skipped_step_gives_what_it_would_have_read(nets: Nets) -> None:
    net = nets.steps(
        """\
        - relu:
          id: a
        - tanh:
          id: b
        - conv: 8
          id: skipped
          from: a
          when: false
        - mul: [0.5, b]
          id: halved
          when: false
        - add: [skipped, halved]
        """
    )
    assert reads(net)["add"] == ("a", "b")


def test_a_skipped_step_may_name_what_is_not_there_until_its_id_is_read(nets: Nets) -> None:
    steps = "- relu:\n  id: a\n- relu:\n  id: b\n  from: nowhere\n  when: false\n- tanh"
    assert names(nets.steps(steps)) == ["a", "tanh"]
    assert "no value is called 'nowhere'" in nets.fault(f"{steps}\n- add: [a, b]").message


def test_a_skipped_step_that_names_itself_ends_in_a_message(nets: Nets) -> None:
    found = nets.fault("- relu:\n  id: a\n  from: a\n  when: false\n- relu:\n  from: a")
    assert "no value is called 'a'" in found.message


def test_two_steps_may_share_an_id_if_at_most_one_runs(nets: Nets) -> None:
    text = (
        "params: {wide: true}\nnetwork:\n  - conv: 8\n    id: way\n"
        "    when: wide\n  - conv: 2\n    id: way\n    when: not wide\n"
    )
    assert shape(nets.net(text)) == "[N, 8, 16, 16]"
    assert shape(nets.net(text, wide=False)) == "[N, 2, 16, 16]"
    found = nets.problem(text.replace("not wide", "wide"))
    assert "two steps are both called 'way'" in found.message
    assert "at most one of them runs" in found.hint


def test_in_each_round_another_step_may_bear_the_id(nets: Nets) -> None:
    net = nets.steps(
        """\
        - for: k
          in: range(4)
          do:
            - relu:
              id: way
              when: k % 2 == 0
            - tanh:
              id: way
              when: k % 2 == 1
            - neg:
              from: way
        - sigmoid:
          from: way
        """
    )
    assert names(net)[:4] == ["0.way", "0.neg", "1.way", "1.neg"]
    assert reads(net)["sigmoid"] == ("3.way",)


def test_repeat_chains_and_binds_i(nets: Nets) -> None:
    net = nets.steps("- conv: {out: 4 + i, kernel: 1}\n  id: c\n  repeat: 3")
    assert reads(net) == {"c.0": ("image",), "c.1": ("c.0",), "c.2": ("c.1",)}
    assert [args(net, name)["out"] for name in names(net)] == [4, 5, 6]
    assert params(net)[:2] == ["c.0.weight", "c.0.bias"]


def test_the_first_round_reads_from_and_zero_rounds_are_a_skipped_step(nets: Nets) -> None:
    text = (
        "- relu:\n  id: a\n- tanh:\n  id: b\n- neg:\n  id: loop\n  from: a\n  repeat: {}\n- sigmoid\n- add: [x, loop]"
    )
    assert reads(nets.steps(text.format(2)))["loop.0"] == ("a",)
    none = reads(nets.steps(text.format(0)))
    assert none["sigmoid"] == ("b",)
    assert none["add"] == ("sigmoid", "a")


@pytest.mark.parametrize(
    ("repeat", "message"),
    [
        ("-1", "`repeat` is -1, expected at least 0"),
        ("1.5", "`repeat` is 1.5, expected a whole number"),
        ("true", "`repeat` is the truth value true"),
        ("100000", "the limit is 20,000 rounds"),
        ("some", "unknown name 'some'"),
    ],
)
def test_impossible_rounds_are_refused(nets: Nets, repeat: str, message: str) -> None:
    assert message in nets.fault(f"- relu:\n  repeat: {repeat}").message


def test_train_only_is_a_side_branch(nets: Nets) -> None:
    net = nets.steps(
        """\
        - relu:
          id: trunk
        - seq:
            - global_avg_pool
            - linear: 7
          id: helper
          train_only: true
        - tanh
        """
    )
    assert reads(net)["tanh"] == ("trunk",)
    assert dict(net.graph.train_outputs) == {"helper": "helper.linear"}
    assert [name for name in names(net) if node(net, name).train_only] == ["helper.global_avg_pool", "helper.linear"]
    assert net.optional == {"helper.linear.weight", "helper.linear.bias"}
    assert dict(net.graph.outputs) == {"output": "tanh"}


def test_a_side_branch_leaves_the_trunk_where_it_was(nets: Nets) -> None:
    net = nets.steps("- relu:\n  id: a\n- tanh\n- neg:\n  id: aside\n  train_only: true\n- abs")
    assert reads(net)["abs"] == reads(net)["aside"] == ("tanh",)
    early = nets.steps("- relu:\n  id: a\n- tanh\n- neg:\n  id: aside\n  from: a\n  train_only: true\n- abs")
    assert reads(early)["aside"] == ("a",)
    assert reads(early)["abs"] == ("tanh",)


def test_only_the_train_form_may_read_a_side_branch(nets: Nets) -> None:
    text = "- relu:\n  id: aside\n  train_only: true\n- tanh:\n  id: b\n- add: [aside, b]\n"
    found = nets.fault(text)
    assert "reads 'aside', which is train_only" in found.message
    net = nets.steps(f"{text}  id: both\n  train_only: true")
    assert dict(net.graph.train_outputs) == {"aside": "aside", "both": "both"}
    unnamed = "- seq:\n    - relu:\n      id: inner\n  id: s\n  train_only: true\n- tanh:\n  from: s.inner"
    assert "train_only" in nets.fault(unnamed).message


def test_an_output_may_not_be_a_side_branch(nets: Nets) -> None:
    text = "network:\n  - relu:\n    id: aside\n    train_only: true\n  - tanh\noutputs: {a: aside}"
    assert "output 'a' is 'aside', which is train_only" in nets.problem(text).message


def test_a_side_branch_that_fails_does_not_spoil_the_trunk(nets: Nets) -> None:
    found = nets.problems(
        "network:\n  - linear: {out: 0}\n    id: a\n    train_only: true\n  - conv: {groups: 3}\n  - add: [x, a]"
    )
    assert ["`out` is 0" in found[0].message, "groups" in found[1].message] == [True, True]
    assert len(found) == 2


def test_a_dollar_head_is_the_block_that_the_text_names(nets: Nets) -> None:
    text = """\
        params: {kind: small}
        blocks:
          small: {params: {out: int}, body: [conv: out]}
          large: {params: {out: int}, body: [conv: {out: out, kernel: 5}]}
        network:
          - $kind: 6
            id: a
          - $kind: {out: 7}
        """
    assert [args(nets.net(text, kind=kind), "a")["kernel"] for kind in ("small", "large")] == [(3, 3), (5, 5)]
    assert names(nets.net(text)) == ["a", "kind"]
    assert "reads no text parameter" in nets.problem(text.replace("$kind: 6", "$knd: 6")).message
    assert "called 'huge'" in nets.problems(text, kind="huge")[0].message


def test_an_operator_may_be_named_by_a_text_parameter(nets: Nets) -> None:
    net = nets.net("params: {pool: max_pool}\nnetwork: [$pool: 2]", pool="avg_pool")
    assert node(net, "pool").op.name == "avg_pool"


def test_source_is_honoured(nets: Nets) -> None:
    net = nets.steps("- relu:\n  id: stage.0.relu\n  source: my_net.yaml:31")
    assert node(net, "stage.0.relu").origins[0].place == "my_net.yaml:31"


def test_ids_with_dots_and_digits_are_names_as_any_other(nets: Nets) -> None:
    net = nets.steps('- relu:\n  id: "0"\n- tanh:\n  id: "0.1"\n  from: "0"\n- add: ["0", "0.1"]')
    assert reads(net)["add"] == ("0", "0.1")


def test_the_last_step_is_the_output(nets: Nets) -> None:
    assert output(nets.steps("- relu\n- tanh\n- abs:\n  when: false")) == "tanh"
