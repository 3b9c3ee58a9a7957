"""Compute beforehand what hangs on no input: arithmetic on parameters and constants becomes one parameter.

f(p, c)    ->    p'            p learned or given, c given; computed in float64 and rounded once, when it is written
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

from ...ir import Editor, Lazy, Node, Op, Param, Stored
from ...ops.arithmetic import Abs, Add, Div, Exp, Max, Min, Mul, Neg, Pow, Sqrt, Sub
from ...ops.join import Concat
from ...ops.shape import Flatten, Reshape, Transpose
from ...ops.tensor import Constant, Parameter
from ..rewrite import Match, Miss, Rewrite

# Larger results would make the file larger than the arithmetic is worth.
_GROWS = 4

Compute = Callable[..., Any]


def _chain(name: str) -> Callable[[Any], Compute]:
    """A ufunc over any number of values."""

    def of(op: Any) -> Compute:
        def compute(*values: Any) -> Any:
            import numpy as np

            return reduce(getattr(np, name), [np.asarray(value, np.float64) for value in values])

        return compute

    return of


def _one(name: str) -> Callable[[Any], Compute]:
    def of(op: Any) -> Compute:
        def compute(value: Any) -> Any:
            import numpy as np

            return getattr(np, name)(np.asarray(value, np.float64))

        return compute

    return of


def _power(op: Any) -> Compute:
    return lambda value: _wide(value) ** op.exponent


def _concat(op: Any) -> Compute:
    def compute(*values: Any) -> Any:
        import numpy as np

        return np.concatenate([_wide(value) for value in values], op.axis)

    return compute


def _wide(value: Any) -> Any:
    import numpy as np

    return np.asarray(value, np.float64)


_COMPUTE: Mapping[type[Op], Callable[[Any], Compute]] = {
    Add: _chain("add"),
    Sub: _chain("subtract"),
    Mul: _chain("multiply"),
    Div: _chain("divide"),
    Max: _chain("maximum"),
    Min: _chain("minimum"),
    Neg: _one("negative"),
    Abs: _one("abs"),
    Exp: _one("exp"),
    Sqrt: _one("sqrt"),
    Pow: _power,
    Concat: _concat,
    Transpose: lambda op: lambda value: _wide(value).transpose(op.perm),
}


@dataclass(frozen=True)
class Known(Match):
    """`node`, and its value as a parameter."""

    value: Param


class FoldConstants(Rewrite[Known], name="fold_constants", root=(*_COMPUTE, Reshape, Flatten)):
    """Compute beforehand what hangs on parameters and constants alone."""

    exact_when = "every input is a parameter or a constant, and the shape is fixed"
    worth_when = "always, unless the result is more than four times as large as what it is made of"

    def match(self, edit: Editor, node: Node) -> Known | Miss | None:
        sources = [edit.node(value) for value in node.inputs]
        held = [_value(edit, source) for source in sources if source is not None]
        known = [value for value in held if value is not None]
        if len(known) != len(node.inputs):
            return None
        if edit.is_output(node.name):
            return Miss("it is an output of the network: a node must stand there")
        sizes = tuple(size for size in node.type.shape if isinstance(size, int))
        if len(sizes) != node.type.rank:
            return Miss(f"its shape {node.type} is dynamic")
        if prod(sizes) > _GROWS * sum(value.numel for value in known):
            return Miss(f"the result has {prod(sizes):,} numbers, made of {sum(v.numel for v in known):,}")
        if isinstance(node.op, Reshape | Flatten):
            return Known(node, known[0].reshape(*sizes))
        compute = _COMPUTE[type(node.op)](node.op)
        return Known(node, Lazy(sizes, compute, tuple(known), node.op.name))

    def rewrite(self, edit: Editor, match: Known) -> None:
        node = match.node
        sources = dict.fromkeys(node.inputs)
        for source in sources:
            edit.include(source)
        edit.set_op(node.name, Parameter(shape=match.value.shape))
        edit.set_inputs(node.name, ())
        edit.set_params(node.name, value=match.value)
        for source in sources:
            gone = edit.node(source)
            if gone is not None and not edit.users(source) and not edit.is_output(source):
                edit.add_origins(node.name, gone.origins)
                edit.drop(source)


def _value(edit: Editor, node: Node) -> Param | None:
    """What a parameter or constant holds."""
    if isinstance(node.op, Parameter):
        return edit.params_of(node)["value"]
    if isinstance(node.op, Constant) and node.type.dtype.value.startswith("float"):
        import numpy as np

        return Stored(np.asarray(node.op.value, np.float64))
    return None
