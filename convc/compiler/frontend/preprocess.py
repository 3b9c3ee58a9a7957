"""`preprocess:` and `labels:`: what an image goes through before the network, and what its classes are called."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import Mark
from ..ir import TensorType
from .arguments import expression, integral, shown
from .document import Map, Scalar, Seq, Tree
from .embedding import is_image
from .steps import describe, fail, is_null, near
from .values import Env

KEYS = ("scale", "mean", "std", "resize", "crop", "color", "embed")
COLOURS = ("rgb", "bgr", "gray")
MAX_LABELS_BYTES = 4 * 2**20
MAX_PIXELS = 2**20


def read_preprocess(tree: Map, env: Env) -> dict[str, Any]:
    """y = (x * scale - mean) / std per channel, after resizing the shorter side and cropping the centre; raises SpecError."""
    found: dict[str, Any] = {}
    for key, value in tree.entries:
        if key.text not in KEYS:
            fail(f"`preprocess` has no key {key.text!r}", key.mark, near(key.text, KEYS) or f"keys: {', '.join(KEYS)}")
        if not is_null(value):
            found[key.text] = _field(key.text, value, env)
    return found


def check_channels(preprocess: dict[str, Any], inputs: Iterable[TensorType], mark: Mark) -> None:
    """Means and deviations are one for all channels, or one each; raises SpecError."""
    for type_ in filter(is_image, inputs):
        channels = type_.shape[1]
        for key in ("mean", "std"):
            count = len(preprocess.get(key, (0.0,)))
            if count not in (1, channels):
                hint = "one number for all channels, or one for each"
                fail(
                    f"`preprocess` has {count} numbers as `{key}`, the input {type_} has {channels} channels",
                    mark,
                    hint,
                )
        if preprocess.get("embed") and not isinstance(channels, int):
            fail(f"`embed` needs a fixed number of channels, the input is {type_}", mark)


def read_labels(tree: Tree | None, folder: Path) -> tuple[str, ...]:
    """The class names: a list, or a text file beside the spec with one a line. Raises SpecError."""
    if tree is None:
        return ()
    if isinstance(tree, Seq):
        return tuple(_label(item) for item in tree.items)
    if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
        fail(f"`labels` is {describe(tree)}, expected a list or a file's name", tree.mark)
    lines = _lines(tree, tree.value, folder)
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            hint = "a class is a line: without this one every later class would have another's name"
            fail(f"line {number} of the labels file {tree.value!r} is empty", tree.mark, hint)
    return tuple(line.strip() for line in lines)


def _label(tree: Tree) -> str:
    if isinstance(tree, Scalar) and tree.text.strip():
        return tree.text
    fail(f"a label is {describe(tree)}, expected the name of a class", tree.mark)


def _lines(tree: Scalar, name: str, folder: Path) -> list[str]:
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            fail(f"the labels file {name!r} leaves the spec's folder", tree.mark)
        if not path.is_file() or path.stat().st_size > MAX_LABELS_BYTES:
            hint = "`labels` is a list, or the name of a text file beside the spec with a class a line"
            fail(f"the labels file {name!r} is not there, or larger than {MAX_LABELS_BYTES:,} bytes", tree.mark, hint)
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        fail(f"the labels file {name!r} is not UTF-8", tree.mark, "save the file as UTF-8")
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        fail(f"the labels file {name!r} cannot be read: {reason}", tree.mark)


def _field(name: str, tree: Tree, env: Env) -> Any:
    if name == "color":
        if isinstance(tree, Scalar) and tree.value in COLOURS:
            return tree.value
        hint = near(str(tree.value), COLOURS) if isinstance(tree, Scalar) else ""
        fail(f"`color` is {describe(tree)}", tree.mark, hint or f"one of: {', '.join(COLOURS)}")
    if name == "embed":
        if isinstance(tree, Scalar) and isinstance(tree.value, bool):
            return tree.value
        fail(f"`embed` is {describe(tree)}, expected true or false", tree.mark)
    if name in ("mean", "std"):
        return _numbers(name, tree, env)
    if name == "scale":
        return _number(name, tree, env)
    if isinstance(tree, Seq):
        if len(tree.items) != 2:
            fail(f"`{name}` lists {len(tree.items)} sizes, expected height and width", tree.mark)
        return [_pixels(name, item, env) for item in tree.items]
    return _pixels(name, tree, env)


def _numbers(name: str, tree: Tree, env: Env) -> list[float]:
    items = tree.items if isinstance(tree, Seq) else (tree,)
    found = [_number(name, item, env) for item in items]
    if not found:
        fail(f"`{name}` is an empty list", tree.mark)
    if name == "std" and 0 in found:
        fail("`std` is 0: the image would be divided by it", tree.mark)
    return found


def _number(name: str, tree: Tree, env: Env) -> float:
    value = expression(tree, env) if isinstance(tree, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        what = shown(value) if isinstance(tree, Scalar) else describe(tree)
        fail(f"`{name}` is {what}, expected a number", tree.mark)
    return value


def _pixels(name: str, tree: Tree, env: Env) -> int:
    value = integral(_number(name, tree, env))
    if not isinstance(value, int) or not 0 < value <= MAX_PIXELS:
        fail(f"`{name}` is {value}, expected a whole number above 0", tree.mark)
    return value
