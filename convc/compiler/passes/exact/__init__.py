"""Passes that keep the function exactly; they pay, or cost nothing, on every runtime."""

from .align_channels import AlignChannels
from .drop_dead import DropDead
from .drop_identity import DropIdentity
from .expand_c4 import ExpandC4
from .fold_batchnorm import FoldBatchNorm
from .narrow_pointwise import NarrowPointwise
from .widen_gates import WidenGates

__all__ = ["AlignChannels", "DropDead", "DropIdentity", "ExpandC4", "FoldBatchNorm", "NarrowPointwise", "WidenGates"]
