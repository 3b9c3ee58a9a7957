"""Running what the compiler wrote: providers, sessions, one inference, comparison, and what this machine can do.

onnxruntime, numpy, onnx and PIL are imported by the functions that need them, never at import of this package.
"""
