"""Pools and the steps that undo them, as networks: every pairing by name, both export roads, several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import convc
from convc.compiler.lower.to_onnx import to_onnx
from convc.compiler.lower.writer import serialize
from convc.runtime.session import Session
from tests.compiler.frontend.nets import Nets, reads

UNPOOL = """\
network:
  - max_pool: {kernel: 2%s}
    id: pool
  - neg
  - max_unpool: pool
    id: up
"""


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_values_go_back_to_where_the_maximum_was(nets: Nets, size: tuple[int, int], dynamic: bool) -> None:
    shape = "[N, 3, H, W]" if dynamic else f"[N, 3, {size[0]}, {size[1]}]"
    path = nets.write(f"input: {{image: {shape}}}\n" + UNPOOL % "")
    session = Session(serialize(to_onnx(convc.load(path).model())))
    for batch in (1, 3):
        x = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(batch))
        y, places = F.max_pool2d(x, 2, return_indices=True)
        expected = F.max_unpool2d(-y, places, (2, 2), output_size=size)
        assert torch.equal(torch.from_numpy(session.run({"image": x.numpy()})["output"]), expected)


def test_the_places_stand_beside_the_pool_and_are_made_once(nets: Nets) -> None:
    net = nets.net(UNPOOL % "" + "  - max_unpool: pool\n    id: again\n    from: pool\n  - add: [up, again]\n")
    found = reads(net)
    assert found["pool.indices"] == ("image",)
    assert found["up"] == ("neg", "pool.indices", "image")
    assert found["again"] == ("pool", "pool.indices", "image")
    assert [n.op.name for n in net.graph.nodes.values()].count("max_pool_indices") == 1


def test_pools_of_loops_and_branches_are_named_as_values_are(nets: Nets) -> None:
    net = nets.steps(
        """
        - for: k
          id: down
          in: range(2)
          do:
            - max_pool: 2
              id: pool
        - max_unpool: down.1.pool
        - max_unpool: down.0.pool
          id: up
        """
    )
    assert reads(net)["max_unpool"] == ("down.1.pool", "down.1.pool.indices", "down.0.pool")
    assert reads(net)["up"] == ("max_unpool", "down.0.pool.indices", "image")


def test_the_whole_is_built_with_its_proof(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "networks"
    for via in ("direct", "torch"):
        build = convc.build(folder / "segnet.yaml", tmp_path / via, via=via, size=20)
        assert build.verification.ok
    x = np.random.default_rng(1).standard_normal((3, 3, 20, 20), np.float32)
    found = [Session(tmp_path / via / "model.onnx").run({"image": x})["output"] for via in ("direct", "torch")]
    assert float(np.abs(found[0] - found[1]).max()) < 1e-5
