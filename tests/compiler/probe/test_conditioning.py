"""A network that turns the last bit of its input into another output is said to do so, and is no defect of a pass."""

from __future__ import annotations

from pathlib import Path

import convc
from convc.compiler.compile import compile_model
from convc.compiler.probe import rounding, whole

# The logistic map x -> 4 x (1 - x): every turn doubles what two values differ by.
CHAOTIC = """\
convc: 1
name: chaotic
input: {{image: [N, 3, 8, 8]}}
blocks:
  logistic:
    inputs: [f]
    body:
      - mul: [f, -4]
      - add: [x, 4]
      - mul: [f, x]
network:
  - conv_bn: {{out: 4}}
  - sigmoid
  - logistic:
    repeat: {count}
"""


def _chaotic(count: int, folder: Path) -> Path:
    path = folder / "chaotic.yaml"
    path.write_text(CHAOTIC.format(count=count), encoding="utf-8")
    return path


def test_an_ordinary_network_moves_by_a_few_roundings(tmp_path: Path) -> None:
    build = convc.build(_chaotic(1, tmp_path), tmp_path / "out")
    assert rounding(build.compiled.source) < 1e-11
    assert build.compiled.rounding is None
    assert "rounding" not in build.manifest["proof"]


def test_a_network_that_amplifies_rounding_is_built_with_a_warning(tmp_path: Path) -> None:
    build = convc.build(_chaotic(30, tmp_path), tmp_path / "out")
    assert build.compiled.whole_error is not None
    assert build.compiled.whole_error > 1e-9
    assert build.manifest["proof"]["rounding"] >= build.compiled.whole_error
    assert "amplifies rounding, and the proof rests on each rewrite by itself" in build.report
    assert all(record.max_error is not None and record.max_error < 1e-9 for record in build.compiled.records)


def test_what_two_orders_of_the_same_sums_differ_by_is_of_its_size(tmp_path: Path) -> None:
    source = convc.build(_chaotic(30, tmp_path), tmp_path / "out").compiled.source
    assert whole(source, compile_model(source).model) < rounding(source)
