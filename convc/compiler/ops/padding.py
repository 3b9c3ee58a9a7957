"""Padding: from the words of the language to elements before and after each spatial axis, in types, torch and ONNX.

    half          (dilation * (kernel - 1)) // 2 on either side
    valid         none
    same_upper    so that the output has ceil(size / stride) elements; an odd one goes behind (same_lower: in front)
                      total = max((ceil(size / stride) - 1) * stride + extent - size, 0)
                      extent = dilation * (kernel - 1) + 1
    causal        all in front (one spatial axis)

Bound padding is a tuple (begins ..., ends ...) in ONNX's order. Only `same_*` over a dynamic size, with a stride above
1 and no promised multiple, stays a word: both lowerings then compute it from the size they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ..errors import ShapeError
from ..ir.dims import Dim
from ..ir.types import Shape
from .axes import per_axis

WORDS = ("half", "valid", "same_upper", "same_lower", "causal")
MODES = ("zeros", "reflect", "replicate", "circular")
Padding = str | int | tuple[int, ...]

_TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
_ONNX_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def extent(kernel: int, dilation: int) -> int:
    """How many input elements a window spans."""
    return dilation * (kernel - 1) + 1


def resolve(
    padding: Padding, sizes: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> str | tuple[int, ...]:
    """(begins ..., ends ...) at these spatial sizes, or the word where a dynamic size decides. Raises ShapeError."""
    rank = len(sizes)
    if not isinstance(padding, str):
        return explicit(padding, rank)
    spans = [extent(k, d) for k, d in zip(kernel, dilation, strict=True)]
    if padding == "half":
        return tuple((span - 1) // 2 for span in spans) * 2
    if padding == "valid":
        return (0,) * (2 * rank)
    if padding == "causal":
        if rank != 1:
            raise ShapeError(f"padding causal is for one spatial axis, but the input has {rank}")
        return (spans[0] - 1, 0)
    if padding not in WORDS:
        raise ShapeError(f"no padding is called {padding!r}; there is {', '.join(WORDS)}, or numbers")
    totals = [same_total(size, s, span) for size, s, span in zip(sizes, stride, spans, strict=True)]
    if any(total is None for total in totals):
        return padding
    return _shared(cast("list[int]", totals), padding)


def explicit(padding: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """(begins ..., ends ...) from one number, one per axis, or two per axis; raises ShapeError."""
    values = (padding,) if isinstance(padding, int) else tuple(padding)
    if len(values) == 2 * rank:
        return values
    if len(values) not in (1, rank):
        raise ShapeError(
            f"padding {list(values)} has {len(values)} numbers: for {rank} spatial axes give 1, {rank}"
            f" (one per axis) or {2 * rank} (all begins, then all ends)"
        )
    return per_axis(values, rank, "padding") * 2


def same_total(size: Dim, stride: int, span: int) -> int | None:
    """Elements `same_*` adds to an axis; None where that depends on a dynamic size."""
    total = ((size + stride - 1) // stride - 1) * stride + span - size
    return max(total, 0) if isinstance(total, int) else None


def padded(sizes: Shape, padding: tuple[int, ...]) -> Shape:
    """Spatial sizes with their padding."""
    rank = len(sizes)
    return tuple(size + padding[i] + padding[i + rank] for i, size in enumerate(sizes))


def is_symmetric(padding: tuple[int, ...]) -> bool:
    rank = len(padding) // 2
    return padding[:rank] == padding[rank:]


def check_mode(mode: str, sizes: Shape, padding: str | tuple[int, ...]) -> None:
    """Refuse what `reflect` and `circular` cannot copy from; raises ShapeError."""
    if mode == "zeros":
        return
    if isinstance(padding, str):
        raise ShapeError(f"padding {padding} over a dynamic size only goes with padding_mode zeros, not {mode}")
    least = {"reflect": 1, "circular": 0, "replicate": None}[mode]
    for i, amount in enumerate(padding):
        size = sizes[i % len(sizes)]
        if least is not None and isinstance(size, int) and amount > size - least:
            raise ShapeError(f"padding_mode {mode} cannot take {amount} elements from an axis of {size}")


def torch_pad(t: Any, x: Any, padding: tuple[Any, ...], mode: str = "zeros", value: float = 0.0) -> Any:
    """`x` with its spatial axes padded, in PyTorch."""
    rank = len(padding) // 2
    # PyTorch lists the last axis first.
    flat = [amount for axis in reversed(range(rank)) for amount in (padding[axis], padding[axis + rank])]
    if mode == "zeros":
        return t.nn.functional.pad(x, flat, value=value)
    return t.nn.functional.pad(x, flat, mode=_TORCH_MODES[mode])


def torch_same(t: Any, x: Any, word: str, stride: Sequence[int], spans: Sequence[int]) -> tuple[Any, ...]:
    """What `same_*` comes to for the sizes of `x`; sizes may be torch.export's symbols."""
    sizes = x.shape[2:]
    totals = [
        t.sym_max(((size + s - 1) // s - 1) * s + span - size, 0)
        for size, s, span in zip(sizes, stride, spans, strict=True)
    ]
    return _shared(totals, word)


def onnx_pad(g: Any, x: str, padding: tuple[int, ...], mode: str = "zeros", value: float | None = None) -> str:
    """A Pad node over the spatial axes."""
    rank = len(padding) // 2
    if mode == "circular" and g.opset < 19:
        raise ShapeError(f"padding_mode circular needs opset 19 or newer, not {g.opset}")
    pads = g.const([0, 0, *padding[:rank], 0, 0, *padding[rank:]], "pads")
    return _pad_node(g, x, pads, mode, value)


def onnx_same(
    g: Any, x: str, word: str, stride: Sequence[int], spans: Sequence[int], value: float | None = None
) -> str:
    """Nodes that pad by what `same_*` comes to at the sizes met at run time: ORT's `auto_pad` refuses dilations."""
    rank = len(stride)
    sizes = g.Slice(g.Shape(x), g.const([2], "first_axis"), g.const([2 + rank], "last_axis"))
    strides = g.const(list(stride), "stride")
    steps = g.Div(g.Sub(sizes, g.const([1] * rank, "ones")), strides)
    needed = g.Sub(g.Add(g.Mul(steps, strides), g.const(list(spans), "extent")), sizes)
    total = g.Max(needed, g.const([0] * rank, "zeros"))
    lesser = g.Div(total, g.const([2] * rank, "two"))
    greater = g.Sub(total, lesser)
    begins, ends = (lesser, greater) if word == "same_upper" else (greater, lesser)
    none = g.const([0, 0], "none")
    return _pad_node(g, x, g.Concat(none, begins, none, ends, axis=0), "zeros", value)


def auto_pad(word: str) -> str:
    """ONNX's name of a `same_*` word."""
    return word.upper()


def _pad_node(g: Any, x: str, pads: str, mode: str, value: float | None) -> str:
    if value is None:
        return str(g.Pad(x, pads, mode=_ONNX_MODES[mode]))
    import numpy as np

    fill = g.const(np.array(value, g.inputs[0].dtype.value), "value")
    return str(g.Pad(x, pads, fill, mode=_ONNX_MODES[mode]))


def _shared(totals: Sequence[Any], word: str) -> tuple[Any, ...]:
    lesser = [total // 2 for total in totals]
    greater = [total - low for total, low in zip(totals, lesser, strict=True)]
    return (*lesser, *greater) if word == "same_upper" else (*greater, *lesser)
