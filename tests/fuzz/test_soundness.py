"""Random networks under random orders of all passes keep their function and their face.

Seeds are fixed; a failure prints the command that shows it again. `python -m tests.fuzz` runs more of them.
"""

from __future__ import annotations

import pytest

from convc.compiler.ir import Model
from convc.compiler.ops.conv_transpose import ConvTranspose
from convc.compiler.ops.global_pool import GlobalMaxPool
from convc.compiler.ops.pool import MaxPool
from convc.compiler.passes import PassManager
from tests.fuzz.drawing import drawn
from tests.fuzz.judging import ORDERS, Sound, again, check, evaluated, order, sizes, values
from tests.fuzz.running import apart, by_onnxruntime, by_reference, exported, face
from tests.fuzz.sweeping import sweep

QUICK = 60
SLOW = 2000
# What a float32 runtime may differ from float64 over some forty layers.
FLOAT32 = 1e-4


@pytest.mark.parametrize("first", range(0, QUICK, 10))
def test_random_networks_keep_their_numbers(first: int) -> None:
    found = [check(seed) for seed in range(first, first + 10)]
    assert max(sound.error for sound in found) < 1e-12, "exact algebra leaves rounding alone"
    assert _rewrites(found) > 10


@pytest.mark.slow
def test_two_thousand_random_networks_keep_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        failures = sweep(range(QUICK, QUICK + SLOW), jobs=2, orders=list(range(ORDERS)))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_the_exported_file_says_the_same_to_other_runtimes(seed: int) -> None:
    _exported(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2000, 2400, 50))
def test_four_hundred_exported_files_say_the_same_to_other_runtimes(first: int) -> None:
    for seed in range(first, first + 50):
        _exported(seed)


def _exported(seed: int) -> None:
    model = drawn(seed)
    after = _optimised(model, seed)
    inputs = values(model, sizes(model))
    expected = evaluated(model, inputs)
    file = exported(after)
    assert face(file) == face(exported(model)), again(seed, 1)
    assert apart(expected, by_onnxruntime(file, inputs)) < FLOAT32, again(seed, 1)
    if not _beyond_reference(after):
        assert apart(expected, by_reference(file, inputs)) < FLOAT32, again(seed, 1)


def _optimised(model: Model, seed: int) -> Model:
    return PassManager(order(seed, 1)).run(model).model


def _beyond_reference(model: Model) -> bool:
    """onnx's evaluator knows no groups in a transposed convolution, and takes the maximum of images alone."""
    for node in model.graph:
        if isinstance(node.op, ConvTranspose) and node.op.groups > 1:
            return True
        if isinstance(node.op, MaxPool | GlobalMaxPool) and model.graph.type_of(node.inputs[0]).rank != 4:
            return True
    return False


def _rewrites(found: list[Sound]) -> int:
    return sum(sum(sound.rewrites.values()) for sound in found)
