"""`max_unpool` names its pool: the places of the maxima stand beside that pool, once, and what cannot be undone is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import convc
from convc.runtime.session import Session

PAIRED = """\
convc: 1
name: paired
input: {image: [N, 3, H, W]}
network:
  - max_pool: 2
    id: pool1
  - for: k
    id: down
    in: range(2)
    do:
      - max_pool: {kernel: 2, ceil: true}
  - relu
  - max_unpool: "down[1]"
    id: once
  - max_unpool: {pool: down.1}
    from: down.1
    id: again
  - add: [once, again]
  - max_unpool: down.0
  - max_unpool: pool1
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_unpooling_is_pytorchs_own_at_any_size(tmp_path: Path) -> None:
    build = convc.build(_written(tmp_path, PAIRED), tmp_path / "out", size="dynamic")
    pooled = [node.name for node in build.network.graph if node.op.name == "max_pool_indices"]
    assert pooled == ["down.1.indices", "down.0.indices", "pool1.indices"]
    for batch, height, width in ((1, 13, 22), (3, 16, 9)):
        x = np.random.default_rng(height).standard_normal((batch, 3, height, width)).astype(np.float32)
        actual = next(iter(Session(build.path).run({"image": x}).values()))
        np.testing.assert_allclose(actual, _reference(torch.from_numpy(x)), rtol=1e-6)


def _reference(x: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    pool, unpool = torch.nn.functional.max_pool2d, torch.nn.functional.max_unpool2d
    a, ia = pool(x, 2, return_indices=True)
    b, ib = pool(a, 2, ceil_mode=True, return_indices=True)
    c, ic = pool(b, 2, ceil_mode=True, return_indices=True)
    y = unpool(c.relu() + c, ic, [2, 2], output_size=list(b.shape[2:]))
    y = unpool(y, ib, [2, 2], output_size=list(a.shape[2:]))
    return unpool(y, ia, [2, 2], output_size=list(x.shape[2:])).numpy()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("[{conv: 4, id: c}, {max_unpool: c}]", "undoes a max_pool, and 'c' is `conv`"),
        ("[{max_pool: 2}, {max_unpool: image}]", "undoes a max_pool, and 'image' is an input"),
        ("[{max_pool: 2, id: p}, {max_unpool: q}]", "no value is called 'q' here"),
        ("[{avg_pool: 2, id: p}, {max_unpool: p}]", "undoes a max_pool, and 'p' is `avg_pool`"),
        ("[{max_pool: {kernel: 3, stride: 2}, id: p}, {max_unpool: p}]", "cannot be undone: its windows overlap"),
        (
            "[{max_pool: {kernel: 2, dilation: 2, stride: 4}, id: p}, {max_unpool: p}]",
            "dilated windows cannot be undone",
        ),
        ("[{max_pool: 2, id: p}, {conv: 4}, {max_unpool: p}]", "cannot undo pool 'p'.*channels differ"),
        ("[{max_pool: 2, id: p}, {max_pool: 2}, {max_unpool: p}]", "cannot undo pool 'p'.*height"),
        ("[{max_pool: 2, id: p}, {max_unpool}]", "needs `pool`"),
    ],
)
def test_what_is_no_pool_or_cannot_be_undone_is_refused(steps: str, message: str, tmp_path: Path) -> None:
    text = f"convc: 1\nname: net\ninput: {{image: [N, 3, 16, 16]}}\nnetwork: {steps}\n"
    with pytest.raises(convc.SpecError, match=message) as error:
        convc.load(_written(tmp_path, text))
    assert "spec.yaml:4:" in str(error.value)
