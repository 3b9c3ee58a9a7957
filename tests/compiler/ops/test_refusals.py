"""What operators refuse, and in which words: the user reads them beside the line of the spec."""

from __future__ import annotations

from typing import Any

import pytest

from convc.compiler.errors import ShapeError
from convc.compiler.ir import DType, TensorType
from convc.compiler.ops.shape import split_sizes
from tests.compiler.ops.single import H, N, ShapeText, Single, W, make, typed

IMAGE = ("N", 64, 28, 28)

REFUSED: list[tuple[str, dict[str, Any], list[ShapeText], str]] = [
    ("conv", {"groups": 3}, [IMAGE], "groups 3 do not divide 64 input channels"),
    ("conv", {"groups": 4, "out": 6}, [IMAGE], "groups 4 do not divide 6 output channels"),
    (
        "conv",
        {"kernel": 7, "padding": 0},
        [("N", 3, 5, 9)],
        "the output would be empty: kernel 7 (dilation 1) is larger than the padded input 5 (height)",
    ),
    (
        "conv",
        {"kernel": (1, 3), "dilation": 4, "padding": "valid"},
        [("N", 3, 5, 8)],
        "the output would be empty: kernel 3 (dilation 4) is larger than the padded input 8 (width)",
    ),
    ("conv", {"kernel": (3, 3, 3)}, [IMAGE], "kernel [3, 3, 3] has 3 numbers, but the input has 2 spatial axes"),
    (
        "conv",
        {"padding": (1, 2, 3)},
        [IMAGE],
        "padding [1, 2, 3] has 3 numbers: for 2 spatial axes give 1, 2 (one per axis) or 4 (all begins, then all ends)",
    ),
    ("conv", {"padding": "causal"}, [IMAGE], "padding causal is for one spatial axis, but the input has 2"),
    (
        "conv",
        {"padding": "same"},
        [IMAGE],
        "no padding is called 'same'; there is half, valid, same_upper, same_lower, causal, or numbers",
    ),
    (
        "conv",
        {},
        [("N", 64)],
        "conv needs [N, C, ...] with one, two or three spatial axes, but got [N, 64]",
    ),
    (
        "conv",
        {},
        [("N", "H", 9, 9)],
        "the channels of [N, H, 9, 9] are dynamic: weights need a fixed number",
    ),
    (
        "conv",
        {"padding_mode": "reflect", "kernel": 5},
        [("N", 3, 2, 9)],
        "padding_mode reflect cannot take 2 elements from an axis of 2",
    ),
    (
        "conv",
        {"padding_mode": "circular", "padding": "same_upper", "stride": 2},
        [("N", 3, "H", "W")],
        "padding same_upper over a dynamic size only goes with padding_mode zeros, not circular",
    ),
    ("conv_transpose", {"groups": 5}, [IMAGE], "groups 5 do not divide 64 input channels"),
    ("conv_transpose", {"output_padding": 2}, [IMAGE], "output_padding 2 must be smaller than the stride 2"),
    (
        "conv_transpose",
        {"padding": 3},
        [("N", 3, 2, 9)],
        "the output would be empty: padding cuts off all of its height",
    ),
    ("conv_transpose", {"padding": "causal"}, [IMAGE], "padding causal has no meaning for a transposed convolution"),
    (
        "conv_transpose",
        {"padding": "same_upper", "output_padding": 1},
        [IMAGE],
        "padding same_upper sets the output size: output_padding must be 0 beside it",
    ),
    ("fixed_conv", {}, [("N", 3, 9)], "fixed_conv has kernels of height and width, but got [N, 3, 9]"),
    (
        "fixed_conv",
        {"weight": (1, 2)},
        [IMAGE],
        "weight must be a kernel, rows of equal length, or a list of kernels of one size",
    ),
    ("fixed_conv", {"weight": ((1, 2), (3,))}, [IMAGE], "the lists of weight differ in shape: (1,) and (2,)"),
    (
        "warp",
        {},
        [IMAGE, ("N", 3, 28, 28)],
        "displacement [N, 3, 28, 28] needs 2 channels, or 2 for each of several equal groups of the 64 channels of"
        " [N, 64, 28, 28]",
    ),
    (
        "warp",
        {},
        [IMAGE, ("N", 2, 28, 14)],
        "offsets [N, 2, 28, 14] do not lie over the output [N, 64, 28, 28]: width differs (14 and 28)",
    ),
    ("embedding", {"out": 4, "count": 9}, [("N", 7)], "embedding looks whole numbers up, but got [N, 7]"),
    ("deform_conv", {}, [("N", 8, 9)], "deform_conv moves taps over height and width, but got [N, 8, 9]"),
    ("deform_conv", {"offset_groups": 3}, [IMAGE], "offset_groups 3 do not divide 64 input channels"),
    ("deform_conv", {"groups": 3}, [IMAGE], "groups 3 do not divide 64 input channels"),
    (
        "deform_conv",
        {"modulated": True, "offset_groups": 2},
        [IMAGE, ("N", 18, 28, 28)],
        "offsets [N, 18, 28, 28] need 54 channels: 3 (two displacements and a weight) for each of 3 x 3 taps"
        " and 2 offset groups",
    ),
    (
        "deform_conv",
        {"stride": 2},
        [IMAGE, ("N", 18, 28, 28)],
        "offsets [N, 18, 28, 28] do not lie over the output [N, 64, 14, 14]: height differs (28 and 14)",
    ),
    (
        "c4_conv",
        {"kernel": (1, 3)},
        [IMAGE],
        "kernel [1, 3] of c4_conv must be the same on both axes: filters are turned",
    ),
    ("c4_conv", {}, [("N", 8, 9)], "c4_conv turns height into width, but got [N, 8, 9]"),
    (
        "c4_conv",
        {},
        [("N", 3, 28, 28)],
        "c4_conv of kind group needs 4 orientations per filter, but the 3 channels of [N, 3, 28, 28] are no multiple of 4",
    ),
    (
        "c4_pool",
        {},
        [("N", 6, 28, 28)],
        "c4_pool needs 4 orientations per filter, but the 6 channels of [N, 6, 28, 28] are no multiple of 4",
    ),
    ("c4_batch_norm", {"eps": 0.0}, [IMAGE], "eps 0 must be positive"),
    (
        "max_pool_indices",
        {"kernel": 3, "stride": 2},
        [IMAGE],
        "a max_pool of kernel [3, 3], stride [2, 2] cannot be undone: its windows overlap, and two of them may want one"
        " place",
    ),
    (
        "max_pool_indices",
        {"kernel": 2, "stride": 4, "dilation": 2},
        [IMAGE],
        "a max_pool with dilated windows cannot be undone",
    ),
    (
        "max_pool_indices",
        {"kernel": 2, "padding": "same_upper"},
        [("N", 3, "H", "W")],
        "a max_pool with padding same_upper over a dynamic size cannot be undone",
    ),
    ("linear", {"out": 3}, [("N",)], "linear needs [N, ..., features], but got [N]"),
    (
        "linear",
        {"out": 3},
        [("N", 64, "H", "W")],
        "the last axis of [N, 64, H, W] is dynamic: weights need a fixed number (flatten or pool before linear)",
    ),
    ("batch_norm", {"eps": 0.0}, [IMAGE], "eps 0 must be positive"),
    ("batch_norm", {"momentum": 1.5}, [IMAGE], "momentum 1.5 must lie between 0 and 1"),
    ("group_norm", {"groups": 7}, [IMAGE], "groups 7 do not divide 64 channels"),
    (
        "layer_norm",
        {"axis": "last"},
        [("N", 3, "W")],
        "the last axis of [N, 3, W] must be a fixed number to be normalised",
    ),
    (
        "lrn",
        {"size": 4},
        [IMAGE],
        "size 4 must be odd, so that a channel has as many neighbours on either side",
    ),
    (
        "max_pool",
        {"kernel": 3, "padding": 2},
        [IMAGE],
        "padding 2 is more than half the kernel 3: a window could lie in the padding altogether",
    ),
    (
        "max_pool",
        {"kernel": 2, "padding": 1, "dilation": 3},
        [("N", 3, 2, 9)],
        "dilation 3 is larger than height 2: a window could lie in the padding altogether",
    ),
    (
        "avg_pool",
        {"kernel": 7},
        [("N", 3, 6, 6)],
        "the output would be empty: kernel 7 (dilation 1) is larger than the padded input 6 (height)",
    ),
    (
        "adaptive_max_pool",
        {"size": 7},
        [("N", 3, "H", "W")],
        "adaptive_max_pool to 7 needs a fixed height, but it is H: only 1 fits any size",
    ),
    (
        "global_avg_pool",
        {},
        [("N", 64)],
        "global_avg_pool needs [N, C, ...] with one, two or three spatial axes, but got [N, 64]",
    ),
    ("clip", {}, [IMAGE], "clip needs min, max or both"),
    ("clip", {"min": 2.0, "max": 1.0}, [IMAGE], "clip: min 2 is above max 1"),
    ("softmax", {"axis": 5}, [("N", 64)], "axis 5 does not exist in [N, 64]"),
    ("softmax", {"axis": -3}, [("N", 64)], "axis -3 does not exist in [N, 64]"),
    (
        "add",
        {},
        [IMAGE, ("N", 32, 28, 28)],
        "cannot add [N, 64, 28, 28] and [N, 32, 28, 28]: channels differ (64 and 32)",
    ),
    ("sub", {}, [IMAGE, (64, 14, 28)], "cannot subtract [N, 64, 28, 28] and [64, 14, 28]: height differs (28 and 14)"),
    (
        "mul",
        {},
        [IMAGE, ("N", 64, 28, "W")],
        "cannot multiply [N, 64, 28, 28] and [N, 64, 28, W]: width differs (28 and W)",
    ),
    ("max", {}, [("N", 3), (2, 3)], "cannot take the maximum of [N, 3] and [2, 3]: batch size differs (N and 2)"),
    (
        "matmul",
        {},
        [("N", 4, 5), ("N", 6, 5)],
        "cannot multiply [N, 4, 5] and [N, 6, 5]: the first has 5 columns, the second 6 rows",
    ),
    ("matmul", {}, [("N",), ("N", 5)], "matmul needs matrices, but got [N] and [N, 5]"),
    ("reduce_mean", {"axes": ()}, [IMAGE], "reduce_mean needs at least one axis"),
    ("reduce_mean", {"axes": (2, -2)}, [IMAGE], "axes [2, -2] name one axis twice in [N, 64, 28, 28]"),
    ("parameter", {"shape": (3, 0)}, [], "shape [3, 0] has a size below 1"),
    ("constant", {"value": ((1, 2), (3,))}, [], "the lists of a constant differ in shape: (1,) and (2,)"),
    ("constant", {"value": ()}, [], "a constant needs at least one number in each list"),
    (
        "concat",
        {},
        [IMAGE, ("N", 3, 14, 28)],
        "cannot concat [N, 64, 28, 28] and [N, 3, 14, 28]: height differs (28 and 14)",
    ),
    ("concat", {}, [IMAGE, ("N", 3)], "cannot concat [N, 64, 28, 28] and [N, 3]: one has 4 axes, the other 2"),
    ("stack", {}, [("N", 3), ("N", 4)], "cannot stack [N, 3] and [N, 4]: channels differ (3 and 4)"),
    ("slice", {"end": 70}, [IMAGE], "end 70 lies outside the 64 elements of channels in [N, 64, 28, 28]"),
    ("slice", {"start": 5, "end": 5}, [IMAGE], "the slice from 5 to 5 of channels in [N, 64, 28, 28] is empty"),
    (
        "reshape",
        {"shape": (0, 7, -1)},
        [("N", 64)],
        "cannot reshape [N, 64] to [0, 7, -1]: 64 * N elements do not make [N, 7, -1]",
    ),
    ("reshape", {"shape": (0, -1, -1)}, [IMAGE], "shape [0, -1, -1] has more than one -1"),
    (
        "reshape",
        {"shape": (-1, 64, 0, 0, 0)},
        [IMAGE],
        "shape [-1, 64, 0, 0, 0]: 0 at place 4 keeps an axis that [N, 64, 28, 28] does not have",
    ),
    (
        "reshape",
        {"shape": (-2, 3)},
        [IMAGE],
        "shape [-2, 3]: -2 is no size; 0 keeps an axis, -1 takes what is left",
    ),
    (
        "slice",
        {"axis": 2, "end": H // 4},
        [("N", 64, (H + 1) // 2, "W")],
        "a size that depends on H cannot be computed from a value of shape [N, 64, (H + 1) // 2, W]",
    ),
    (
        "reshape",
        {"shape": (W, -1)},
        [("N", 64)],
        "a size that depends on W cannot be computed from a value of shape [N, 64]",
    ),
    (
        "reshape",
        {"shape": (0, H)},
        [("N", 64)],
        "cannot reshape [N, 64] to [0, H]: 64 * N elements do not make [N, H]",
    ),
    ("transpose", {"perm": (0, 1)}, [IMAGE], "perm [0, 1] must name each of the 4 axes of [N, 64, 28, 28] once"),
    ("pad", {"padding": (-1,)}, [IMAGE], "padding [-1] is negative: slice and crop cut off"),
    ("pad", {"padding": (1, 2, 3)}, [IMAGE], "padding [1, 2, 3] has 3 numbers: give 1, 2 or 4 for 2 axes"),
    (
        "pad",
        {"padding": (3,), "mode": "reflect"},
        [("N", 3, 3, 9)],
        "mode reflect cannot take 3 elements from height 3",
    ),
    (
        "pad",
        {"padding": (3,), "mode": "circular", "value": 1.0},
        [IMAGE],
        "value 1 goes with mode zeros, not with circular",
    ),
    ("crop", {"size": (30,)}, [IMAGE], "cannot crop height 28 to 30"),
    ("crop", {"size": (27,), "offset": 2}, [IMAGE], "cannot crop height 28 to 27 from 2 on"),
    ("crop", {}, [IMAGE], "crop needs either a size or a second value to be as large as"),
    ("resize", {}, [IMAGE], "resize needs one of scale, size and a second value to be as large as"),
    ("resize", {"scale": (0.0,)}, [IMAGE], "scale [0.0, 0.0] must be positive"),
    ("resize", {"scale": (0.01,)}, [IMAGE], "the output would be empty: height 28 scaled by (0.01, 0.01)"),
    ("resize", {"size": (3,), "align_corners": True}, [IMAGE], "align_corners has no meaning with mode nearest"),
    ("channel_shuffle", {"groups": 7}, [IMAGE], "groups 7 do not divide 64 channels"),
    ("pixel_shuffle", {"factor": 3}, [IMAGE], "factor 3 needs channels in multiples of 9, but there are 64"),
    ("gather", {"indices": (0, 64)}, [IMAGE], "index 64 lies outside the 64 elements of axis 1 of [N, 64, 28, 28]"),
    ("dropout", {"p": 1.0}, [IMAGE], "p 1 is a probability: at least 0 and below 1"),
    ("drop_path", {"p": -0.1}, [IMAGE], "p -0.1 is a probability: at least 0 and below 1"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "shapes", "message"), REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)]
)
def test_refused_in_the_fields_words(
    name: str, arguments: dict[str, Any], shapes: list[ShapeText], message: str
) -> None:
    single = Single(make(name, **arguments), tuple(typed(shape) for shape in shapes))
    with pytest.raises(ShapeError) as caught:
        single.type  # noqa: B018
    assert caught.value.message == message


def test_element_types_do_not_mix() -> None:
    whole = TensorType((N, 3), DType.int64)
    with pytest.raises(ShapeError, match="float32 and int64 do not mix"):
        make("add").infer(TensorType((N, 3)), whole)


def test_a_size_of_one_broadcasts_into_a_dynamic_one() -> None:
    assert make("add").infer(typed(("N", 3, "H", "W")), typed((1, 3, 1, 1))) == typed(("N", 3, "H", "W"))


def test_an_opset_without_wrap_says_so() -> None:
    single = Single(make("conv", padding_mode="circular"), (typed(("N", 3, "H", "W")),))
    with pytest.raises(ShapeError, match="padding_mode circular needs opset 19 or newer, not 18"):
        single.session(18)


@pytest.mark.parametrize(
    ("total", "parts", "message"),
    [
        (10, 3, "cannot split 10 elements into 3 equal parts; give `sizes:`"),
        (10, 0, "cannot split into 0 parts"),
        (10, [4, 5], r"sizes \[4, 5\] add up to 9, but there are 10 elements"),
        (10, [10, 0], r"sizes \[10, 0\] must be whole numbers of at least 1"),
        (H, 2, "cannot split an axis of dynamic size H"),
    ],
)
def test_split_refuses(total: Any, parts: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        split_sizes(total, parts)


def test_split_sizes() -> None:
    assert split_sizes(12, 3) == (4, 4, 4)
    assert split_sizes(12, [1, 11]) == (1, 11)
