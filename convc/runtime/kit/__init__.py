"""The target kit: a model with inputs, expected outputs and a runner, for a machine that has no convc.

bundle.py    makes the kit out of a build folder
runner.py    the kit's `run.py`, with figures.py and board.py in it (assemble.py): numpy, onnxruntime, nothing of convc
layers.py    the layers of a kit's result, told where convc is
"""
