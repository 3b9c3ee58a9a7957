"""Open a picture that may be hostile: raster formats only, its size checked before its pixels are unpacked.

Orientation (EXIF) is applied, of an animation the first frame is taken, 16-bit grey becomes 8-bit, transparency is
dropped as torchvision's `convert("RGB")` drops it. Each is said in a note.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..compiler.errors import ModelError, ProviderError
from .preprocess import LIMIT_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

_TOO_DEEP = ("I", "F")


def open_picture(path: Path) -> tuple[Image, tuple[str, ...]]:
    """The picture, upright and unpacked, and notes on what was done to it.

    Raises ModelError (not there, not a picture, cut short, too large), ProviderError (pillow is not installed).
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ProviderError("pillow is not installed: it reads pictures", hint="pip install pillow") from error
    with _readable(path), Image.open(path, formats=FORMATS) as opened:
        width, height = opened.size
        if width * height > LIMIT_PIXELS:
            raise ModelError(f"{path}: claims {width}x{height} pixels; at most {LIMIT_PIXELS} are read")
        if opened.mode in _TOO_DEEP:
            raise ModelError(f"{path}: has 32-bit pixels", hint="save it with 8 bits a channel, or give a .npy file")
        notes = _notes(opened)
        opened.load()
        upright = ImageOps.exif_transpose(opened)
        return _eight_bit(upright if upright is not None else opened).copy(), notes


def _notes(picture: Image) -> tuple[str, ...]:
    found = []
    if getattr(picture, "n_frames", 1) > 1:
        found.append("first frame of several")
    if "A" in picture.getbands() or "transparency" in picture.info:
        found.append("transparency dropped")
    if picture.mode.startswith("I;16"):
        found.append("16-bit grey reduced to 8 bits")
    return tuple(found)


def _eight_bit(picture: Image) -> Image:
    if not picture.mode.startswith("I;16"):
        return picture
    import numpy as np
    from PIL import Image

    deep = np.asarray(picture).astype(np.uint32)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8))


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # PIL's own limits and complaints about broken metadata; ours come with a message.
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise ModelError(f"{path}: claims far too many pixels; at most {LIMIT_PIXELS} are read") from error
    except UnidentifiedImageError as error:
        raise ModelError(
            f"{path}: neither .npy, .npz nor a picture", hint=f"pictures may be {', '.join(FORMATS)}"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, OverflowError, MemoryError, struct.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ModelError(f"{path}: the picture cannot be read: {reason}") from error
