"""Inputs of a point: the sizes asked for where the model leaves them open, and a refusal where it does not."""

from __future__ import annotations

import pytest

from convc.compiler.errors import ModelError, UsageError
from convc.runtime.profile.feeds import check_memory, point_size, random_feeds, shapes_for
from convc.runtime.profile.graph import GraphNode, ModelGraph
from convc.runtime.signature import Value

OPEN = Value("image", "float32", ("N", 3, "H", "W"))
FIXED = Value("image", "float32", (1, 3, 32, 48))
TOKEN = Value("mask", "int64", ("N", None))


def test_open_axes_take_what_is_asked_for() -> None:
    assert shapes_for([OPEN], 4, (64, 80)) == {"image": (4, 3, 64, 80)}
    assert shapes_for([OPEN], 4, (64,)) == {"image": (4, 3, 64, 64)}
    assert shapes_for([OPEN], 0, ()) == {"image": (1, 3, 224, 224)}
    assert shapes_for([TOKEN, OPEN], 2, (64,)) == {"mask": (2, 16), "image": (2, 3, 64, 64)}


def test_fixed_axes_stay_and_another_size_is_refused() -> None:
    assert shapes_for([FIXED], 0, ()) == {"image": (1, 3, 32, 48)}
    assert shapes_for([FIXED], 1, (32, 48)) == {"image": (1, 3, 32, 48)}
    with pytest.raises(UsageError, match=r"--batch asks for 8.*axis 0 is fixed"):
        shapes_for([FIXED], 8, ())
    with pytest.raises(UsageError, match=r"--size asks for 64.*axis 2 is fixed"):
        shapes_for([FIXED], 0, (64,))
    with pytest.raises(UsageError, match="--size has 3 numbers"):
        shapes_for([OPEN], 0, (8, 8, 8))
    with pytest.raises(ModelError, match="no inputs"):
        shapes_for([], 1, ())


def test_what_no_input_could_take_is_refused_and_not_forgotten() -> None:
    scalar, row = Value("x", "float32", ()), Value("x", "float32", ("N", 10))
    with pytest.raises(UsageError, match="--batch asks for 4, and no input has a batch"):
        shapes_for([scalar], 4, ())
    with pytest.raises(UsageError, match=r"--size asks for 8x9, .*: no axis of space"):
        shapes_for([row], 4, (8, 9))
    assert shapes_for([scalar, row], 4, ()) == {"x": (4, 10)}


def test_a_point_is_named_after_the_picture() -> None:
    assert point_size([TOKEN, OPEN], {"mask": (2, 16), "image": (2, 3, 64, 80)}) == (2, (64, 80))


def test_feeds_are_random_with_a_seed_and_of_the_type() -> None:
    shapes = {"mask": (2, 16), "image": (2, 3, 4, 4)}
    first, again, other = (random_feeds([TOKEN, OPEN], shapes, seed, None) for seed in (1, 1, 2))
    assert (first["image"] == again["image"]).all()
    assert (first["image"] != other["image"]).any()
    assert (first["mask"].dtype.name, first["image"].dtype.name) == ("int64", "float32")
    assert set(first["mask"].ravel()) <= {0, 1}
    with pytest.raises(ModelError, match="only numbers"):
        random_feeds([Value("t", "object", (1,))], {"t": (1,)}, 0, None)


def test_too_little_memory_is_said_before_anything_is_allocated() -> None:
    with pytest.raises(ModelError, match=r"not enough memory: inputs \[1000000, 3, 4096, 4096\] needs 18\d*"):
        random_feeds([OPEN], {"image": (10**6, 3, 4096, 4096)}, 0, 1 << 34)
    node = GraphNode("big", "Conv", ("x", "w"), ("y",))
    graph = ModelGraph((node,), ("x",), ("y",), frozenset("w"), sizes={"x": 1 << 30, "w": 1 << 20, "y": 1 << 33})
    with pytest.raises(ModelError, match=r"node 'big' \(Conv\) needs 9\.0 GiB, and 8\.0 GiB are free"):
        check_memory(graph, 1 << 33)
    check_memory(graph, 1 << 34)
    check_memory(graph, None)
