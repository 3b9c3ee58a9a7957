"""Linear maps on feature maps: composition, sum, joining, stacking, selection. Numbers stay lazy; no pass is written here."""

from .combine import compose, joined, picked, stacked, total
from .linear_map import Axis, LinearMap, Why, average, identity, per_channel, scaled

__all__ = [
    "Axis", "LinearMap", "Why", "average", "compose", "identity", "joined", "per_channel", "picked", "scaled", "stacked", "total",
]  # fmt: skip
