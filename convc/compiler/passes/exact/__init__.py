"""Passes that keep the function exactly; they pay, or cost nothing, on every runtime."""

from .border_bias import BorderBias
from .drop_dead import DropDead
from .drop_dead_channels import DropDeadChannels
from .drop_identity import DropIdentity
from .expand_c4 import ExpandC4
from .fold_affine_back import FoldAffineBack
from .fold_affine_forward import FoldAffineForward
from .fold_batchnorm import FoldBatchNorm
from .fold_constants import FoldConstants
from .fold_pad import FoldPad
from .fold_shuffle import FoldShuffle
from .fuse_pointwise import FusePointwise
from .join_summands import JoinSummands
from .late_concat import LateConcat
from .merge_branches import MergeBranches
from .merge_equal import MergeEqual
from .merge_picks import MergePicks
from .merge_repeats import MergeRepeats
from .merge_siblings import MergeSiblings
from .name_activations import NameActivations
from .narrow_pointwise import NarrowPointwise
from .pull_strides import PullStrides

__all__ = [
    "BorderBias",
    "DropDead",
    "DropDeadChannels",
    "DropIdentity",
    "ExpandC4",
    "FoldAffineBack",
    "FoldAffineForward",
    "FoldBatchNorm",
    "FoldConstants",
    "FoldPad",
    "FoldShuffle",
    "FusePointwise",
    "JoinSummands",
    "LateConcat",
    "MergeBranches",
    "MergeEqual",
    "MergePicks",
    "MergeRepeats",
    "MergeSiblings",
    "NameActivations",
    "NarrowPointwise",
    "PullStrides",
]
