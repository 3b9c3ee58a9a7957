"""A network's inputs: their shapes as the spec writes them, and what `--batch` and `--size` make of them.

input: {image: [N, 3, size, size], mask: {shape: [N, 1, H, W], dtype: float32}}
"""

from __future__ import annotations

import re
from math import prod

from ..errors import UsageError
from ..ir import DType, SymDim, TensorType
from ..ir.dims import Dim
from .arguments import expression, integral, shown
from .context import MAX_ELEMENTS
from .declarations import NAME
from .document import Map, Scalar, Seq, Tree
from .parsing import RESERVED
from .settings import Options
from .spec import SpecFile
from .steps import describe, fail, near
from .values import Env

MAX_RANK = 8
# As --size takes them.
MAX_SIZE = 2**20
_SYMBOL = re.compile(r"[A-Z][A-Za-z0-9_]*")
_DTYPES = ("float32", "int64")
_SPATIAL = ("D", "H", "W")


def read_inputs(spec: SpecFile, env: Env, options: Options) -> dict[str, TensorType]:
    """The type of each input, in order. Raises SpecError, and UsageError where `--size` does not fit."""
    if spec.input is None or not spec.input.entries:
        fail("the spec has no input", spec.mark, "`input: {image: [N, 3, 224, 224]}`")
    found: dict[str, TensorType] = {}
    for key, tree in spec.input.entries:
        if not NAME.fullmatch(key.text) or key.text in RESERVED:
            fail(f"an input cannot be called {key.text!r}", key.mark, "letters, digits and _, no word of the language")
        shape, dtype = _written(key.text, tree)
        dims = [_dim(item, spec, env) for item in shape.items]
        found[key.text] = TensorType(tuple(_override(dims, options, key.text, spec)), dtype)
        if prod(dim for dim in found[key.text].shape if isinstance(dim, int)) > MAX_ELEMENTS:
            fail(f"the input {found[key.text]} has more than {MAX_ELEMENTS:,} values", tree.mark)
    return found


def _written(name: str, tree: Tree) -> tuple[Seq, DType]:
    hint = "`[N, 3, 224, 224]`: upper-case names are dynamic"
    shape: Tree | None = tree
    dtype = DType.float32
    if isinstance(tree, Map):
        for key, _ in tree.entries:
            if key.text not in ("shape", "dtype"):
                wanted = near(key.text, ("shape", "dtype")) or "it has: shape, dtype"
                fail(f"an input has no key {key.text!r}", key.mark, wanted)
        shape, dtype = tree.get("shape"), _dtype(tree.get("dtype"))
    if not isinstance(shape, Seq) or not shape.items:
        fail(f"input {name!r} has no shape", tree.mark, hint)
    if len(shape.items) > MAX_RANK:
        fail(f"input {name!r} has {len(shape.items)} axes, the limit is {MAX_RANK}", shape.mark)
    return shape, dtype


def _dtype(tree: Tree | None) -> DType:
    if tree is None:
        return DType.float32
    if isinstance(tree, Scalar) and tree.value in _DTYPES:
        return DType(tree.value)
    fail(f"an input's dtype is {describe(tree)}", tree.mark, f"one of: {', '.join(_DTYPES)}")


def _dim(tree: Tree, spec: SpecFile, env: Env) -> Dim:
    if not isinstance(tree, Scalar):
        fail(f"a dimension is {describe(tree)}, expected a number, an expression or an upper-case name", tree.mark)
    if isinstance(tree.value, str) and _SYMBOL.fullmatch(tree.value) and tree.value not in env.params:
        return _symbol(tree.value, spec)
    value = integral(expression(tree, env))
    if not isinstance(value, int) or isinstance(value, bool):
        fail(f"a dimension is {shown(value)}, expected a whole number", tree.mark, "an upper-case name is dynamic: `N`")
    if not 1 <= value <= MAX_ELEMENTS:
        limit = "at least 1" if value < 1 else f"at most {MAX_ELEMENTS:,}"
        fail(f"a dimension is {value:,}, expected {limit}", tree.mark)
    return value


def _override(dims: list[Dim], options: Options, name: str, spec: SpecFile) -> list[Dim]:
    if options.batch is not None:
        dims[0] = _symbol("N", spec) if options.batch == "dynamic" else int(options.batch)
    spatial = len(dims) - 2
    if options.size is None or spatial < 1:
        return dims
    if isinstance(options.size, str):
        if spatial > len(_SPATIAL):
            raise UsageError(f"--size dynamic is for one to three spatial axes, input {name!r} has {spatial}")
        return [*dims[:2], *(_symbol(n, spec) for n in _SPATIAL[-spatial:])]
    sizes = list(options.size) * (spatial if len(options.size) == 1 else 1)
    if len(sizes) != spatial:
        raise UsageError(f"--size gives {len(sizes)} sizes, input {name!r} has {spatial} spatial axes")
    return [*dims[:2], *sizes]


def _symbol(name: str, spec: SpecFile) -> SymDim:
    """A dynamic dimension with what `symbols:` promises of it."""
    promise = spec.symbols.get(name, {})
    return SymDim.symbol(name, promise.get("multiple", 1), promise.get("min", 1))
