"""The target kit: a model with inputs, expected outputs and a runner, for a machine that has no convc.

bundle.py   makes the kit out of a build folder
runner.py   travels in the kit as `run.py`; it imports numpy, onnxruntime and nothing of convc
"""
