"""How far rounding alone moves a network's outputs: what no comparison of two exact forms of it can fall below.

    K = difference(f(x), f(x (1 + 1e-13 s)))        s = -1 or 1 at random, in float64

1e-13 is what sums of thousands of terms lose to rounding. A trained network is near that itself. One of many blocks with
fresh weights can grow from block to block until its gates only switch: then the last bits of the input decide, and two
orders of the same sums share no digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir import Model
from .proof import deployed, difference, whole_plans

if TYPE_CHECKING:
    from torch import Tensor

_NUDGE = 1e-13


def rounding(model: Model, seed: int = 0) -> float:
    """K of a model, at the sizes at which `whole` compares."""
    from .float64 import dense, one_thread, run

    side = deployed(model)
    plan, _ = whole_plans(model, (side, side))
    names = tuple(model.graph.outputs.values())
    with one_thread():
        inputs = dense(plan.inputs, seed, False)
        exact = run(side, inputs, names, None)
        nudged = run(side, {name: _nudged(x, seed) for name, x in inputs.items()}, names, None)
    return max(difference(exact[name], nudged[name]) for name in names)


def _nudged(x: Tensor, seed: int) -> Tensor:
    import torch

    if not x.is_floating_point():
        return x
    signs = torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return x * (1 + signs.to(x.dtype) * _NUDGE)
