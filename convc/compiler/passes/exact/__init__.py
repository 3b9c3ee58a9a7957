"""Passes that keep the function exactly; they pay, or cost nothing, on every runtime."""

from .align_channels import AlignChannels
from .channels_first import ChannelsFirst
from .drop_dead import DropDead
from .drop_identity import DropIdentity
from .expand_c4 import ExpandC4
from .fold_batchnorm import FoldBatchNorm
from .fold_shuffle import FoldShuffle
from .late_concat import LateConcat
from .merge_picks import MergePicks
from .narrow_pointwise import NarrowPointwise
from .widen_gates import WidenGates

__all__ = [
    "AlignChannels",
    "ChannelsFirst",
    "DropDead",
    "DropIdentity",
    "ExpandC4",
    "FoldBatchNorm",
    "FoldShuffle",
    "LateConcat",
    "MergePicks",
    "NarrowPointwise",
    "WidenGates",
]
