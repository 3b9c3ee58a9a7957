"""Passes that keep the function exactly; they pay, or cost nothing, on every runtime."""

from .drop_dead import DropDead
from .drop_identity import DropIdentity
from .expand_c4 import ExpandC4
from .fold_batchnorm import FoldBatchNorm
from .fold_shuffle import FoldShuffle
from .late_concat import LateConcat
from .merge_picks import MergePicks
from .narrow_pointwise import NarrowPointwise

__all__ = [
    "DropDead",
    "DropIdentity",
    "ExpandC4",
    "FoldBatchNorm",
    "FoldShuffle",
    "LateConcat",
    "MergePicks",
    "NarrowPointwise",
]
