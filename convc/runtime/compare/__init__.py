"""Two models side by side: what they are made of, what they cost, and which is faster.

verdict.py      the statistics: paired blocks in, a verdict with an interval out; pure
rank.py         the signed-rank distribution and the interval that it gives
interleave.py   two loaded models run in turn, until the verdict stands or the time is up
sides.py        what `compare` may be given: ONNX files, saved results
structure.py    nodes by type, parameters, MACs, bytes
report.py       the outcome as text and as data
"""
