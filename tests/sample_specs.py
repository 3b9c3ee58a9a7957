"""A spec of one's own for tests: shared weights, a step run again, a split, an import, a training branch, several outputs."""

from __future__ import annotations

from pathlib import Path

TWIN = """\
convc: 1
name: twin
doc: "Two eyes, one set of weights: \\u00bd of the channels through a gate."
params: {width: 8, classes: 5, act: silu}
variants:
  twin: {}
  wide: {width: 12, act: leaky_relu}
import: [parts/gate.yaml]
symbols: {H: {multiple: 8, min: 16}, W: {multiple: 8, min: 16}}
input:
  left: [N, 3, H, W]
  right: [N, 3, H, W]

network:
  - share:
      - conv_bn_act: {out: width, stride: 2, act: $act}
        id: stem
      - max_pool: 2
    from: [left, right]
    id: eyes
    merge: concat
  - conv: {out: 2 * width, groups: 2}
    id: mix
  - act: $act
  - gate: 4
    id: gate
  - use: mix
    id: again
  - split:
      near: []
      far: [conv_bn: {kernel: [3, 1]}, dropout: 0.3]
    merge: concat
    id: depth
  - global_avg_pool:
    id: pooled
  - linear: 3
    id: extra
    train_only: true
  - linear: classes
    id: kind
  - linear: {out: 1, bias: false}
    id: distance
    from: pooled
outputs: {kind: kind, distance: distance}
preprocess: {scale: 1/255, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], resize: 32, crop: 32, color: rgb}
labels: [cat, dog, "caf\\u00e9", "no", 17]
checkpoints:
  lab:
    mix: trunk.mix
    eyes.stem.conv: first
"""

GATE = """\
convc: 1
blocks:
  gate:
    params: {reduce: int, inner: int = x.channels // reduce}
    inputs: [u]
    body:
      - residual:
          - global_avg_pool: {keepdims: true}
          - conv_act: {out: inner, kernel: 1, act: relu}
            id: down
          - conv: {out: u.channels, kernel: 1}
            id: up
          - hardsigmoid:
            id: level
          - mul: [u, level]
            id: scaled
"""


def write_twin(folder: Path) -> Path:
    """The spec `twin.yaml` with what it imports, below a folder."""
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "gate.yaml").write_text(GATE, encoding="utf-8")
    file = folder / "twin.yaml"
    file.write_text(TWIN, encoding="utf-8")
    return file
