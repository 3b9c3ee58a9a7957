"""P4CNN turns with its input, and what it says of an image does not: in the file that is built, through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import convc
from convc.compiler.lower.to_onnx import to_onnx
from convc.compiler.lower.writer import serialize
from convc.runtime.session import Session

Array = NDArray[Any]
MAPS = ("conv1.act", "conv2.act", "group.0.c4_conv_bn_act.act", "group.3.c4_conv_bn_act.act", "conv7")
SPEC = """\
convc: 1
name: maps
import: [p4cnn.yaml]
input: {image: [N, 1, 28, 28]}
network:
  - p4cnn:
    id: net
outputs: {c1: net.conv1, c2: net.conv2, c3: net.group.0, c6: net.group.3, c7: net.conv7, logits: net}
"""


def images() -> Array:
    return np.random.default_rng(2).standard_normal((3, 1, 28, 28), np.float32)


def turned(y: Array) -> Array:
    """A quarter turn of the planes, and every filter's orientations moved on by one."""
    planes = np.rot90(y.reshape(y.shape[0], -1, 4, *y.shape[2:]), 1, axes=(3, 4))
    return np.roll(planes, 1, axis=2).reshape(y.shape)


def off(actual: Array, expected: Array) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def test_every_map_turns_with_the_image_and_the_answer_stays(tmp_path: Path) -> None:
    (tmp_path / "maps.yaml").write_text(SPEC)
    build = convc.build(tmp_path / "maps.yaml", tmp_path / "out")
    assert build.verification.ok
    session = Session(build.path)
    x = images()
    before = session.run({"image": x})
    for quarters in (1, 2, 3):
        after = session.run({"image": np.rot90(x, quarters, axes=(2, 3)).copy()})
        for name in ("c1", "c2", "c3", "c6", "c7"):
            expected = before[name]
            for _ in range(quarters):
                expected = turned(expected)
            assert off(after[name], expected) < 1e-5, name
            # The orientations are not all alike: the test could fail.
            assert off(after[name], before[name]) > 1e-2, name
        assert off(after["logits"], before["logits"]) < 1e-5


def test_an_ordinary_turn_of_less_changes_the_answer(tmp_path: Path) -> None:
    session = Session(serialize(to_onnx(convc.load("p4cnn").model(seed=1))))
    x = images()
    mirrored = session.run({"image": x[:, :, :, ::-1].copy()})["output"]
    assert off(mirrored, session.run({"image": x})["output"]) > 1e-2


@pytest.mark.parametrize("width", [10, 16])
def test_only_base_filters_are_counted(width: int) -> None:
    """Lifting, five group convolutions, the last one with its bias, six norms of two numbers per filter."""
    counted = 9 * width + 5 * 9 * 4 * width**2 + 16 * 4 * width * 10 + 10 + 6 * 2 * width
    assert convc.load("p4cnn", width=width).costs().params == counted
