"""From a picture's pixels to a network's input, as the model's metadata tells it.

    resize   the shorter side to `resize`, bilinear with antialias (torchvision's Resize on a PIL image)
    crop     the centre, `crop` x `crop`; what sticks out is black (torchvision's CenterCrop)
    values   (pixel * scale - mean) / std, per channel, computed in float64, rounded once

The build writes `convc.preprocess` (JSON: scale, mean, std, resize, crop, color, embed, interpolation) and
`convc.labels` (JSON list) into the model's `metadata_props`. With `embed` the arithmetic of values is in the graph,
and pixels go in as they are. A model of another fixed size than `crop` gets both sizes scaled to its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..compiler.errors import ModelError
from .signature import Value, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

PREPROCESS_KEY = "convc.preprocess"
LABELS_KEY = "convc.labels"

Extent = tuple[int, int]

_COLORS = {"rgb": "RGB", "bgr": "RGB", "gray": "L", "grey": "L", "l": "L"}
_FILTERS = {"nearest": 0, "bilinear": 2, "bicubic": 3, "lanczos": 1}
_LARGEST_SIDE = 16384
LIMIT_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The recipe. `resize` is a shorter side, or (height, width) regardless of aspect; `crop` is (height, width)."""

    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: int | Extent | None = None
    crop: Extent | None = None
    color: str = "rgb"
    interpolation: str = "bilinear"
    embed: bool = False


# A model that says nothing: pixels in 0..1 is the commonest convention, and the report says that it was assumed.
UNSTATED = Preprocess(scale=1 / 255)


def stated(metadata: Mapping[str, str]) -> Preprocess | None:
    """The recipe in a model's metadata, or None. Raises ModelError where it cannot be understood."""
    text = metadata.get(PREPROCESS_KEY)
    if text is None:
        return None
    fields = _json(PREPROCESS_KEY, text)
    if not isinstance(fields, dict):
        raise ModelError(f"the model's {PREPROCESS_KEY} is {type(fields).__name__}: an object was expected")
    if unknown := sorted(set(fields) - set(Preprocess.__dataclass_fields__)):
        raise ModelError(f"the model's {PREPROCESS_KEY} asks for {unknown[0]!r}, which this convc does not know")
    try:
        return _recipe(fields)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"the model's {PREPROCESS_KEY} cannot be used: {error}") from error


