"""The key-map language: what a rule matches, what it writes, and how it is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.compiler.errors import ShapeError
from convc.compiler.weights import Evaluate, RuleError, Rules

RESNET = [("stem.conv", "conv1"), ("stage.{s}.{i}", "layer{s + 1}.{i}"), ("conv{k}.conv", "conv{k}")]


@pytest.mark.parametrize(
    ("pairs", "ours", "theirs"),
    [
        (RESNET, "stem.conv.weight", "conv1.weight"),
        (RESNET, "stage.2.11.conv2.conv.weight", "layer3.11.conv2.weight"),
        (RESNET, "stage.0.0.bn1.bias", "layer1.0.bn1.bias"),
        ([("conv{k}", "c{k}")], "conv_bn.weight", "conv_bn.weight"),
        ([("conv{k}", "c{k}")], "conv12.weight", "c12.weight"),
        ([("conv{k}", "c{k}")], "conv1x.weight", "conv1x.weight"),
        ([("conv{k}", "c{k}")], "conv\u0661.weight", "conv\u0661.weight"),
        ([("stem", "features.0")], "stems.stem_2.stem.weight", "stems.stem_2.features.0.weight"),
        ([("inception{s}.{i}", "inception{s}{'abcde'[i]}")], "inception4.2.weight", "inception4c.weight"),
        ([("stage.{r}.{i}", "features.{1 + sum(depths[:r]) + i}")], "stage.1.2.weight", "features.5.weight"),
        ([("inner", None)], "stem.inner.weight", "stem.weight"),
        ([("inner", "")], "inner.weight", "weight"),
        ([("a.b", None)], "x.a.b", "x"),
        ([("{i}.x{i}", "same{i}")], "1.x2.w", "1.x2.w"),
        ([("{i}.x{i}", "same{i}")], "2.x2.w", "same2.w"),
        ([("fc", 0)], "fc.weight", "0.weight"),
        ([("s{i}", "s{i / 2}")], "s4.weight", "s2.weight"),
        ([("a", "b"), ("b", "c")], "a.b.w", "c.c.w"),
        ([("left", "tree1")], "left.left.right.left.conv.weight", "tree1.tree1.right.tree1.conv.weight"),
        ([("conv", "conv.conv")], "conv.weight", "conv.conv.weight"),
        ([("x", "{'}'}y")], "x.w", "}y.w"),
    ],
)
def test_rules_rename_whole_components_in_order(
    evaluate: Evaluate, pairs: list[tuple[object, object]], ours: str, theirs: str
) -> None:
    assert Rules.compile(pairs, evaluate).apply(ours) == theirs


@pytest.mark.parametrize(
    ("pair", "part"),
    [
        (("a..b", "c"), "a component is empty"),
        (("", "c"), "a component is empty"),
        (("conv.*", "c"), "'*' is no component"),
        (("conv[0-9]", "c"), "is no component"),
        (("{a}{b}", "c"), "two numbers with nothing between"),
        (("x{a}{b}", "c"), "two numbers with nothing between"),
        (("{i + 1}", "c"), "names a number"),
        (("a{", "c"), "is no component"),
        (("a", "b..c"), "dotted components"),
        (("a", "b c"), "dotted components"),
        (("a", ".b"), "dotted components"),
        (("a", "b{1"), "a { without its }"),
        (("a", "b}"), "a } without its {"),
        (("a", "b{}"), "an expression is empty"),
        (("a", ["b"]), "the right side is a name"),
        (("a", True), "the right side is a name"),
        ((None, "b"), "the left side is a name"),
        (("a", "b\0"), "dotted components"),
    ],
)
def test_a_rule_outside_the_language_is_refused_with_its_index(
    evaluate: Evaluate, pair: tuple[object, object], part: str
) -> None:
    with pytest.raises(RuleError) as caught:
        Rules.compile([("fine", "good"), pair], evaluate)
    assert caught.value.index == 1
    assert caught.value.message.startswith(f"rule `{pair[0]}: ")
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("right", "part"),
    [
        ("layer{s + j}", "`{s + j}` where s = 3: name 'j' is not defined"),
        ("layer{s / 2}", "gives 1.5; a name needs a whole number or text"),
        ("layer{s == 3}", "gives True"),
        ("layer{[s]}", "gives [3]"),
        ("{''}.x", "makes '.x.weight' of 'stage3.weight', which is no name"),
    ],
)
def test_an_expression_that_fails_quotes_the_rule_and_the_numbers(evaluate: Evaluate, right: str, part: str) -> None:
    rules = Rules.compile([("stage{s}", right)], evaluate)
    with pytest.raises(RuleError) as caught:
        rules.apply("stage3.weight")
    assert caught.value.index == 0
    assert f"rule `stage{{s}}: {right}`" in caught.value.message
    assert part in caught.value.message


def test_dropping_the_whole_name_is_an_error(evaluate: Evaluate) -> None:
    with pytest.raises(RuleError, match="which is no name"):
        Rules.compile([("weight", None)], evaluate).apply("weight")


def test_an_expression_is_evaluated_once_for_the_same_numbers() -> None:
    asked: list[str] = []

    def count(text: str, numbers: object) -> object:
        asked.append(text)
        return 7

    rules = Rules.compile([("s{i}", "t{i}")], count)
    assert [rules.apply(f"s1.{name}") for name in "abc"] == ["t7.a", "t7.b", "t7.c"]
    assert asked == ["i"]


def test_rules_without_holes_never_ask_the_evaluator() -> None:
    def refuse(text: str, numbers: object) -> object:
        raise ShapeError("asked")

    assert Rules.compile([("a", "b")], refuse).apply("a.w") == "b.w"


components = st.lists(st.sampled_from(["a", "b", "c", "conv", "conv1", "conv_2", "0", "12"]), min_size=1, max_size=6)


@given(components, components)
def test_a_rule_touches_exactly_the_whole_components_it_names(name: list[str], pattern: list[str]) -> None:
    rules = Rules.compile([(".".join(pattern), "NEW")], lambda text, numbers: 0)
    expected: list[str] = []
    at = 0
    while at < len(name):
        if name[at : at + len(pattern)] == pattern:
            expected.append("NEW")
            at += len(pattern)
        else:
            expected.append(name[at])
            at += 1
    assert rules.apply(".".join(name)) == ".".join(expected)


@given(components, st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1))
def test_numbers_come_back_as_they_were(name: list[str], s: int, i: int) -> None:
    def value(text: str, numbers: object) -> object:
        assert isinstance(numbers, dict)
        return numbers[text]

    rules = Rules.compile([("stage.{s}.unit{i}", "layer{s}.block{i}")], value)
    there = ".".join([*name, f"stage.{s}.unit{i}", "weight"])
    assert rules.apply(there) == ".".join([*name, f"layer{s}.block{i}", "weight"])


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_text_compiles_or_is_refused_as_a_rule(left: str, right: str, name: str) -> None:
    with contextlib.suppress(RuleError):
        assert isinstance(Rules.compile([(left, right)], lambda text, numbers: 1).apply(name), str)
