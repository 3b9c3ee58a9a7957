"""`for`: rows, columns, what a row sees, what is read afterwards; and the names of `repeat`."""

from __future__ import annotations

import pytest

from tests.compiler.frontend.nets import Nets, args, names, reads, shape


def outs(nets: Nets, text: str, head: str = "") -> list[int]:
    net = nets.steps(text, head)
    return [args(net, name)["out"] for name in names(net) if net.graph.nodes[name].op.name == "conv"]


@pytest.mark.parametrize(
    ("loop", "wanted"),
    [
        ("for: c\n  in: [4, 8]", [4, 8]),
        ("for: [c]\n  in: [4, 8]", [4, 8]),
        ("for: [c]\n  in: [[4], [8]]", [4, 8]),
        ("for: [c, _]\n  in: [[4, null], [8, 0]]", [4, 8]),
        ("for: c\n  in: range(4, 7)", [4, 5, 6]),
        ("for: [c, k]\n  in: zip(widths, [1, 2])", [8, 16]),
        ("for: [k, c]\n  in: enumerate(widths)", [8, 16]),
        ("for: c\n  in: widths", [8, 16]),
        ('for: c\n  in: "widths[1:]"', [16]),
        ("for: c\n  in: []", []),
    ],
)
def test_rows_are_data_or_what_an_expression_gives(nets: Nets, loop: str, wanted: list[int]) -> None:
    assert outs(nets, f"- {loop}\n  do: [{{conv: c}}]\n- relu", "params: {widths: [8, 16]}\n") == wanted


def test_the_cells_of_a_row_are_data(nets: Nets) -> None:
    text = "- for: [head, p]\n  in:\n    - [relu, valid]\n    - ['tanh', half]\n  do:\n    - act: $head\n    - conv: {padding: p}"
    net = nets.steps(text)
    assert [net.graph.nodes[f"{k}.act"].op.name for k in (0, 1)] == ["relu", "tanh"]
    assert args(net, "0.conv")["padding"] == (0, 0, 0, 0)
    found = nets.fault("- for: c\n  in: [4, 2 * 4]\n  do: [{conv: c}]")
    assert "`out` is the text '2 * 4', expected a whole number" in found.message
    assert "data, not expressions" in found.hint


def test_row_is_the_rows_index(nets: Nets) -> None:
    assert outs(nets, "- for: c\n  in: [4, 8]\n  do: [{conv: c + row}, {conv: c * (row + 1)}]") == [4, 4, 9, 16]
    nested = "- for: a\n  in: [10, 20]\n  do:\n    - for: b\n      in: [1, 2]\n      do: [{conv: a + row}]\n    - conv: a + row"
    assert outs(nets, nested) == [10, 11, 10, 20, 21, 21]


def test_rows_are_chained_and_with_merge_they_are_not(nets: Nets) -> None:
    text = "- for: c\n  in: [1, 2]\n  id: s\n  do: [relu]\n"
    assert reads(nets.steps(text)) == {"s.0": ("image",), "s.1": ("s.0",)}
    assert reads(nets.steps(f"{text}  merge: add")) == {"s.0": ("image",), "s.1": ("image",), "s.add": ("s.0", "s.1")}
    assert reads(nets.steps(f"{text}  merge: none\n- sub: s.*"))["sub"] == ("s.0", "s.1")
    assert shape(nets.steps(f"{text}  merge: concat\n  axis: 2")) == "[N, 4, 32, 16]"


def test_afterwards_the_id_is_the_last_value_and_its_rows_are_there(nets: Nets) -> None:
    net = nets.steps(
        "- for: c\n  in: [1, 2, 3]\n  id: s\n  do: [relu]\n- concat: [s, s.1, s.*, 's[-1]', 's[len(s) - 2]']"
    )
    assert reads(net)["concat"] == ("s.2", "s.1", "s.0", "s.1", "s.2", "s.2", "s.1")


def test_inside_the_rows_done_so_far_can_be_read(nets: Nets) -> None:
    text = "- for: c\n  in: [4, 4, 4]\n  id: dense\n  do:\n    - concat: [image, dense.*]\n    - conv: c + len(dense)"
    assert outs(nets, text) == [4, 5, 6]
    assert reads(nets.steps(text))["dense.2.concat"] == ("image", "dense.0.conv", "dense.1.conv")
    same = "- concat: [image, r.*]\n  id: r\n  repeat: 3"
    found = nets.fault(same)
    assert "no value is called 'r'" in found.message
    chain = "- seq:\n    - concat: [image, r.*]\n    - conv: 4\n  id: r\n  repeat: 3"
    assert reads(nets.steps(chain))["r.2.concat"] == ("image", "r.0.conv", "r.1.conv")


