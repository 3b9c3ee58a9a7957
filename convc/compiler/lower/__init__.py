"""The roads out of the compiler: to PyTorch (what a model means) and to ONNX (what is deployed).

torch and onnx are imported inside functions only, so that everything above may import this room at no cost.
"""

from .onnx_model import OnnxModel, Weight
from .to_onnx import IR_VERSION, OPSET, check, check_file, to_onnx
from .to_torch import evaluate, to_torch
from .via_torch import export_through_torch
from .writer import EXTERNAL_DATA_THRESHOLD, model_files, serialize

__all__ = [
    "EXTERNAL_DATA_THRESHOLD", "IR_VERSION", "OPSET", "OnnxModel", "Weight", "check", "check_file", "evaluate",
    "export_through_torch", "model_files", "serialize", "to_onnx", "to_torch",
]  # fmt: skip
