"""Names become parameter names: from the text alone, and the same whether or not a step runs."""

from __future__ import annotations

import pytest

from tests.compiler.frontend.nets import Nets, names, params


def weights(nets: Nets, steps: str, head: str = "") -> list[str]:
    """The names of all weights, in order, without `.weight`."""
    return [name.removesuffix(".weight") for name in params(nets.steps(steps, head)) if not name.endswith(".bias")]


BLOCKS = """\
blocks:
  one: {body: [conv: 4]}
  two: {body: [{conv: 4}, relu, {conv: 4}]}
  named: {body: [{conv: 4, id: a}, {conv: 4, id: b}]}
"""


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        # Unnamed steps are called after their head and numbered; the network's own list is never silent.
        ("- conv: 4", ["conv"]),
        ("- conv: 4\n- conv: 4\n- linear: 4\n- conv: 4", ["conv", "conv_2", "linear", "conv_3"]),
        ("- conv: 4\n  when: false\n- conv: 4", ["conv_2"]),
        ("- conv: 4\n  id: a\n- conv: 4", ["a", "conv"]),
        # Blocks: their own name, and what stands alone in them adds nothing.
        ("- one\n- one\n- two\n- named", ["one", "one_2", "two.conv", "two.conv_2", "named.a", "named.b"]),
        ("- two:\n  id: stem", ["stem.conv", "stem.conv_2"]),
        # seq, residual and share without an id: as if their steps stood in the list around.
        ("- seq: [{conv: 4}, {conv: 4}]\n- conv: 4", ["conv", "conv_2", "conv_3"]),
        ("- conv: 4\n- residual: [{conv: 4}]\n- conv: 4", ["conv", "conv_2", "conv_3"]),
        ("- share: [{conv: 4}]\n  from: [x, x]\n  merge: add\n- conv: 4", ["conv", "conv_2"]),
        ("- seq: [{seq: [{conv: 4}]}, {conv: 4}]\n  id: s", ["s.conv", "s.conv_2"]),
        ("- seq: [{conv: 4}]\n  id: s", ["s.conv"]),
        ("- residual: [{conv: 4}]\n  id: r", ["r.conv"]),
        ("- share: [{conv: 4}]\n  from: [x, x]\n  merge: add\n  id: s", ["s.conv"]),
        # Branches add their names, and what stands alone in one adds nothing.
        ("- branches: {a: [{conv: 4}], b: [{conv: 4}, {conv: 4}]}\n  merge: add", ["a", "b.conv", "b.conv_2"]),
        ("- branches: {a: [{conv: 4, id: c}]}\n  merge: add\n  id: m", ["m.a.c"]),
        ("- split: {l: [{conv: 2}], r: []}\n  merge: concat", ["l"]),
        # for and repeat add their index, with or without an id.
        ("- for: c\n  in: [4, 4]\n  do: [{conv: c}]", ["0", "1"]),
        ("- for: c\n  in: [4, 4]\n  id: s\n  do: [{conv: c}, {conv: c}]", ["s.0.conv", "s.0.conv_2", "s.1.conv", "s.1.conv_2"]),
        ("- conv: 4\n  repeat: 2\n- conv: 4", ["conv.0", "conv.1", "conv_2"]),
        ("- for: c\n  in: [4]\n  id: s\n  do: [{one: , repeat: 2}]", ["s.0.0", "s.0.1"]),
        ("- seq: [{conv: 4}]\n  repeat: 2", ["0", "1"]),
        ("- seq: [{conv: 4}, {linear: 4}]\n  repeat: 1\n  id: s", ["s.0.conv", "s.0.linear"]),
        # A shortcut is called `shortcut`.
        ("- residual: [{conv: 4}]\n  shortcut: [{conv: 4}]", ["conv", "shortcut"]),
        ("- residual: [{conv: 4}]\n  shortcut: [{conv: 4}, {conv: 4}]\n  id: r",
         ["r.conv", "r.shortcut.conv", "r.shortcut.conv_2"]),
        # An activation is called as its step is, and a `parameter` is its step's name.
        ("- act: prelu", ["act"]),
        ("- residual: [{conv: 4}]\n  act: prelu", ["conv", "act"]),
        ("- parameter: {shape: [4, 1, 1]}\n  id: gamma\n- mul: [image, gamma]\n- conv: 4", ["gamma", "conv"]),
    ],
)  # fmt: skip
def test_parameters_are_named_by_the_text(nets: Nets, steps: str, wanted: list[str]) -> None:
    assert weights(nets, steps, BLOCKS) == wanted


def test_alone_in_a_block_counts_what_does_not_run(nets: Nets) -> None:
    head = "blocks:\n  b: {params: {more: false}, body: [{conv: 4}, {relu: , when: more}]}\n"
    assert weights(nets, "- b", head) == ["b.conv"]


def test_a_block_that_holds_one_residual_of_one_step_adds_nothing(nets: Nets) -> None:
    assert weights(nets, "- b", "blocks:\n  b: {body: [{residual: [{conv: 4}]}]}\n") == ["b"]


def test_helpers_are_numbered_with_the_steps(nets: Nets) -> None:
    net = nets.steps("- residual: [relu]\n- add: [x, x]\n- residual: [tanh]\n  act: elu", "")
    assert names(net)[:4] == ["relu", "add", "add_2", "tanh"]


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ("- conv: 4\n  id: conv_2\n- conv: 4\n- conv: 4", "conv_2.weight"),
        ("- branches: {a: [{conv: 4}]}\n  merge: add\n- branches: {a: [{conv: 4}]}\n  merge: add", "a.weight"),
        ("- residual: [{conv: 4}]\n  shortcut: [{conv: 4}]\n- residual: [{conv: 4}]\n  shortcut: [{conv: 4}]", "shortcut.weight"),
        ("- for: c\n  in: [4]\n  do: [{conv: c}]\n- for: c\n  in: [4]\n  do: [{conv: c}]", "0.weight"),
        ("- parameter: [4]\n  id: a.b\n- seq: [{parameter: [4], id: b}]\n  id: a", "a.b"),
    ],
)  # fmt: skip
def test_two_parameters_of_one_name_say_which_step_wants_an_id(nets: Nets, steps: str, name: str) -> None:
    found = nets.fault(steps)
    assert found.message == f"two steps have a parameter called {name!r}"
    assert "give this step, or the combinator around it, an `id:`; the first is the `" in found.hint
    assert "net.yaml:" in found.hint


def test_two_nodes_without_parameters_may_meet(nets: Nets) -> None:
    steps = "- branches: {a: [relu]}\n  merge: add\n" * 3
    assert names(nets.steps(steps)) == ["a", "a_2", "a_3"]


def test_a_network_whose_name_is_no_word_still_names_parameters(nets: Nets) -> None:
    nets.write("name: res-net.v2\nnetwork: [conv: 4]", "inner.yaml")
    net = nets.net("import: [inner.yaml]\nnetwork: [res-net.v2]")
    assert params(net) == ["res_net_v2.conv.weight", "res_net_v2.conv.bias"]
