"""Checkpoints: read safely, name for name, into the parameters of a network."""

from .checkpoint import Checkpoint, Tensor
from .families import OURS, Family, Loaded, load_parameters, names_table
from .files import read_checkpoint
from .rules import Evaluate, Exact, RuleError, Rules

__all__ = [
    "OURS", "Checkpoint", "Evaluate", "Exact", "Family", "Loaded", "RuleError", "Rules", "Tensor", "load_parameters",
    "names_table", "read_checkpoint",
]  # fmt: skip
