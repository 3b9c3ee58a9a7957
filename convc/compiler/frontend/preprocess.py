"""`preprocess:` and `labels:`: what an image goes through before the network, and what its classes are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import OutputError
from .arguments import expression, shown
from .document import Map, Scalar, Seq, Tree
from .steps import describe, fail, near
from .values import Env

KEYS = ("scale", "mean", "std", "resize", "crop", "color", "embed")
COLOURS = ("rgb", "bgr", "gray")
MAX_LABELS_BYTES = 4 * 2**20


def read_preprocess(tree: Map, env: Env) -> dict[str, Any]:
    """y = (x * scale - mean) / std per channel, after resizing the shorter side and cropping the centre; raises SpecError."""
    found: dict[str, Any] = {}
    for key, value in tree.entries:
        name = str(key.value)
        if name not in KEYS:
            fail(f"`preprocess` has no key {name!r}", key.mark, near(name, KEYS) or f"keys: {', '.join(KEYS)}")
        found[name] = _field(name, value, env)
    if any(v == 0 for v in found.get("std", ())):
        fail("`std` is 0: the image would be divided by it", tree.mark)
    return found


def read_labels(tree: Tree | None, folder: Path) -> tuple[str, ...]:
    """The class names: a list, or a text file beside the spec with one a line."""
    if tree is None:
        return ()
    if isinstance(tree, Seq):
        return tuple(item.text for item in tree.items if isinstance(item, Scalar))
    if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
        fail(f"`labels` is {describe(tree)}, expected a list or a file's name", tree.mark)
    path = (folder / tree.value).resolve()
    if not path.is_relative_to(folder.resolve()):
        fail(f"the labels file {tree.value!r} leaves the spec's folder", tree.mark)
    if not path.is_file() or path.stat().st_size > MAX_LABELS_BYTES:
        fail(f"the labels file {tree.value!r} is not there, or larger than {MAX_LABELS_BYTES:,} bytes", tree.mark)
    try:
        return tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{tree.value}: cannot be read as text: {error}") from error


def _field(name: str, tree: Tree, env: Env) -> Any:
    if name == "color":
        if isinstance(tree, Scalar) and tree.value in COLOURS:
            return tree.value
        fail(f"`color` is {describe(tree)}", tree.mark, f"one of: {', '.join(COLOURS)}")
    if name == "embed":
        if isinstance(tree, Scalar) and isinstance(tree.value, bool):
            return tree.value
        fail(f"`embed` is {describe(tree)}, expected true or false", tree.mark)
    if name in ("mean", "std"):
        items = tree.items if isinstance(tree, Seq) else (tree,)
        return [_number(name, item, env) for item in items]
    if name in ("resize", "crop") and isinstance(tree, Seq):
        return [int(_number(name, item, env)) for item in tree.items]
    value = _number(name, tree, env)
    return int(value) if name in ("resize", "crop") else value


def _number(name: str, tree: Tree, env: Env) -> float:
    value = expression(tree, env) if isinstance(tree, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        fail(f"`{name}` is {shown(value)}, expected a number", tree.mark)
    return value
