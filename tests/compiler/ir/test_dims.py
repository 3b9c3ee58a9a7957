"""Symbolic sizes agree with whole numbers, and read back from their text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.compiler.errors import ShapeError
from convc.compiler.ir import Dim, SymDim
from convc.compiler.ir.dims import at
from convc.compiler.ir.text import from_text

H = SymDim.symbol("H")
W = SymDim.symbol("W", multiple=4)

_LEAVES = st.sampled_from([("H",), ("W",)]) | st.integers(-4, 9).map(lambda n: (n,))


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.sampled_from("+-*"), inner, inner) | st.tuples(st.just("//"), inner, st.integers(1, 6))


TREES = st.recursive(_LEAVES, _grown, max_leaves=7)


def value(tree: Any, known: Any) -> Any:
    if len(tree) == 1:
        return known.get(tree[0], tree[0]) if isinstance(tree[0], str) else tree[0]
    sign, left, right = tree
    a, b = value(left, known), right if sign == "//" else value(right, known)
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "//": lambda: a // b}[sign]()


@settings(max_examples=400, deadline=None)
@given(TREES, st.integers(1, 40), st.integers(1, 10))
def test_a_size_has_the_value_of_its_expression(tree: Any, height: int, width: int) -> None:
    size: Dim = value(tree, {"H": H, "W": W})
    assert at(size, {"H": height, "W": 4 * width}) == value(tree, {"H": height, "W": 4 * width})


@settings(max_examples=400, deadline=None)
@given(TREES)
def test_a_size_reads_back_from_its_text(tree: Any) -> None:
    size = value(tree, {"H": H, "W": W})
    text = f"symbol W multiple=4\ninput x: [{size}]\ny = relu(x)"
    assert from_text(text).inputs["x"].shape == (size,), str(size)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((H + 2 - 3) // 2 + 1, (H - 1) // 2 + 1),
        ((H + 1) // 2, (H - 1) // 2 + 1),
        ((H // 2) // 2, H // 4),
        (((H + 1) // 2 + 1) // 2, (H + 3) // 4),
        (W // 4 * 4, W),
        (W // 4 + W // 2, 3 * W // 4),
        (H * W // W, H),
    ],
)
def test_two_ways_to_one_size_are_equal(left: Dim, right: Dim) -> None:
    assert left == right


def test_a_sign_before_a_division_keeps_its_brackets() -> None:
    assert str(3 - H // 2) == "-(H // 2) + 3"


def test_a_broken_promise_is_refused() -> None:
    with pytest.raises(ShapeError, match="promises a multiple"):
        at(W // 4, {"W": 6})
    with pytest.raises(ShapeError, match="has no value here"):
        at(H + 1, {})
