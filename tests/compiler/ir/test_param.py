"""Expressions over parameters: the same one is one object while it lives, and different ones never are."""

from __future__ import annotations

import gc
from itertools import combinations

import numpy as np
import pytest

from convc.compiler.ir import Model, Param, Stored, constant, once
from convc.compiler.ir.text import graph

A, B = (Stored(np.arange(1.0, 7.0).reshape(2, 3) * factor) for factor in (1.0, 0.3))
SAME = [
    lambda: A * B,
    lambda: A / 3.0,
    lambda: (A + B).sqrt().reshape(3, 2),
    lambda: -A - B * 2.0,
    lambda: A.apply((2,), lambda a: a.sum(1), "summed", key=1),
    lambda: constant(2.5, (4,)),
]


@pytest.mark.parametrize("made", SAME)
def test_the_same_expression_is_one_object(made: object) -> None:
    assert callable(made)
    first = made()
    assert made() is first


def test_expressions_that_differ_are_different_objects() -> None:
    made: list[Param] = [
        A * B, B * A, A + B, A - B, A / B, A * 2.0, A * 2.0000001, A + 2.0, A.reshape(6), A.reshape(3, 2), B.reshape(6),
        A.sqrt(), B.sqrt(), A.apply((2,), lambda a: a[:, 0], "part", key=0), A.apply((2,), lambda a: a[:, 1], "part", key=1),
        A.apply((2, 1), lambda a: a[:, :1], "part", key=0), A.apply((2,), lambda a: a[:, 0], "other", key=0),
        once(("part", 9), (2,), lambda a: a[:, 2], (A,), "part"), constant(2.0, (2,)), constant(2.0, (3,)), constant(-2.0, (2,)),
    ]  # fmt: skip
    assert all(one is not other for one, other in combinations(made, 2))
    values = [one.evaluate() for one in made[:7]]
    assert np.array_equal(values[5], A.array * 2.0)
    assert not np.array_equal(values[5], values[6])


def test_a_function_without_a_key_is_one_of_its_own() -> None:
    first = A.apply((2,), lambda a: a[:, 0], "part")
    second = A.apply((2,), lambda a: a[:, 1], "part")
    assert first is not second
    assert not np.array_equal(first.evaluate(), second.evaluate())


def test_what_nobody_holds_any_more_is_not_found_again_by_the_id_of_another() -> None:
    for i in range(200):
        values = Stored(np.full(3, float(i)))
        doubled = values * 2.0
        assert doubled.evaluate()[0] == 2.0 * i
        del values, doubled
        gc.collect(0)


def shared(same: bool) -> Model:
    """Two convolutions of one weight, of which each is given a multiple of it: one, or each another."""
    model = graph("input x: [N, 2, 5, 5]\na = conv(x, out=2)\nb = conv(a, out=2) with weight=a.weight, bias=a.bias")
    edit = model.edit()
    with edit.region("test", "a"):
        for name, factor in (("a", 2.0), ("b", 2.0 if same else 3.0)):
            node = edit.node(name)
            assert node is not None
            edit.set_params(name, weight=model.params["a.weight"] * factor)
    return edit.commit()


def test_an_editor_stores_one_expression_once() -> None:
    after = shared(same=True)
    assert after.graph.nodes["a"].params == after.graph.nodes["b"].params
    assert len(after.params) == 2
    assert after.trained == frozenset(after.params)
    apart = shared(same=False)
    assert apart.graph.nodes["a"].params["weight"] != apart.graph.nodes["b"].params["weight"]
    assert len(apart.params) == 3


def test_who_shares_an_expression_can_be_given_another() -> None:
    after = shared(same=True)
    weight = after.params_of(after.graph.nodes["a"])["weight"]
    edit = after.edit()
    with edit.region("test", "b"):
        edit.set_params("b", weight=weight * 5.0)
    then = edit.commit()
    assert then.params_of(then.graph.nodes["a"])["weight"] is weight
    ratio = then.params_of(then.graph.nodes["b"])["weight"].evaluate() / weight.evaluate()
    assert np.allclose(ratio, 5.0, rtol=1e-12)


def test_holders_are_those_that_name_it() -> None:
    edit = graph("input x: [N, 2, 5, 5]\na = conv(x, out=2)\nb = conv(a, out=2) with weight=a.weight").edit()
    assert edit.holders("a.weight") == ("a", "b")
    assert edit.holders("a.bias") == ("a",)
    assert edit.holders("nothing") == ()