def test_names_inside_a_loop_with_an_id(nets: Nets) -> None:
    loop = "- for: c\n  in: [1, 2]\n  id: s\n  do: [{relu: , id: a}, {tanh: }]\n"
    assert reads(nets.steps(f"{loop}- add: [s.0.a, s.1.a, s.a]"))["add"] == ("s.0.a", "s.1.a", "s.1.a")
    assert "no value is called 'a'" in nets.fault(f"{loop}- add: [x, a]").message
    rounds = "- seq: [{relu: , id: a}, {tanh: }]\n  id: s\n  repeat: 2\n"
    assert reads(nets.steps(f"{rounds}- add: [s.0.a, s.1.a, s.a, s]"))["add"] == ("s.0.a", "s.1.a", "s.1.a", "s.1.tanh")


def test_names_inside_a_loop_without_an_id_are_the_last_rows(nets: Nets) -> None:
    loop = "- for: c\n  in: [1, 2]\n  do: [{relu: , id: a}, {tanh: }]\n"
    assert reads(nets.steps(f"{loop}- add: [x, a]"))["add"] == ("1.tanh", "1.a")
    clash = nets.fault(f"{loop}- abs:\n  id: a")
    assert "two steps are both called 'a'" in clash.message


def test_a_row_reads_what_the_row_before_named(nets: Nets) -> None:
    net = nets.steps(
        "- relu:\n  id: seed\n- for: c\n  in: [1, 2]\n  id: s\n  do:\n"
        "    - tanh:\n      id: a\n    - add: [x, 's[0] if row > 0 else seed']"
    )
    assert reads(net)["s.1.add"] == ("s.1.a", "s.0.add")
    inner = nets.steps(
        "- for: c\n  in: [1, 2]\n  id: s\n  do:\n    - tanh:\n      id: a\n    - sub: [a, s.0.a]\n      when: row > 0"
    )
    assert reads(inner)["s.1.sub"] == ("s.1.a", "s.0.a")


def test_loops_nest_with_their_names(nets: Nets) -> None:
    net = nets.steps(
        "- for: a\n  in: [1, 2]\n  id: s\n  do:\n    - for: b\n      in: [1, 2]\n"
        "      id: t\n      do: [{relu: , id: r}]\n- add: [s.0.t.1.r, s.1.t.0, s.t]"
    )
    assert reads(net)["add"] == ("s.0.t.1.r", "s.1.t.0.r", "s.1.t.1.r")


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        ("for: [a, b]\n  in: [[1, 2], [3]]", "a row has 1 cells for the 2 columns a, b"),
        ("for: [a]\n  in: [[1, 2]]", "a row has 2 cells for the column a"),
        ("for: [a, a]\n  in: [[1, 2]]", "`for` takes different names"),
        ("for: 3\n  in: [1]", "`for` takes different names"),
        ("for: [x]\n  in: [1]", "a column of `for` cannot be called 'x'"),
        ("for: row\n  in: [1]", "a column of `for` cannot be called 'row'"),
        ("for: a\n  in: [{b: 1}]", "a mapping stands in a row"),
        ("for: a\n  in: {b: 1}", "`in` is a mapping, expected a list of rows"),
        ("for: a\n  in: 3", "`in` is 3, expected a list of rows"),
        ("for: a\n  in: zip([1], [1, 2])", "lists of one length"),
        ("for: a\n  in: wdths", "unknown name 'wdths'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_said(nets: Nets, loop: str, message: str) -> None:
    found = nets.fault(f"- {loop}\n  do: [relu]")
    assert message in found.message


def test_a_row_that_is_wrong_is_pointed_at(nets: Nets) -> None:
    found = nets.fault("- for: [a, b]\n  in:\n    - [1, 2]\n    - [3]\n  do: [relu]")
    assert found.mark is not None
    assert (found.mark.line, found.mark.column) == (7, 7)


def test_a_loop_that_does_not_run_hands_on_what_it_reads(nets: Nets) -> None:
    net = nets.steps("- relu:\n  id: a\n- tanh\n- for: c\n  in: []\n  from: a\n  id: s\n  do: [neg]\n- add: [x, s]")
    assert reads(net)["add"] == ("a", "a")
