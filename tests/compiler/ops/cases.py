"""The table that test_lowering runs: operators with arguments, and the shapes they are given.

A name in a shape is a dynamic dimension. `positive` inputs suit roots; `divides` says what H and W are multiples of;
`places` are the inputs that hold places, whole numbers that are all different.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convc.compiler.ir import Dim, Op
from convc.compiler.ops import OPS
from tests.compiler.ops.single import H, N, W

IMAGE = ("N", 6, "H", "W")
STILL = ("N", 6, 13, 11)
LINE = ("N", 6, "H")
HALF = ("N", 6, H // 2, W // 2)
QUARTERS = ("N", 8, "H", "W")
VOLUME = ("N", 4, 5, 6, 7)


class Case(NamedTuple):
    """One row: `op` is bound to inputs of `shapes`."""

    op: Op
    shapes: tuple[tuple[Dim | str, ...], ...]
    positive: bool = False
    divides: int = 1
    opsets: tuple[int, ...] = (20,)
    places: tuple[int, ...] = ()

    def __str__(self) -> str:
        given = ",".join(f"{k}={v}" for k, v in self.op.arguments().items())
        shapes = "_".join("x".join(map(str, shape)) for shape in self.shapes)
        return f"{self.op.name}({given})-{shapes}".replace(" ", "")


def case(name: str, *shapes: tuple[Dim | str, ...], **rest: Any) -> Case:
    own = {key: rest.pop(key) for key in ("positive", "divides", "opsets", "places") if key in rest}
    return Case(OPS[name](**rest), shapes or (IMAGE,), **own)


ALL = (17, 18, 20, 22)

CONV = [
    case("conv"),
    case("conv", opsets=ALL, out=8, kernel=3, stride=2),
    case("conv", out=8, kernel=(1, 7), groups=2),
    case("conv", out=9, kernel=(5, 3), stride=(1, 2), dilation=(2, 1), groups=3, bias=False),
    case("conv", kernel=4),
    case("conv", kernel=2, padding="valid", stride=2),
    case("conv", kernel=3, padding=2, dilation=2),
    case("conv", kernel=3, padding=(1, 2)),
    case("conv", kernel=3, padding=(0, 1, 2, 0)),
    case("conv", STILL, kernel=3, stride=2, padding="same_upper"),
    case("conv", STILL, kernel=4, stride=3, padding="same_lower"),
    case("conv", STILL, kernel=1, stride=3, padding="same_upper"),
    case("conv", kernel=3, stride=2, padding="same_upper", opsets=ALL),
    case("conv", kernel=4, stride=2, padding="same_lower"),
    case("conv", kernel=3, stride=2, dilation=2, padding="same_upper"),
    case("conv", kernel=4, padding="same_lower", dilation=3),
    case("conv", kernel=3, stride=2, padding="same_upper", divides=4),
    case("conv", padding_mode="reflect", kernel=5, opsets=ALL),
    case("conv", padding_mode="replicate", kernel=5),
    case("conv", padding_mode="circular", kernel=5, padding=(0, 1, 2, 3), opsets=(19, 20, 22)),
    case("conv", LINE, kernel=3, padding="causal", dilation=4),
    case("conv", LINE, out=4, kernel=5, stride=2),
    case("conv", LINE, kernel=3, padding_mode="circular"),
    case("conv", VOLUME, out=4, kernel=(1, 3, 3), groups=4),
    case("conv", VOLUME, kernel=3, padding_mode="reflect"),
    case("conv", VOLUME, kernel=2, padding=(0, 1, 0, 1, 0, 1)),
    case("conv_transpose"),
    case("conv_transpose", out=4, kernel=4, stride=2, padding=1, opsets=ALL),
    case("conv_transpose", out=4, kernel=3, stride=2, padding=1, output_padding=1, groups=2),
    case("conv_transpose", kernel=(3, 4), stride=(2, 3), dilation=(2, 1), padding=(1, 0, 0, 2)),
    case("conv_transpose", kernel=3, stride=2, padding=(1, 1, 0, 2), output_padding=1),
    case("conv_transpose", kernel=3, stride=2, padding="same_upper"),
    case("conv_transpose", kernel=4, stride=3, padding="same_lower"),
    case("conv_transpose", kernel=2, stride=4, padding="same_upper"),
    case("conv_transpose", kernel=5, stride=1, padding="half", bias=False),
    case("conv_transpose", LINE, out=3, kernel=4, stride=3),
    case("conv_transpose", VOLUME, out=2, kernel=2, stride=2),
    case("deform_conv", opsets=(17, 18, 19, 20, 22)),
    case("deform_conv", out=8, kernel=3, stride=2, modulated=True, opsets=ALL),
    case("deform_conv", kernel=(3, 2), stride=(1, 2), dilation=(2, 1), groups=2, offset_groups=3, opsets=(18, 20)),
    case("deform_conv", STILL, out=4, offset_groups=2, groups=2, modulated=True, bias=False, opsets=ALL),
    case("deform_conv", padding=(0, 1, 2, 0), opsets=(18, 20)),
    case("deform_conv", stride=2, padding="same_upper", opsets=(18, 20)),
    case("deform_conv", IMAGE, ("N", 18, "H", "W"), out=4, opsets=ALL),
    case("deform_conv", IMAGE, ("N", 54, "H", "W"), offset_groups=2, modulated=True, groups=3, opsets=ALL),
    case("deform_conv", STILL, ("N", 12, 13, 11), kernel=1, offset_groups=6, groups=6, padding="valid", opsets=ALL),
    case("c4_conv", out=3, kind="lifting", opsets=ALL),
    case("c4_conv", kind="lifting", kernel=4, padding=0, stride=2, bias=False),
    case("c4_conv", QUARTERS, out=3, opsets=ALL),
    case("c4_conv", QUARTERS, kernel=5, dilation=2, bias=False),
    case("c4_conv", ("N", 8, 13, 11), out=5, kernel=2, padding="same_upper"),
    case("fixed_conv", opsets=ALL),
    case("fixed_conv", kernel="laplace", stride=2, padding="same_upper"),
    case("fixed_conv", weight=((1.0, 2.0, 3.0),), padding=0),
    case("fixed_conv", STILL, weight=(((1, 0), (0, -1)), ((0, 1), (-1, 0))), padding="valid"),
    case("embedding", ("N", "H"), out=4, count=99, places=(0,), opsets=ALL),
    case("embedding", ("N",), out=4, count=9, places=(0,)),
    case("embedding", ("N", 3, 4), out=5, count=99, places=(0,)),
    case("linear", ("N", 10), out=7, opsets=ALL),
    case("linear", ("N", 10), bias=False),
    case("linear", ("N", "H", 10), out=7),
    case("linear", ("N", "H", "W", 10), out=3, bias=False),
]

NORM = [
    case("batch_norm", opsets=ALL),
    case("batch_norm", LINE, eps=1e-3, scale=False),
    case("batch_norm", VOLUME, shift=False),
    case("batch_norm", ("N", 9), scale=False, shift=False),
    case("c4_batch_norm", QUARTERS, opsets=ALL),
    case("c4_batch_norm", ("N", 12), eps=1e-3),
    case("layer_norm", opsets=ALL),
    case("layer_norm", ("N", "H", 9), axis="last", eps=1e-6),
    case("layer_norm", ("N", 9)),
    case("layer_norm", LINE, scale=False),
    case("layer_norm", VOLUME, shift=False),
    case("group_norm", groups=3, opsets=ALL),
    case("group_norm", LINE, groups=2, scale=False),
    case("group_norm", VOLUME, groups=4, shift=False),
    case("instance_norm"),
    case("instance_norm", VOLUME, scale=False, shift=False),
    case("scale"),
    case("scale", ("N", 5)),
    case("lrn", opsets=ALL),
    case("lrn", size=3, alpha=0.5, beta=0.7, k=2.0, divide_by_size=False),
    case("lrn", LINE, alpha=0.3),
    case("lrn", VOLUME, size=3, alpha=0.3),
]

POOL = [
    case("max_pool", kernel=2, opsets=ALL),
    case("max_pool", kernel=3, stride=2, padding=1, ceil=True, opsets=ALL),
    case("max_pool", kernel=3, stride=2, ceil=True),
    case("max_pool", STILL, kernel=3, stride=2, ceil=True, opsets=ALL),
    case("max_pool", STILL, kernel=2, stride=3, padding=1, ceil=True),
    case("max_pool", kernel=(3, 2), stride=1, dilation=(2, 3), padding=1),
    case("max_pool", STILL, kernel=3, stride=2, dilation=3, ceil=True),
    case("max_pool", STILL, kernel=2, stride=2, padding=(1, 0, 0, 1), ceil=True),
    case("max_pool", kernel=3, stride=2, padding=(0, 0, 1, 1)),
    case("max_pool", kernel=3, stride=2, padding="same_upper"),
    case("max_pool", kernel=3, stride=2, padding="same_lower", dilation=2),
    case("max_pool", STILL, kernel=3, stride=2, padding="same_upper", dilation=2),
    case("max_pool", LINE, kernel=3, stride=2, padding=1),
    case("max_pool", VOLUME, kernel=2, ceil=True),
    case("avg_pool", kernel=2, opsets=ALL),
    case("avg_pool", kernel=3, stride=1, padding=1, opsets=ALL),
    case("avg_pool", kernel=3, stride=1, padding=1, count_include_pad=False, opsets=ALL),
    case("avg_pool", kernel=2, ceil=True, count_include_pad=False),
    case("avg_pool", kernel=3, stride=2, padding=1, ceil=True, opsets=(19, 20, 22)),
    case("avg_pool", STILL, kernel=2, ceil=True, count_include_pad=False, opsets=ALL),
    case("avg_pool", STILL, kernel=(2, 3), stride=2, padding=1, ceil=True, opsets=ALL),
    case("avg_pool", STILL, kernel=3, stride=2, padding=(0, 1, 1, 0)),
    case("avg_pool", STILL, kernel=3, stride=2, padding=(0, 1, 1, 0), count_include_pad=False, ceil=True),
    case("avg_pool", kernel=3, stride=2, padding=(1, 1, 0, 0), count_include_pad=False),
    case("avg_pool", kernel=3, stride=2, padding=(1, 1, 0, 0)),
    case("avg_pool", kernel=3, stride=2, padding="same_upper"),
    case("avg_pool", kernel=3, stride=2, padding="same_upper", count_include_pad=False),
    case("avg_pool", kernel=3, stride=2, padding="same_lower", count_include_pad=False),
    case("avg_pool", STILL, kernel=3, stride=2, padding="same_upper", count_include_pad=False),
    case("avg_pool", kernel=2, stride=3, padding="same_upper", count_include_pad=False),
    case("max_pool", kernel=2, stride=3, padding="same_lower"),
    case("avg_pool", LINE, kernel=3, stride=2, padding=1),
    case("avg_pool", VOLUME, kernel=2, stride=3, ceil=True),
    case("max_pool_indices", kernel=2, opsets=ALL),
    case("max_pool_indices", STILL, kernel=3, stride=3, padding=1, ceil=True),
    case("max_pool_indices", kernel=(2, 3), stride=(3, 4), ceil=True),
    case("max_pool_indices", STILL, kernel=2, stride=3, padding=(1, 0, 0, 1), ceil=True),
    case("max_pool_indices", STILL, kernel=2, padding="same_upper"),
    case("max_pool_indices", LINE, kernel=2),
    case("max_pool_indices", VOLUME, kernel=2, ceil=True),
    case("max_unpool", ("N", 6, 4, 3), ("N", 6, 4, 3), ("N", 6, 8, 7), pool="a", places=(1,), opsets=ALL),
    case("max_unpool", HALF, HALF, IMAGE, pool="a", places=(1,), opsets=ALL),
    case("max_unpool", ("N", 6, HALF[2]), ("N", 6, HALF[2]), LINE, pool="a", places=(1,)),
    case("c4_pool", QUARTERS, opsets=ALL),
    case("c4_pool", ("N", 8, 5, "W"), reduce="mean", opsets=ALL),
    case("c4_pool", ("N", 8)),
    case("global_avg_pool", opsets=ALL),
    case("global_avg_pool", keepdims=True),
    case("global_avg_pool", LINE),
    case("global_avg_pool", VOLUME),
    case("global_max_pool", opsets=ALL),
    case("global_max_pool", LINE, keepdims=True),
    case("adaptive_avg_pool", size=1),
    case("adaptive_avg_pool", STILL, size=(13, 11)),
    case("adaptive_avg_pool", ("N", 6, 12, 8), size=4, opsets=ALL),
    case("adaptive_avg_pool", STILL, size=7, opsets=ALL),
    case("adaptive_avg_pool", ("N", 3, 2, 2), size=7),
    case("adaptive_avg_pool", ("N", 3, 13, "W"), size=(5, 1), opsets=ALL),
    case("adaptive_avg_pool", ("N", 3, "H", "W"), size=7, opsets=ALL),
    case("adaptive_avg_pool", ("N", 3, "H", 8), size=(5, 4)),
    case("adaptive_avg_pool", ("N", 3, "W"), size=6),
    case("adaptive_avg_pool", ("N", 3, 17), size=6),
    case("adaptive_avg_pool", VOLUME, size=(2, 3, 4)),
    case("adaptive_max_pool", size=1),
    case("adaptive_max_pool", ("N", 6, 12, 8), size=4),
    case("adaptive_max_pool", STILL, size=(5, 7), opsets=ALL),
    case("adaptive_max_pool", ("N", 3, 17), size=6),
    case("adaptive_max_pool", VOLUME, size=(2, 6, 4)),
]

ACTIVATION = [
    *(case(name, opsets=ALL) for name in ("relu", "relu6", "sigmoid", "tanh", "silu", "mish", "hardswish", "softplus")),
    case("leaky_relu", slope=0.2),
    case("prelu"),
    case("prelu", ("N", 7), shared=True),
    case("prelu", VOLUME, shared=True),
    case("elu", alpha=0.7, opsets=ALL),
    case("gelu", opsets=ALL),
    case("gelu", approximate="tanh", opsets=ALL),
    case("hardsigmoid", opsets=ALL),
    case("hardsigmoid", alpha=0.2, beta=0.4),
    case("clip", min=-0.5, max=0.5),
    case("clip", min=-0.5),
    case("clip", max=0.5),
    case("softmax", opsets=ALL),
    case("softmax", axis=-1),
    case("identity", opsets=ALL),
    case("dropout", p=0.3),
    case("drop_path", p=0.3),
]

ARITHMETIC = [
    case("add", IMAGE, IMAGE),
    case("add", IMAGE, ("N", 6, 1, 1), (6, 1, 1), opsets=ALL),
    case("add", IMAGE),
    case("sub", IMAGE, (1, 6, 1, 1)),
    case("mul", IMAGE, ("N", 1, "H", "W")),
    case("mul", (), IMAGE),
    case("div", IMAGE, IMAGE, positive=True),
    case("max", IMAGE, IMAGE, IMAGE),
    case("min", IMAGE, ("W",)),
    case("matmul", ("N", 2, "H", 5), ("N", 2, 5, "W")),
    case("matmul", ("N", 2, "H", 5), (5, 3), opsets=ALL),
    case("pow", exponent=2.0),
    case("pow", exponent=0.5, positive=True),
    case("sqrt", positive=True),
    case("exp"),
    case("abs"),
    case("neg"),
    *(case(f"reduce_{kind}", axes=(2, 3), opsets=ALL) for kind in ("mean", "max", "sum")),
    *(case(f"reduce_{kind}", axes=(-1,), keepdims=False, opsets=ALL) for kind in ("mean", "max", "sum")),
    case("reduce_mean", axes=(1,)),
    case("parameter", shape=(1, 6, 1)),
    case("parameter", shape=()),
    case("constant", value=0.8),
    case("constant", value=((1, 2, 3), (4, 5, 6.5))),
]
# These read nothing.
ARITHMETIC = [c._replace(shapes=()) if c.op.name in ("parameter", "constant") else c for c in ARITHMETIC]

# Sizes that only the run tells, from the input's own.
DEEP = ("N", 6, (H + 1) // 2, 3 * W - 1)
DYNAMIC = [
    case("slice", axis=2, end=H // 2),
    case("slice", axis=2, start=(H + 1) // 4, end=(H + 1) // 3, step=2),
    case("slice", axis=-1, start=W - 3),
    case("slice", axis=-1, end=W - 3),
    case("slice", DEEP, axis=2, start=(H + 1) // 4),
    case("slice", DEEP, axis=3, end=W * 2),
    case("reshape", shape=(N, 2, 3, H * W)),
    case("reshape", ("N", "H", "W", 6), shape=(N, W, H, 6)),
    case("reshape", ("N", "H", "W", 6), shape=(N * H, W, 3, -1)),
    case("reshape", shape=(N, 6 * H, W)),
    case("crop", size=(H - 2, W // 2)),
    case("crop", size=(H // 2, 5), offset=1),
    case("resize", size=(H * 2, (W + 1) // 2)),
    case("resize", size=(7, W + 3), mode="bilinear"),
    case("pad", padding=(0, 0, H // 2, 3)),
    case("pad", padding=(H - 1, 0), axes=(2,)),
]

SHAPE = [
    case("concat", IMAGE, ("N", 2, "H", "W"), ("N", 1, "H", "W"), opsets=ALL),
    case("concat", IMAGE, IMAGE, axis=-1),
    case("stack", IMAGE, IMAGE),
    case("stack", IMAGE, IMAGE, axis=-1),
    case("slice", start=1, end=5, step=2, opsets=ALL),
    case("slice", start=-2),
    case("slice", axis=2, start=1, end=-1),
    case("slice", axis=-1, start=1, step=3),
    case("flatten", opsets=ALL),
    case("flatten", start=2),
    case("flatten", ("N", 5)),
    case("flatten", STILL, start=-2),
    case("reshape", shape=(0, 6, -1), opsets=ALL),
    case("reshape", shape=(0, 2, 3, -1)),
    case("reshape", ("N", 6, 4, 5), shape=(-1, 20)),
    case("reshape", STILL, shape=(0, 13, 66)),
    case("transpose", perm=(0, 2, 3, 1)),
    case("transpose", perm=(0, -1, 1, 2)),
    case("pad", padding=1, opsets=ALL),
    case("pad", padding=(0, 1, 2, 3), value=-1.5),
    case("pad", padding=(0, 1, 2, 3), mode="reflect"),
    case("pad", padding=(2,), mode="replicate", opsets=ALL),
    case("pad", padding=(1, 0), mode="circular"),
    case("pad", padding=(2, 3), axes=(1,)),
    case("crop", size=(3, 4)),
    case("crop", STILL, size=7, offset=2),
    case("crop", IMAGE, ("N", 2, 4, 3)),
    case("crop", ("N", 6, 30, 30), ("N", 2, "H", "W"), offset=(3, 1)),
    case("crop", ("N", 6, 30, 30), ("N", 2, "H", "W")),
    case("resize", scale=(2.0,), opsets=ALL),
    case("resize", scale=(1.5, 0.75)),
    case("resize", STILL, scale=(2.0, 1.5), mode="bilinear"),
    case("resize", scale=(2.0,), mode="nearest_exact", opsets=ALL),
    case("resize", STILL, size=(7, 19), mode="nearest_exact"),
    case("warp", IMAGE, ("N", 12, "H", "W"), opsets=ALL),
    case("warp", IMAGE, ("N", 2, "H", "W")),
    case("warp", STILL, ("N", 4, 13, 11), opsets=(18, 20)),
    case("resize", size=(9, 10), mode="bilinear", align_corners=True, opsets=ALL),
    case("resize", size=(9, 10), mode="bilinear"),
    case("resize", size=(3,), mode="cubic"),
    case("resize", size=(31,), mode="bicubic", align_corners=True),
    case("resize", scale=(2.0,), mode="linear"),
    case("resize", LINE, scale=(2.0,), mode="linear"),
    case("resize", VOLUME, size=(4, 9, 11), mode="linear"),
    case("resize", IMAGE, ("N", 2, 20, "W"), mode="bilinear"),
    case("resize", size=(5, 23)),
    case("channel_shuffle", groups=2, opsets=ALL),
    case("channel_shuffle", groups=3),
    case("channel_shuffle", VOLUME, groups=2),
    case("pixel_shuffle", ("N", 12, "H", "W"), factor=2),
    case("gather", indices=(5, 0, 0, -2)),
    case("gather", indices=(1, 0), axis=-1),
]

CASES = [*CONV, *NORM, *POOL, *ACTIVATION, *ARITHMETIC, *SHAPE, *DYNAMIC]
