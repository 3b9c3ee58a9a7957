"""The operators: a table of contents, one line per file. A test compares it with the folder."""

from __future__ import annotations

from ..ir.op import REGISTRY
from . import (
    activation,  # relu relu6 leaky_relu prelu elu gelu silu mish hardswish hardsigmoid sigmoid tanh softplus clip ...
    adaptive_pool,  # adaptive_avg_pool adaptive_max_pool
    arithmetic,  # add sub mul div max min pow sqrt exp abs neg
    axes,  # what axes are called, broadcasting
    batch_norm,  # batch_norm
    border,  # pad crop
    c4_conv,  # c4_conv c4_batch_norm c4_pool
    channels,  # channel_shuffle pixel_shuffle gather
    conv,  # conv
    conv_transpose,  # conv_transpose
    deform_conv,  # deform_conv
    embedding,  # embedding
    emit,  # what ONNX lowerings say often
    fixed_conv,  # fixed_conv
    global_pool,  # global_avg_pool global_max_pool
    init,  # fillings of fresh weights
    join,  # concat stack
    linear,  # linear matmul
    lrn,  # lrn
    max_unpool,  # max_unpool max_pool_indices
    norm,  # layer_norm group_norm instance_norm scale
    padding,  # padding words and arithmetic
    pool,  # max_pool avg_pool
    reduce,  # reduce_mean reduce_max reduce_sum
    resize,  # resize
    shape,  # slice flatten reshape transpose, sizes of a split
    sizes,  # dynamic sizes as arguments
    tensor,  # parameter constant
    train,  # identity dropout drop_path
    warp,  # warp
)

OPS = REGISTRY

__all__ = [
    "OPS", "activation", "adaptive_pool", "arithmetic", "axes", "batch_norm", "border", "c4_conv", "channels", "conv",
    "conv_transpose", "deform_conv", "embedding", "emit", "fixed_conv", "global_pool", "init", "join", "linear",
    "lrn", "max_unpool", "norm", "padding", "pool", "reduce", "resize", "shape", "sizes", "tensor", "train", "warp",
]  # fmt: skip
