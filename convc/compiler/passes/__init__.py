"""The passes, and the pipelines O0 to O3: tuples one can read. Order is meaning, so it is written by hand.

exact/    pay on every runtime, or where the cost model says so          layout/    pay on one runtime
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .exact import (
    BorderBias,
    DropDead,
    DropDeadChannels,
    DropIdentity,
    ExpandC4,
    FoldAffineBack,
    FoldAffineForward,
    FoldBatchNorm,
    FoldConstants,
    FoldPad,
    FoldShuffle,
    FusePointwise,
    LateConcat,
    MergeBranches,
    MergeEqual,
    MergePicks,
    MergeSiblings,
    NameActivations,
    NarrowPointwise,
    PullStrides,
)
from .layout import AlignChannels, ChannelsFirst, EnterBlocks, WidenGates
from .manager import ALLOWED, Optimised, PassManager, PassRecord, Probe, prove
from .rewrite import Match, Miss, Result, Rewrite
from .worth import WORTHS, Price, Verdict, Worth, price

Pipeline = tuple[Rewrite[Any], ...]

O0: Pipeline = ()

# Exact, and never dearer.
O1: Pipeline = (
    DropDead(),  # a head that goes may have been what kept a conv from its batch norm
    DropIdentity(),  # so may a dropout between the two
    FoldConstants(),
    MergeEqual(),
    NameActivations(),
    FoldPad(),
    ExpandC4(),  # an ordinary batch norm behind an ordinary conv folds
    FoldBatchNorm(),
    FoldAffineBack(),  # what has no convolution right before it
    FoldAffineForward(),
    MergePicks(),
    FoldShuffle(),
    DropDeadChannels(),  # what no choice of channels takes, once there is one choice and not two
)

# All that is exact and pays by the cost model.
O2: Pipeline = (
    *O1,
    FusePointwise(),
    MergeBranches(),
    MergeSiblings(),
    PullStrides(),
    NarrowPointwise(),
    LateConcat(),
    BorderBias(),
)

# The same, but for passes that may lose what was measured on a machine decides (tuning.py).
O3: Pipeline = O2

PIPELINES: tuple[Pipeline, ...] = (O0, O1, O2, O3)

# What follows from O2 on, for one runtime alone: exact everywhere, and measured to pay there.
TARGETS: Mapping[str, Pipeline] = MappingProxyType(
    {"generic": (), "ort-cpu": (ChannelsFirst(), AlignChannels(), WidenGates(), EnterBlocks()), "ort-cuda": ()}
)

# Every pass by name, in the order in which they run.
PASSES: Mapping[str, Rewrite[Any]] = MappingProxyType(
    {one.name: one for one in (*O3, *(one for extra in TARGETS.values() for one in extra))}
)


def levels_of(name: str) -> str:
    """When a pass runs, in words: `-O1`, or `-O2 --target ort-cpu`."""
    for level, pipeline in enumerate(PIPELINES):
        if any(one.name == name for one in pipeline):
            return f"-O{level}"
    targets = [target for target, extra in TARGETS.items() if any(one.name == name for one in extra)]
    return f"-O2 --target {' | '.join(targets)}"


def pays_always(name: str) -> bool:
    """Whether a pass has nothing to decide: what it does is never dearer."""
    return PASSES[name].worth_when.startswith("always")


__all__ = [
    "ALLOWED", "O0", "O1", "O2", "O3", "PASSES", "PIPELINES", "TARGETS", "WORTHS", "Match", "Miss", "Optimised",
    "PassManager", "PassRecord", "Pipeline", "Price", "Probe", "Result", "Rewrite", "Verdict", "Worth", "levels_of",
    "pays_always", "price", "prove",
]  # fmt: skip
