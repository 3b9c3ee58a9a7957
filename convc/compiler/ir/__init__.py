"""The intermediate representation: dimensions, types, operators' interface, graph, model and its editor."""

from .dims import Dim, SymDim
from .editor import Editor
from .graph import Graph, Node
from .model import Model
from .op import REGISTRY, Arity, Field, Op, Window, arg
from .param import Lazy, Param, Seeded, Stored, constant, once
from .region import Region
from .types import DType, Init, ParamType, Shape, TensorType

__all__ = [
    "REGISTRY", "Arity", "DType", "Dim", "Editor", "Field", "Graph", "Init", "Lazy", "Model", "Node", "Op", "Param",
    "ParamType", "Region", "Seeded", "Shape", "Stored", "SymDim", "TensorType", "Window", "arg", "constant",
    "once",
]  # fmt: skip
