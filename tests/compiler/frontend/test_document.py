"""The reader of YAML: values and places, limits, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.compiler.errors import Problem, SpecError
from convc.compiler.frontend import document
from convc.compiler.frontend.document import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_EVENTS,
    MAX_SCALAR,
    QUOTE_EXPRESSION,
    Map,
    Scalar,
    Seq,
    Tree,
    parse,
    plain,
    read,
)
from tests.calls import calls

SPEC = """\
# a comment
convc: 1
name:  "quoted name"   # behind it a comment
params: {width: 1.0, sizes: [1, 'two'], none: }
network:
  - conv: {out: 64}
    id: stem
  -   relu
  - - a
    -  b
ünïcode: 'é' # é
doc: |
  first
  second
folded: one
  two
empty:
"""


def problem(text: str | bytes) -> Problem:
    with pytest.raises(SpecError) as caught:
        parse(text, "net.yaml")
    (found,) = caught.value.problems
    return found


def place(found: Problem) -> tuple[int, int]:
    assert found.mark is not None
    return found.mark.line, found.mark.column


def scalars(tree: Tree) -> list[Scalar]:
    if isinstance(tree, Scalar):
        return [tree]
    if isinstance(tree, Seq):
        return [found for item in tree.items for found in scalars(item)]
    return [found for key, value in tree.entries for found in (key, *scalars(value))]


def value(text: str) -> Any:
    tree = parse(f"a: {text}\n", "net.yaml")
    assert isinstance(tree, Map)
    return plain(tree.entries[0][1])


def test_a_spec_reads_as_data() -> None:
    assert plain(parse(SPEC, "net.yaml")) == {
        "convc": 1,
        "name": "quoted name",
        "params": {"width": 1.0, "sizes": [1, "two"], "none": None},
        "network": [{"conv": {"out": 64}, "id": "stem"}, "relu", ["a", "b"]],
        "ünïcode": "é",
        "doc": "first\nsecond\n",
        "folded": "one two",
        "empty": None,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
        ("~", None), ("null", None), ("NULL", None), ("", None), ("nULL", "nULL"),
        ("012", 12), ("-7", -7), ("+3", 3), ("0o17", 15), ("0x1F", 31), ("0b1", "0b1"), ("-0x1F", "-0x1F"),
        ("1:30", "1:30"), ("1_000", "1_000"), ("2001-01-01", "2001-01-01"), ("1.2.3", "1.2.3"), ("1/255", "1/255"),
        ("1e-5", 1e-5), ("1.", 1.0), (".5", 0.5), ("-2.5E+3", -2500.0), ("e5", "e5"), (".", "."), ("-", [None]),
        ("'12'", "12"), ('"true"', "true"), ("'~'", "~"), ("nan", "nan"), ("inf", "inf"), ("٣", "٣"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)  # fmt: skip
def test_plain_words_follow_the_core_schema_of_yaml_1_2(text: str, expected: object) -> None:
    found = value(text) if text != "-" else value("\n- ")
    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_text_as_written() -> None:
    assert plain(parse("{012: a, true: b, 1e3: c, no: d}", "n")) == {"012": "a", "true": "b", "1e3": "c", "no": "d"}


def test_text_knows_whether_it_was_quoted() -> None:
    found = {scalar.text: scalar.quoted for scalar in scalars(parse("[a, 'b', \"c\"]", "n"))}
    assert found == {"a": False, "b": True, "c": True}
    tree = parse("a: |\n  1\nb: >\n  2\n", "n")
    assert isinstance(tree, Map)
    assert [(v.value, v.quoted) for _, v in tree.entries if isinstance(v, Scalar)] == [("1\n", True), ("2\n", True)]


def test_every_one_line_scalar_is_where_its_mark_says() -> None:
    lines = SPEC.splitlines()
    for scalar in scalars(parse(SPEC, "net.yaml")):
        mark = scalar.mark
        shown = lines[mark.line - 1][mark.column - 1 : mark.column - 1 + mark.width]
        if scalar.text in ("first\nsecond\n", "one two"):
            assert shown in ("|", "one")
        elif scalar.text:
            assert shown.strip("'\"") == scalar.text
        else:
            assert mark.width == 1


def test_a_mapping_is_marked_by_its_first_key_and_a_list_by_its_dash() -> None:
    tree = parse(SPEC, "net.yaml")
    assert isinstance(tree, Map)
    network, params = tree.get("network"), tree.get("params")
    assert isinstance(network, Seq)
    assert isinstance(params, Map)
    step = network.items[0]
    assert [(m.line, m.column, m.width) for m in (tree.mark, params.mark, network.mark, step.mark)] == [
        (2, 1, 5), (4, 9, 1), (6, 3, 1), (6, 5, 4),
    ]  # fmt: skip
    assert str(network.items[1].mark) == "net.yaml:8:7"


def test_a_mapping_finds_its_keys() -> None:
    tree = parse("b: 1\na: [2]\n", "n")
    assert isinstance(tree, Map)
    assert tree.keys() == ("b", "a")
    assert len(tree) == 2
    assert "a" in tree
    assert "c" not in tree
    assert 1 not in tree
    assert tree.get("c") is None
    assert tree.key("a").mark.line == 2
    with pytest.raises(KeyError):
        tree.key("c")
    assert "a" not in Map((), tree.mark)


def test_both_parsers_of_pyyaml_give_the_same_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = parse(SPEC, "n")
    assert document._LOADER is yaml.CSafeLoader
    monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)
    slow = parse(SPEC, "n")
    assert plain(slow) == plain(fast)
    # They differ in where they place a value that is not written.
    assert [s.mark for s in scalars(slow) if s.text] == [s.mark for s in scalars(fast) if s.text]


def test_a_label_travels_with_every_mark() -> None:
    tree = parse("a: 1", "/shown/net.yaml", "net.yaml")
    assert tree.mark.source.label == "net.yaml"
    assert tree.mark.file == "/shown/net.yaml"


def test_a_byte_order_mark_and_windows_lines_change_nothing() -> None:
    tree = parse(b"\xef\xbb\xbfa: 1\r\nb: c\r\n", "n")
    assert plain(tree) == {"a": 1, "b": "c"}
    assert [(s.mark.line, s.mark.column) for s in scalars(tree)] == [(1, 1), (1, 4), (2, 1), (2, 4)]


REFUSED = [
    ("a: &x 1\nb: *x", (1, 4), "an anchor (&x)", "params"),
    ("a: *x", (1, 4), "an alias (*x)", "params"),
    ("a: [1, &y [2]]", (1, 8), "an anchor (&y)", "blocks"),
    ("a: &y {b: 1}", (1, 4), "an anchor (&y)", "blocks"),
    ("b: 1\n<<: {a: 1}", (2, 1), "a merge key", "params"),
    ("a: !!str 1", (1, 4), "a tag (tag:yaml.org,2002:str)", "take it out"),
    ("a: !!python/object:os.system [x]", (1, 4), "a tag (tag:yaml.org,2002:python/object:os.system)", "take it out"),
    ("a: !mine {b: 1}", (1, 4), "a tag (!mine)", "take it out"),
    ("a: !no!such b", (1, 4), "a tag", "quote"),
    ("%TAG ! tag:x,2000:\n---\na: 1", (1, 1), "a %TAG line", "no tags"),
    ("a: 1\n---\nb: 2", (2, 1), "a second document", "one document"),
    ("", (1, 1), "there is nothing", "convc: 1"),
    ("# only this\n\n", (1, 1), "there is nothing", "convc: 1"),
    ("---\n", (1, 1), "there is nothing", "convc: 1"),
    ("a: 1\nb: 2\na: 3", (3, 1), "the key 'a' stands twice: in line 1 and in line 3", "one of the two"),
    ("x: {a: 1, 'a': 3}", (1, 11), "the key 'a' stands twice: in line 1 and in line 1", "one of the two"),
    ("a: b\x07c", (1, 5), "the character U+0007", "take it out"),
    ("a: 1\nb: \x00", (2, 4), "the character U+0000", "take it out"),
    ("a: b\u2028c", (1, 5), "the character U+2028", "take it out"),
    ("a: \ud800", (1, 4), "the character U+D800", "take it out"),
    ("a:\n\tb: 1", (2, 1), "a tab", "spaces"),
    ("a:\n  - b\n  \t- c", (3, 3), "a tab", "spaces"),
    ("-\t- b", (1, 2), "a tab", "spaces"),
    ("[a]: 1", (1, 1), "a list stands where a key", "`key: value`"),
    ("x: {{a: 1}: 2}", (1, 5), "a mapping stands where a key", "`key: value`"),
    ("? {a: 1}\n: 2", (1, 3), "a mapping stands where a key", "`key: value`"),
    ("? # no key\n: 3", (1, 2), "a value without a key", "`key: value`"),
    ("a: .nan", (1, 4), ".nan is NaN", "quote"),
    ("a: [1, -.INF]", (1, 8), "-.INF is infinity", "quote"),
    ("a: 1e999", (1, 4), "1e999 is infinity", "1.8e308"),
    ("a: " + "9" * 400, (1, 4), "a number of 400 characters", "quote"),
    ("a: 0." + "9" * 400, (1, 4), "a number of 402 characters", "quote"),
    ("a: {b: 1", (1, 4), "this bracket is not closed", "}"),
    ("a: [b,\n  c\n# end\n", (1, 4), "this bracket is not closed", "]"),
    ("a: [b,\n# end\n", (2, 6), "the file ends inside a bracket", "]"),
    ("a: 'b", (1, 4), "a quoted text is not closed", "quote"),
    ('a: "\\q"', (1, 5), "no such escape", "backslash"),
    ("a: b: c", (1, 5), "a second `:`", "quote"),
    ("a: 1\nb", (2, 1), "a key without its `:`", "`key: value`"),
    ("a: - b", (1, 4), "a list cannot begin here", "line of its own"),
    ("a:\n  b: 1\n c: 2", (3, 2), "fits to nothing above it", "column"),
    ("a: @b", (1, 4), "no value can begin", "quote"),
    ("a: |x\n  b", (1, 5), "the text that |", "nothing follows"),
]


@pytest.mark.parametrize(("text", "where", "message", "hint"), REFUSED)
def test_what_no_spec_may_hold_is_refused_at_its_place(
    text: str, where: tuple[int, int], message: str, hint: str
) -> None:
    found = problem(text)
    assert place(found) == where
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    "text",
    [
        "a: {out: divisible(x, 8)}",
        "a: {b: 1, 8): 2}",
        "a: {b: 1, w]: 2}",
        "foo(1): 2",
        "a: [max(1, 2), 3]",
        "a: {out: widths[0]}",
        "a: {when: k in [1, 2]}",
        "a: {in: [zip(a, b)]}",
        "a: [1] + [2]",
    ],
)
def test_an_unquoted_expression_in_brackets_gets_the_hint_of_the_language(text: str) -> None:
    found = problem(text)
    if text == "a: [1] + [2]":
        assert "fits to nothing" in found.message
    else:
        assert found.hint == QUOTE_EXPRESSION
        assert found.hint == "inside { } and [ ] YAML ends a word at a comma or a bracket: quote the expression"


def test_balanced_and_quoted_brackets_are_fine() -> None:
    text = "{a: 'f(x, 8)', b: f(8), 'k)': 1, c: (1 + 2) * 3, d: \"w[0]\", e: a ':(' b}\n"
    assert plain(parse(text, "n"))["c"] == "(1 + 2) * 3"  # type: ignore[index]
    assert value("f(x, [1, 2]") == "f(x, [1, 2]"


def test_bytes_that_are_no_utf8_are_found() -> None:
    found = problem(b"a: \xc3\xa91\r\nbc: \xe9\n")
    assert place(found) == (2, 5)
    assert "0xE9" in found.message
    assert problem("a: 1".encode("utf-16")).hint == "save the file as UTF-8"


@pytest.mark.parametrize("open_close", ["[]", "{}", "- "])
def test_nesting_ends_at_the_limit(open_close: str) -> None:
    def nested(depth: int) -> str:
        if open_close == "- ":
            return "- " * depth + "x"
        opener = "[" if open_close == "[]" else "{a: "
        return opener * depth + "x" + open_close[1] * depth

    parse(nested(MAX_DEPTH), "n")
    assert problem(nested(MAX_DEPTH + 1)).message == f"nested deeper than {MAX_DEPTH}"
    deep, deeper = (calls(problem, nested(depth)) for depth in (1000, 200_000))
    assert "nested" in problem(nested(200_000)).message
    # What lies below the limit is not even looked at.
    assert deeper < 2 * deep


def test_one_text_ends_at_the_limit() -> None:
    assert value("x" * MAX_SCALAR) == "x" * MAX_SCALAR
    assert "64 KiB" in problem("a: " + "x" * (MAX_SCALAR + 1)).message
    assert "64 KiB" in problem("'" + "x" * (MAX_SCALAR + 1) + "': 1").message


def test_events_end_at_the_limit() -> None:
    found = problem("[" + "x, " * MAX_EVENTS + "]")
    assert f"{MAX_EVENTS:,}" in found.message


def test_text_ends_at_the_limit() -> None:
    assert "4 MiB" in problem("# " + "x" * MAX_BYTES).message
    assert "4 MiB" in problem(b"# " + b"x" * MAX_BYTES).message
    padded = "a: 1\n#"
    assert plain(parse(padded + "x" * (MAX_BYTES - len(padded)), "n")) == {"a": 1}


def test_an_alias_bomb_ends_at_its_first_anchor() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    assert place(problem(bomb)) == (1, 5)


def test_the_work_of_reading_grows_with_the_steps() -> None:
    def steps(count: int) -> str:
        return "network:\n" + "".join(f"  - conv: {{out: 64, kernel: 3}}\n    id: step_{i}\n" for i in range(count))

    parse("a: 1", "n")
    few, many = (calls(parse, steps(count), "n") for count in (1000, 10_000))
    assert many < 11 * few
    tree = parse(steps(10_000), "n")
    assert len(scalars(tree)) == 70_000 + 1


def test_a_file_is_read_under_its_shown_name(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text("a: é\n", encoding="utf-8")
    assert plain(read(path)) == {"a": "é"}
    assert read(path).mark.file == str(path)
    assert read(path, "short.yaml", "label").mark.source.label == "label"
    assert read(path, "short.yaml").mark.file == "short.yaml"


def failure(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read(path)
    return str(caught.value)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "resnet.yaml").write_text("a: 1")
    assert "it is a folder" in failure(tmp_path)
    assert "a pipe or a device" in failure(tmp_path / "pipe.yaml")
    assert "a pipe or a device" in failure(Path(os.devnull))
    assert "cannot read" in failure(tmp_path / "loop.yaml")
    assert "cannot read" in failure(tmp_path / "a\0b.yaml")
    assert "cannot read" in failure(tmp_path / ("x" * 300))
    assert "cannot read" in failure(tmp_path / "resnet.yaml" / "x.yaml")
    missing = failure(tmp_path / "resnett.yaml")
    assert "there is no file" in missing
    assert f"did you mean {str(tmp_path / 'resnet.yaml')!r}?" in missing
    assert "hint" not in failure(tmp_path / "other" / "resnet.yaml")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "net.yaml"
    path.write_text("a: 1")
    # Not by chmod: root may read everything.
    monkeypatch.setattr(os, "open", refuse)
    assert failure(path) == f"error: cannot read {path}: permission denied"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.yaml"
    path.touch()
    os.truncate(path, 200 * 2**20)
    monkeypatch.setattr(os, "fdopen", None)
    assert "large.yaml:1:1: error: the file is larger than 4 MiB" in failure(path)


YAMLISH = st.text(st.sampled_from("ab01 .,:-#&*!|>'\"%@`?[]{}()\n\t\r<~é\\\ufeff\x85"), max_size=60)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.one_of(YAMLISH, st.text(max_size=40), st.binary(max_size=40)))
def test_any_text_is_a_tree_or_a_spec_error_with_a_place(text: str | bytes) -> None:
    try:
        tree = parse(text, "n")
    except SpecError as error:
        mark = error.problems[0].mark
        assert mark is not None
        assert mark.line >= 1
        assert mark.column >= 1
        str(error)
    else:
        for scalar in scalars(tree):
            line = scalar.mark.source.line(scalar.mark.line)
            assert scalar.mark.column - 1 + scalar.mark.width <= max(len(line), scalar.mark.column)


TREES = st.recursive(
    st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9), st.booleans(), st.none(), st.text("ab :,'é", max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TREES, st.booleans())
def test_what_is_dumped_reads_back(data: object, flow: bool) -> None:
    text = yaml.safe_dump({"data": data}, default_flow_style=flow, allow_unicode=True)
    # A repeated empty list is dumped as an alias.
    if "&id" not in text:
        assert plain(parse(text, "n")) == {"data": data}
