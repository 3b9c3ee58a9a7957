"""Passes that keep the function exactly, and pay on one runtime: they shape a model to what that does well."""

from .align_channels import AlignChannels
from .channels_first import ChannelsFirst
from .enter_blocks import EnterBlocks
from .widen_gates import WidenGates

__all__ = ["AlignChannels", "ChannelsFirst", "EnterBlocks", "WidenGates"]
