"""Expressions: Python's arithmetic where both have it, our errors where Python guesses, bounds everywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.compiler.errors import ConvcError
from convc.compiler.frontend.expressions import ExpressionError, compile_expression, interpolate
from convc.compiler.frontend.functions import FUNCTIONS
from convc.compiler.ir import SymDim

H = SymDim.symbol("H")


class Tensor:
    """What a step's value looks like to an expression; it counts as a list of one."""

    def read(self, name: str) -> Any:
        parts = {"channels": 64, "height": H, "width": 56, "shape": [SymDim.symbol("N"), 64, H, 56]}
        if name not in parts:
            raise KeyError(f"[N, 64, H, 56] has no {name!r}; there is channels, height, width, shape")
        return parts[name]

    def __len__(self) -> int:
        return 1


class Bundle:
    """Several values by name and by place."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def read(self, name: str) -> Any:
        return self.parts[name]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Any:
        return tuple(self.parts.values())[index]


X = Tensor()
ENV: Mapping[str, Any] = {
    "x": X,
    "parts": Bundle(left=X, right=7),
    "widths": [24, 116, 232],
    "rows": [[1, 2], [3, [4, 5]]],
    "width": 0.5,
    "n": 3,
    "yes": True,
    "act": "relu",
    "nothing": None,
    "huge": 2**60,
    "backbone.stage": 9,
}


def run(text: str, env: Mapping[str, Any] = ENV) -> Any:
    return compile_expression(text).evaluate(env)


def error(text: str, env: Mapping[str, Any] = ENV) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        run(text, env)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("7 - 2 - 1", 4), ("2 ** 3 ** 2", 512), ("-2 ** 2", -4), ("2 ** -1", 0.5),
        ("-7 // 2", -4), ("-7 % 3", 2), ("6 / 2", 3.0), ("7.5 // 2", 3.0), ("+n", 3), ("- -n", 3), ("2*-n", -6),
        ("0x1F + 0o17 + 012", 58), (".5 + 1. + 1e-1", 1.6), ("1e3", 1000.0),
        ("true", True), ("null", None), ("'a\"b'", 'a"b'), ('"it\'s"', "it's"), ("'a' + act", "arelu"),
        ("n == 3 and width < 1", True), ("n == 3 or nothing", True), ("not yes or n > 2", True), ("not n == 4", True),
        ("1 < n <= 3 < 4", True), ("1 < n < 3", False), ("3 > n == 3", False), ("n == 3.0", True),
        ("n in [1, 3]", True), ("n not in [1, 3]", False), ("'el' in act", True), ("'x' in ['y', 1]", False),
        ("act == 'relu'", True), ("act != 'relu'", False), ("nothing == null", True), ("n != null", True),
        ("[1, 2] == [1, 2.0]", True), ("[1, 'a'] == [1, 2]", False), ("'a' < 'b'", True),
        ("2 if n == 3 else 1", 2), ("1 if false else 2 if true else 3", 2), ("n if nothing != null else 1 / 0", None),
        ("widths.0", 24), ("widths[0]", 24), ("widths[-1]", 232), ("widths[n - 1.0]", 232), ("rows.1.1.0", 4),
        ("rows[1].1[1]", 5), ("[1.5, 2][0]", 1.5), ("widths[1:]", (116, 232)), ("widths[:2]", (24, 116)),
        ("widths[::-1]", (232, 116, 24)), ("widths[null:1]", (24,)), ("widths[9:]", ()), ("'abcde'[n]", "d"),
        ("'abcde'[1:3]", "bc"), ("(1, 2)", (1, 2)), ("(1,)", (1,)), ("()", ()), ("(1)", 1), ("[1, 2,]", (1, 2)),
        ("[1] + [2]", (1, 2)), ("[1, 2] * 2", (1, 2, 1, 2)), ("2 * [0]", (0, 0)), ("[1] * -1", ()),
        ("x.channels // 4", 16), ("x.shape[1]", 64), ("x.shape.1", 64), ("x[0].channels", 64), ("x.0.channels", 64),
        ("parts.left.channels", 64), ("parts[1]", 7), ("parts.right + 1", 8), ("len(parts)", 2), ("len(x)", 1),
        ("backbone.stage + 1", 10), (" n\n + 1 ", 4),
        ("min(3, 1, 2)", 1), ("max([1, 2.5])", 2.5), ("abs(-n)", 3), ("round(2.5)", 2), ("round(3.5)", 4),
        ("round(2.567, 2)", 2.57), ("round(1250, digits=-2)", 1200), ("floor(-0.5)", -1), ("ceil(0.1)", 1),
        ("sqrt(16)", 4.0), ("log2(64)", 6.0), ("len('abc')", 3), ("sum([1, 2, 0.5])", 3.5), ("sum([])", 0),
        ("range(3)", (0, 1, 2)), ("range(5, 1, -2)", (5, 3)), ("range(1, 3)", (1, 2)), ("range(1, b=3)", (1, 2)),
        ("zip([1, 2], widths[1:])", ((1, 116), (2, 232))), ("enumerate(['a', 'b'])", ((0, "a"), (1, "b"))),
        ("enumerate(['a'], 4)", ((4, "a"),)), ("int(-2.7)", -2),
    ],
)  # fmt: skip
def test_an_expression_has_its_value(text: str, expected: object) -> None:
    if text.startswith("n if nothing"):
        assert error(text).message == "division by zero"
        return
    found = run(text)
    assert found == pytest.approx(expected, rel=1e-15) if isinstance(expected, float) else found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("n + wdths", 4, "unknown name 'wdths'"),
        ("1 + lenn(widths)", 4, "unknown function 'lenn'"),
        ("n * sqrt", 4, "'sqrt' is a function"),
        ("n // 0", 2, "division by zero"),
        ("n % 0.0", 2, "division by zero"),
        ("0 ** -1", 2, "division by zero"),
        ("widths[3]", 6, "index 3 is out of range: the list has length 3"),
        ("widths.7", 6, "index 7 is out of range: the list has length 3"),
        ("x[1]", 1, "index 1 is out of range: the list has length 1"),
        ("widths[0.5]", 6, "the index is 0.5, expected a whole number"),
        ("widths[true]", 6, "the index is true, expected a whole number"),
        ("widths[::0]", 6, "the step of a slice is 0"),
        ("n[0]", 1, "a number has no items"),
        ("n[1:]", 1, "a number cannot be sliced"),
        ("act + 1", 4, "cannot add text and a number"),
        ("1 - act", 2, "cannot subtract text from a number"),
        ("true + 1", 5, "cannot add a truth value and a number"),
        ("-true", 0, "what `-` stands before is true (a truth value), expected a number"),
        ("nothing * 2", 8, "cannot multiply null by a number"),
        ("x * 2", 2, "cannot multiply a tensor by a number"),
        ("act * 2", 4, "cannot multiply text by a number"),
        ("n == act", 2, "`==` cannot compare a number (3) and text ('relu')"),
        ("yes == 1", 4, "`==` cannot compare a truth value (true) and a number (1)"),
        ("n < act", 2, "`<` cannot compare a number and text"),
        ("nothing < 1", 8, "`<` cannot compare null and a number"),
        ("[1] < [2]", 4, "`<` cannot compare a list and a list"),
        ("x == x", 2, "`==` cannot compare tensors"),
        ("1 in n", 2, "`in` cannot look for a number in a number"),
        ("n and yes", 2, "a side of `and` is 3, expected a truth value"),
        ("not nothing", 0, "what `not` stands before is null, expected a truth value"),
        ("1 if n else 2", 2, "the condition of `if` is 3, expected a truth value"),
        ("(-8) ** 0.5", 5, "-8 ** 0.5 is no real number"),
        ("sqrt(-1)", 0, "the root of -1 is no real number"),
        ("log2(0)", 0, "`log2` of 0, expected a number above 0"),
        ("x.chanels", 1, "[N, 64, H, 56] has no 'chanels'; there is channels, height, width, shape"),
        ("widths.first", 6, "a list has no part 'first'"),
        ("max(act, 1)", 0, "an argument of `max` is 'relu' (text), expected a number"),
        ("min([])", 0, "`min` of an empty list"),
        ("sum([1, 'a'])", 0, "an item of `sum` is 'a' (text), expected a number"),
        ("len(3)", 0, "`len` of a number, expected a list or text"),
        ("zip([1, 2], [1])", 0, "`zip` takes lists of one length, these have 2, 1"),
        ("range(0, 3, 0)", 0, "`range`'s step is 0"),
        ("range(1.5)", 0, "`range`'s end is 1.5, expected a whole number"),
        ("sqrt()", 0, "`sqrt` is not given 'v'"),
        ("sqrt(1, 2)", 0, "`sqrt` takes at most 1 arguments, 2 were given"),
        ("divisible(8, e=2)", 0, "`divisible` has no argument called 'e'"),
        ("divisible(8, v=2)", 0, "`divisible` is given 'v' twice"),
        ("divisible(8, d=2, d=3)", 18, "the argument 'd' is given twice"),
        ("divisible(8, 0)", 0, "`divisible`'s d is 0, expected at least 1"),
        ("divisible(d=8, 3)", 15, "expected an argument with a name, as the one before it, where `3` stands"),
    ],
)
def test_a_wrong_value_is_named_at_its_place(text: str, offset: int, message: str) -> None:
    found = error(text)
    assert (found.offset, found.message) == (offset, message)


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        ("", 0, "there is nothing in the expression", ""),
        ("1 +", 3, "expected a value, where the expression ends", ""),
        ("(1", 2, "expected `,` or `)`, where the expression ends", ""),
        ("[1 2]", 3, "expected `]` or `,`, where `2` stands", "quoted"),
        ("conv bn", 5, "expected a sign such as `+`, or the end, where `bn` stands", "quoted"),
        ("1 if true", 9, "expected `else` of `a if condition else b`, where the expression ends", ""),
        ("n = 3", 2, "expected a sign such as `+`, or the end, where `=` stands", "`==`"),
        ("widths[]", 6, "no index stands between [ and ]", "widths[0]"),
        ("widths[1:2:3:4]", 6, "a slice has at most two `:`", "first:last:step"),
        ("'abc", 0, "a quoted text is not closed", "quote"),
        ("1_000", 0, "'1_000' is no number", ""),
        ("3x", 0, "'3x' is no number", ""),
        ("1.0.2", 0, "'1.0.2' is no number", ""),
        ("n && yes", 2, "'&' cannot stand in an expression", "`and`"),
        ("n || yes", 2, "'|' cannot stand in an expression", "`or`"),
        ("!yes", 0, "'!' cannot stand in an expression", "`not`"),
        ("n ? 1 : 2", 2, "'?' cannot stand in an expression", "`a if condition else b`"),
        ("2 ^ 3", 2, "'^' cannot stand in an expression", "`**`"),
        ("$act", 0, "'$' cannot stand in an expression", "by its name alone"),
        ("{1}", 0, "'{' cannot stand in an expression", "[ ]"),
        ("é", 0, "'é' cannot stand in an expression", ""),
        ("True", 0, "`True` is no word of expressions", "`true`"),
        ("n is null", 2, "`is` is no word of expressions", "`==`"),
        ("lambda: 1", 0, "`lambda` is no word of expressions", "closed list"),
        ("parts.*", 5, "`.*` cannot stand in an expression", "parts[0]"),
        ("x.", 1, "no name stands behind the `.`", "x.channels"),
        ("x.__class__()", 11, "expected a sign such as `+`, or the end, where `(` stands", ""),
        ("1" * 40, 0, "a number of 40 characters, expected at most 30 digits", ""),
        ("10000000000000000000", 0, "the whole number 10000000000000000000 is beyond 2**53", ""),
    ],
)
def test_what_is_no_expression_says_so_at_its_place(text: str, offset: int, message: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert (caught.value.offset, caught.value.message) == (offset, message)
    assert hint in caught.value.hint


def test_an_unknown_name_offers_the_nearest_and_lists_the_known() -> None:
    hint = error("wdths").hint
    assert hint.startswith("did you mean 'widths'?")
    assert "n, yes, act" in hint
    assert "('sigmoid')" in error("sigmoid").hint
    assert error("a", {}).hint.endswith("no names can be read here")
    assert "did you mean `nearest_odd(v)`?" in error("nearest_od(3)").hint


def test_python_is_out_of_reach() -> None:
    for text in (
        "__import__('os')",
        "open('x')",
        "eval('1')",
        "getattr(x, 'read')",
        "x.read",
        "x.__class__",
        "act.upper",
    ):
        assert "unknown function" in error(text).message or "has no" in error(text).message
    assert error("[i for i in widths]").message == "expected `]` or `,`, where `for` stands"


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9", "2**54", "10**15 * 10**15", "1e308 * 10", "1e300 ** 2", "huge", "floor(1e300)", "int(1e300)",
        "-9007199254740992 - 1", "range(100000)", "range(0, 9000000000000000)", "[0] * 100000", "[0] * 9000000000000000",
        "range(6000) + range(6000)", "zip(range(6000), range(6000))", "round(5, -1000000000)", "round(1.7e308, -300)",
        "divisible(1e300)", "sum([1e308, 1e308])", "1 / 5e-324", "divisible(1, 1, limit=1e308) * 1e308",
    ],
)  # fmt: skip
def test_no_value_leaves_its_bounds(text: str) -> None:
    started = time.process_time()
    error(text)
    assert time.process_time() - started < 0.5


def test_values_at_the_bounds_are_fine() -> None:
    assert run("2**53") == 2**53
    assert run("3**33") == 3**33
    assert run("(-2)**53") == -(2**53)
    assert run("1**9007199254740992") == 1
    assert run("(-1)**9007199254740991") == -1
    assert len(run("range(10000)")) == 10_000


def test_length_nesting_and_steps_are_bounded() -> None:
    assert run("+".join("1" * 1000)) == 1000
    assert "2,001 characters" in error("1" + " " * 2000).message
    assert run("(" * 30 + "1" + ")" * 30) == 1
    for deep in ("(" * 900 + "1" + ")" * 900, "-" * 1900 + "1", "not " * 400 + "true", "[" * 900, "1**" * 600 + "1",
                 "1 if true else " * 120 + "1", "abs(" * 300 + "1" + ")" * 300):  # fmt: skip
        assert error(deep).message.startswith("nested deeper than 64")
    started = time.process_time()
    assert "steps" in error("+".join(["sum(range(10000))"] * 100)).message
    assert time.process_time() - started < 2


def test_a_long_row_of_parts_is_no_nesting() -> None:
    env: dict[str, Any] = {"a": (1,)}
    assert error("a" + ".0" * 900, env).message == "a number has no items"


def test_shared_lists_cannot_stand_for_endless_ones() -> None:
    bomb: tuple[Any, ...] = (1, 1)
    for _ in range(10):
        bomb = (bomb, bomb)
    assert len(run("a", {"a": bomb})) == 2
    for _ in range(3):
        bomb = (bomb, bomb)
    started = time.process_time()
    assert "more than 10,000 items" in error("a", {"a": bomb}).message
    for _ in range(40):
        bomb = (bomb, bomb)
    assert "a list" in error("[a, a]", {"a": bomb}).message or "nested" in error("[a, a]", {"a": bomb}).message
    assert time.process_time() - started < 0.5


def test_only_what_is_needed_is_computed() -> None:
    assert run("false and 1 / 0 == 1") is False
    assert run("true or nobody") is True
    assert run("1 if true else nobody") == 1
    assert run("3 < 2 < 1 / 0") is False


def test_names_are_those_that_are_read() -> None:
    text = "divisible(c * width, limit=l) if k in [a.b, 'd'] else e[f:g].h + x.channels"
    assert compile_expression(text).names == set("claefgkx") | {"width"}
    assert compile_expression("1 + 2").names == frozenset()


def test_expressions_are_kept() -> None:
    assert compile_expression("n + 41") is compile_expression("n + 41")


def test_an_error_is_one_that_the_command_line_prints() -> None:
    assert isinstance(error("wdths"), ConvcError)
    assert error("wdths").exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x.height + 1", H + 1),
        ("1 + x.height", H + 1),
        ("x.height - x.height", 0),
        ("4 - x.height", 4 - H),
        ("-x.height", H * -1),
        ("+x.height", H),
        ("x.height * 2.0", H * 2),
        ("(x.height + 1) // 2", (H + 1) // 2),
        ("x.height * x.height // x.height", H),
        ("sum([x.height, 1, x.height])", H * 2 + 1),
    ],
)
def test_dynamic_sizes_take_part_in_what_has_a_closed_form(text: str, expected: object) -> None:
    assert run(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "h / 2", "h % 2", "h ** 2", "2 ** h", "h == 7", "h == h", "h != null", "h < 7", "7 in [h]", "h in [7]", "not h",
        "h and true", "1 if h else 2", "max(h, 1)", "abs(h)", "sqrt(h)", "int(h)", "range(h)", "widths[h]", "widths[:h]",
        "divisible(h)", "[h] == [7]", "round(1.5, h)", "nearest_odd(h)",
    ],
)  # fmt: skip
def test_what_needs_the_number_of_a_dynamic_size_names_the_dimension(text: str) -> None:
    found = error(text, {"h": H, "widths": (1, 2)})
    assert "the dynamic size H" in found.message
    assert "--size" in found.hint


def test_dynamic_sizes_go_with_whole_numbers_only() -> None:
    for text in ("h + 0.5", "h * act", "act + h", "h + nothing", "true * h", "[1] * h"):
        found = error(text, {"h": H, "act": "relu", "nothing": None})
        assert "a dynamic size" in found.message
        assert "H" in found.hint
    assert "cannot divide" in error("h // 0", {"h": H}).message
    assert "cannot divide" in error("7 // h", {"h": H}).message


def test_dynamic_sizes_cannot_grow_without_end() -> None:
    env = {"h": H, "w": SymDim.symbol("W"), "d": SymDim.symbol("D")}
    started = time.process_time()
    for text in ("*".join(["(h + w + d + 1)"] * 100), "h" + "//7*3" * 300, "+".join(f"h//{i + 2}" for i in range(150))):
        assert "a dynamic size of too many terms" in error(text, env).message
    assert time.process_time() - started < 2


def test_divisible_rounds_channels_as_the_mobile_networks_do() -> None:
    assert [run(f"divisible({v})") for v in (1, 8, 11, 12, 16.8, 24, 36, 1280 * 0.35)] == [
        8,
        8,
        16,
        16,
        16,
        24,
        40,
        448,
    ]
    assert run("divisible(28, 16)") == 32
    assert run("divisible(20, 16, limit=0.5)") == 16
    assert run("divisible(20, 16)") == 32


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(1, 10_000), st.integers(1, 64))
def test_divisible_gives_a_multiple_and_takes_at_most_a_tenth(v: float, d: int) -> None:
    found = run("divisible(v, d)", {"v": v, "d": d})
    assert found % d == 0
    assert found >= 0.9 * v
    assert found <= max(d, v + d)


def test_nearest_odd_gives_the_kernels_of_eca() -> None:
    kernels = {c: run("nearest_odd((log2(c) + 1) / 2)", {"c": c}) for c in (64, 96, 128, 256, 512, 1024, 2048)}
    assert kernels == {64: 3, 96: 3, 128: 5, 256: 5, 512: 5, 1024: 5, 2048: 7}


def test_the_list_of_functions_is_the_languages() -> None:
    listed = "min max abs round floor ceil sqrt log2 len sum range zip enumerate int divisible nearest_odd"
    assert list(FUNCTIONS) == listed.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$act", "relu"), ("$n", 3), ("$widths", (24, 116, 232)), ("$nothing", None), ("$x", X), ("plain", "plain"), ("", ""),
        ("conv$n", "conv3"), ("$act-$n", "relu-3"), ("$$", "$"), ("$$act", "$act"), ("a$$b $act", "a$b relu"), ("$n.0", "3.0"),
    ],
)  # fmt: skip
def test_text_reads_parameters_by_a_dollar(text: str, expected: object) -> None:
    assert interpolate(text, ENV) == expected


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("a $", 2, "no name stands behind the `$`"),
        ("$", 0, "no name stands behind the `$`"),
        ("$1", 0, "no name stands behind the `$`"),
        ("$atc", 0, "unknown name 'atc'"),
        ("is $atc", 3, "unknown name 'atc'"),
        ("w $width", 2, "`$width` is a number (0.5), expected text or a whole number inside a longer text"),
        ("w $widths", 2, "`$widths` is a list ([24, 116, 232]), expected text or a whole number inside a longer text"),
        ("w $nothing", 2, "`$nothing` is null (null), expected text or a whole number inside a longer text"),
        ("w $yes", 2, "`$yes` is a truth value (true), expected text or a whole number inside a longer text"),
    ],
)
def test_a_wrong_dollar_is_named_at_its_place(text: str, offset: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        interpolate(text, ENV)
    assert (caught.value.offset, caught.value.message) == (offset, message)


LEAVES = st.one_of(
    st.integers(0, 40).map(str),
    st.sampled_from(["0.5", "2.25", "1e-3", "n", "w", "a[0]", "a[1]"]),
)
NUMBERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
        st.tuples(inner, inner, inner, st.sampled_from(["<", "<=", "==", "!="])).map(
            lambda t: f"({t[0]} if {t[1]} {t[3]} {t[2]} else {t[1]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(st.sampled_from(["abs", "floor", "ceil", "int", "round"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
    ),
    max_leaves=10,
)  # fmt: skip
TRUTHS = st.recursive(
    st.one_of(
        st.sampled_from(["true", "false"]),
        st.tuples(LEAVES, st.sampled_from(["<", ">=", "==", "!="]), LEAVES).map(" ".join),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"not {text}"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=10,
)  # fmt: skip


def attempt(what: Callable[[], Any]) -> tuple[Any, ExpressionError | None]:
    try:
        return what(), None
    except ExpressionError as failed:
        return None, failed


def python(text: str, env: Mapping[str, Any]) -> Any:
    """What Python says, or None where it has no bounded value."""
    names = {"floor": math.floor, "ceil": math.ceil, "true": True, "false": False, **env}
    try:
        found = eval(text, {"__builtins__": {}, "min": min, "max": max, "abs": abs, "int": int, "round": round}, names)
    except (ArithmeticError, ValueError, TypeError, MemoryError):
        return None
    return found


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.one_of(NUMBERS, TRUTHS), st.integers(-9, 9), st.floats(-4, 4))
def test_random_expressions_have_pythons_value_or_leave_the_bounds(text: str, n: int, w: float) -> None:
    env = {"n": n, "w": w, "a": [n + 1, w]}
    found, failed = attempt(lambda: run(text, env))
    if failed is not None:
        bounds = ("beyond 2**53", "not finite", "too large", "division by zero", "no real number")
        assert any(bound in failed.message for bound in bounds), failed.message
        return
    expected = python(text, env)
    assert found == expected
    assert type(found) is type(expected)


PIECES = st.sampled_from(
    ["n", "x", "act", "widths", "1", "0", "2.5", "'t'", "null", "true", "**", "*", "/", "//", "%", "+", "-", "<", "==", "in",
     "not", "and", "or", "if", "else", "(", ")", "[", "]", ",", ":", ".", ".0", "range(", "len(", "sum(", "divisible(", "zip(",
     "x.height", "x.shape", "huge", "9999999", "1e300", "nothing", " "],
)  # fmt: skip


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES, max_size=14).map("".join), st.text(max_size=30)
    )
)
def test_any_text_has_a_value_or_an_expression_error(text: str) -> None:
    started = time.process_time()
    for attempted in (lambda: run(text), lambda: interpolate(text, ENV)):
        _, failed = attempt(attempted)
        if failed is not None:
            assert 0 <= failed.offset <= len(text)
            assert failed.message
    assert time.process_time() - started < 1