def labels(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The class names in a model's metadata; empty where there are none. Raises ModelError."""
    text = metadata.get(LABELS_KEY)
    if text is None:
        return ()
    names = _json(LABELS_KEY, text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"the model's {LABELS_KEY} is not a list of names")
    return tuple(names)


def fitted(recipe: Preprocess, wanted: Value) -> tuple[Preprocess, tuple[str, ...]]:
    """The recipe for a model whose height and width may be fixed, and what had to be changed, in words."""
    if len(wanted.shape) != 4:
        return recipe, ()
    height, width = wanted.shape[2:]
    if not isinstance(height, int) or not isinstance(width, int):
        return recipe, ()
    size = (height, width)
    if recipe.crop == size or (recipe.crop is None and recipe.resize == size):
        return recipe, ()
    if recipe.resize is None and recipe.crop is None:
        return replace(recipe, resize=size), (f"picture resized to {height}x{width}: no crop is stated",)
    if recipe.crop is None:
        return replace(recipe, crop=size), (f"centre {height}x{width} cropped: no crop is stated",)
    factor = max(height / recipe.crop[0], width / recipe.crop[1])
    resize = _scaled(recipe.resize, factor)
    note = f"crop {recipe.crop[0]}x{recipe.crop[1]} became {height}x{width}, the model's size; resize {resize}"
    return replace(recipe, resize=resize, crop=size), (note,)


def tensor(picture: Image, recipe: Preprocess, wanted: Value) -> NDArray[Any]:
    """(1, C, H, W) of the model's element type from a picture of any size. Raises ModelError."""
    import numpy as np

    channels = channel_count(wanted, recipe)
    mode = "L" if channels == 1 else "RGB"
    sized = _crop(_resize(picture.convert(mode), recipe), recipe.crop)
    pixels = np.asarray(sized, dtype=np.float64).reshape(sized.height, sized.width, channels)
    if recipe.color == "bgr" and channels == 3:
        pixels = pixels[:, :, ::-1]
    return _cast(pixels if recipe.embed else _normalised(pixels, recipe), wanted)[None]


def channel_count(wanted: Value, recipe: Preprocess) -> int:
    """1 or 3. Raises ModelError where the input is no picture of one or three channels."""
    channels = wanted.shape[1] if len(wanted.shape) == 4 else 0
    if isinstance(channels, int) and channels not in (1, 3):
        raise ModelError(
            f"input {wanted.name!r} is {wanted}: a picture fills [N, 1 or 3, H, W]", hint="give a .npy or .npz file"
        )
    return channels if isinstance(channels, int) else 1 if _COLORS[recipe.color] == "L" else 3


def _json(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the model's {key} is not JSON: {error}") from error


def _recipe(fields: Mapping[str, Any]) -> Preprocess:
    recipe = Preprocess(
        scale=float(fields.get("scale", 1.0)),
        mean=_channels(fields.get("mean")),
        std=_channels(fields.get("std")),
        resize=_resize_field(fields.get("resize")),
        crop=None if fields.get("crop") is None else _extent(fields["crop"]),
        color=str(fields.get("color", "rgb")).lower(),
        interpolation=str(fields.get("interpolation", "bilinear")).lower(),
        embed=bool(fields.get("embed", False)),
    )
    if recipe.color not in _COLORS:
        raise ValueError(f"color {recipe.color!r} is not one of {', '.join(_COLORS)}")
    if recipe.interpolation not in _FILTERS:
        raise ValueError(f"interpolation {recipe.interpolation!r} is not one of {', '.join(_FILTERS)}")
    if not all(math.isfinite(number) for number in (recipe.scale, *recipe.mean, *recipe.std)) or 0 in recipe.std:
        raise ValueError("scale, mean and std must be finite, std not zero")
    return recipe


def _channels(given: Any) -> tuple[float, ...]:
    if given is None:
        return ()
    return tuple(float(one) for one in given) if isinstance(given, list) else (float(given),)


def _resize_field(given: Any) -> int | Extent | None:
    return given if given is None else _extent(given) if isinstance(given, list) else _side(given)


def _extent(given: Any) -> Extent:
    height, width = given if isinstance(given, list) else (given, given)
    return _side(height), _side(width)


def _side(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 < given <= _LARGEST_SIDE:
        raise ValueError(f"a size is {given!r}: 1 to {_LARGEST_SIDE} was expected")
    return given


def _scaled(resize: int | Extent | None, factor: float) -> int | Extent | None:
    if isinstance(resize, tuple):
        return round(resize[0] * factor), round(resize[1] * factor)
    return None if resize is None else round(resize * factor)


def _resize(picture: Image, recipe: Preprocess) -> Image:
    if recipe.resize is None:
        return picture
    target = recipe.resize if isinstance(recipe.resize, tuple) else _shorter(picture, recipe.resize)
    if target[0] * target[1] > LIMIT_PIXELS:
        raise ModelError(
            f"the picture is {picture.width}x{picture.height}: too narrow to be resized to {target[1]}x{target[0]}"
        )
    if target == (picture.height, picture.width):
        return picture
    return picture.resize((target[1], target[0]), resample=_FILTERS[recipe.interpolation])


def _shorter(picture: Image, side: int) -> Extent:
    """(height, width) with the shorter side given; the longer one rounds down, as torchvision's does."""
    width, height = picture.size
    return (side, side * width // height) if height <= width else (side * height // width, side)


def _crop(picture: Image, extent: Extent | None) -> Image:
    """The centre, black where the picture is smaller."""
    if extent is None:
        return picture
    height, width = extent
    padded_w, padded_h = max(picture.width, width), max(picture.height, height)
    if (padded_w, padded_h) != picture.size:
        pad_left, pad_top = (padded_w - picture.width) // 2, (padded_h - picture.height) // 2
        picture = picture.crop((-pad_left, -pad_top, padded_w - pad_left, padded_h - pad_top))
    left, top = round((padded_w - width) / 2), round((padded_h - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def _normalised(pixels: NDArray[np.float64], recipe: Preprocess) -> NDArray[np.float64]:
    import numpy as np

    channels = pixels.shape[2]
    for name, values in (("mean", recipe.mean), ("std", recipe.std)):
        if len(values) not in (0, 1, channels):
            raise ModelError(f"the model's {PREPROCESS_KEY}: {name} has {len(values)} values for {channels} channels")
    mean = np.asarray(recipe.mean or (0.0,))
    std = np.asarray(recipe.std or (1.0,))
    return np.asarray((pixels * recipe.scale - mean) / std)


def _cast(pixels: NDArray[np.float64], wanted: Value) -> NDArray[Any]:
    """(H, W, C) float64 to (C, H, W) of the model's element type."""
    import numpy as np

    if wanted.dtype not in ("float32", "float64", "float16", "uint8"):
        raise ModelError(
            f"input {wanted.name!r} is {wanted}: pictures fill float or uint8 inputs {shown(wanted.shape)}"
        )
    if wanted.dtype == "uint8" and not np.array_equal(pixels, np.clip(np.rint(pixels), 0, 255)):
        raise ModelError(f"input {wanted.name!r} is uint8, but its preprocessing does not give whole numbers")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=wanted.dtype)
