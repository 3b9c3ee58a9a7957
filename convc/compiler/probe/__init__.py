"""The proof of a rewrite in numbers: both sides of a region, and in the end the whole network, in torch's float64.

torch is imported on use: importing this costs nothing.
"""

from .conditioning import rounding
from .joined import joined
from .proof import TorchProbe, whole
from .randomise import randomised, with_numbers

__all__ = ["TorchProbe", "joined", "randomised", "rounding", "whole", "with_numbers"]
