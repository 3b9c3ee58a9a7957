"""Mistakes in what folds, takes out and expands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convc.compiler.ops.activation import Relu
from convc.compiler.ops.conv_transpose import ConvTranspose
from convc.compiler.ops.pool import AvgPool
from convc.compiler.ops.shape import Transpose
from tests.planted.mutant import Mutant, Swap

IMAGE = "input x: [N, 4, 9, 9]"
CONV = f"{IMAGE}\na = conv(x)\nb = batch_norm(a)\nc = relu(b)"
FOLD = "exact.fold_batchnorm"


def fold(mistake: str, name: str, swap: Swap, text: str = CONV, site: str = "b") -> Mutant:
    return Mutant("fold_batchnorm", mistake, f"{FOLD}:{name}", swap, text, site)


def _shift(**changed: Any) -> Swap:
    """shift_of(bias, bn, scale) with some of its terms gone or changed."""

    def swap(found: Any) -> Any:
        def shift(bias: Any, bn: Any, scale: Any) -> Any:
            bn = dict(bn)
            if changed.get("bias") == "forgotten":
                bias = None
            if changed.get("bias") == "not scaled":
                return found(None, bn, scale) + bias
            if changed.get("mean") == "forgotten":
                bn["running_mean"] = bn["running_mean"] * 0.0
            if changed.get("mean") == "added":
                bn["running_mean"] = -bn["running_mean"]
            if changed.get("beta") == "forgotten":
                bn.pop("bias")
            if changed.get("beta") == "scaled":
                bn["bias"] = bn["bias"] * scale
            return found(bias, bn, scale)

        return shift

    return swap


def _grouped_wrongly(found: Any) -> Any:
    """The factors of one group on the next."""

    def per_output(op: Any, weight: Any, scale: Any) -> Any:
        turned = scale.apply(scale.shape, lambda s: s.reshape(op.groups, -1)[::-1].reshape(-1), "turned")
        return found(op, weight, turned)

    return per_output


def _along_inputs(found: Any) -> Any:
    def per_output(op: Any, weight: Any, scale: Any) -> Any:
        axis = 0 if isinstance(op, ConvTranspose) else 1
        shape = [scale.shape[0] if i == axis else 1 for i in range(len(weight.shape))]
        return weight * scale.reshape(*shape)

    return per_output


def _not_alone(found: Any) -> Any:
    """Asks about readers as if there were no others."""

    def match(self: Any, edit: Any, node: Any) -> Any:
        class Blind:
            def __getattr__(self, name: str) -> Any:
                return getattr(edit, name)

            def users(self, name: str) -> Any:
                return (node.name,)

            def is_output(self, name: str) -> bool:
                return False

        return found(self, Blind(), node)

    return match


def folds() -> Iterator[Mutant]:
    yield fold("no eps", "scale_of", lambda f: lambda bn, eps: f(bn, 0.0), CONV.replace("norm(a)", "norm(a, eps=0.01)"))
    yield fold("another eps", "scale_of", lambda f: lambda bn, eps: f(bn, 10 * eps))
    yield fold("no root", "scale_of", lambda f: lambda bn, eps: bn["weight"] / (bn["running_var"] + eps))
    yield fold("no factor", "scale_of", lambda f: lambda bn, eps: f({**bn, "weight": bn["weight"] * 0 + 1}, eps))
    yield fold("bias forgotten", "shift_of", _shift(bias="forgotten"))
    yield fold("bias not scaled", "shift_of", _shift(bias="not scaled"))
    yield fold("mean forgotten", "shift_of", _shift(mean="forgotten"))
    yield fold("mean added", "shift_of", _shift(mean="added"))
    yield fold("beta forgotten", "shift_of", _shift(beta="forgotten"))
    yield fold("beta scaled", "shift_of", _shift(beta="scaled"))
    yield fold("stale weight", "per_output", lambda f: lambda op, weight, scale: weight)
    yield fold("factors along the inputs", "per_output", _along_inputs)
    yield fold("factors squared", "per_output", lambda f: lambda op, w, scale: f(op, w, scale * scale))
    up = f"{IMAGE}\na = conv_transpose(x, groups=2, kernel=3)\nb = batch_norm(a)"
    yield fold("groups the other way round", "per_output", _grouped_wrongly, up)
    square = f"{IMAGE}\na = conv_transpose(x, kernel=3)\nb = batch_norm(a)"
    yield fold("a transposed weight as a plain one", "per_output", _along_inputs, square)
    line = "input x: [N, 6]\na = linear(x)\nb = batch_norm(a)"
    yield fold("linear, factors along the inputs", "per_output", _along_inputs, line)
    yield fold("another reader overlooked", "FoldBatchNorm.match", _not_alone, f"{CONV}\nd = add(c, a)")
    yield fold("an output overlooked", "FoldBatchNorm.match", _not_alone, f"{CONV}\noutput y = c\noutput z = a")
    shared = f"{IMAGE}\na = conv(x)\nb = batch_norm(a)\ne = conv(b) with weight=a.weight"
    yield Mutant("fold_batchnorm", "stale shared weight", "convc.compiler.ir.editor:Editor._own_name",
                 lambda f: lambda self, node, role: node.params.get(role, f"{node.name}.{role}"), shared, "e")  # fmt: skip


def _also(kind: type, rule: Any) -> Swap:
    return lambda table: {**table, kind: rule}


def _to_input(found: Any) -> Any:
    """Leads readers to the network's input instead."""
    return lambda self, edit, match: edit.bypass(match.node.name, "x")


def identities() -> Iterator[Mutant]:
    def drop(mistake: str, name: str, swap: Swap, lines: str) -> Mutant:
        return Mutant(
            "drop_identity", mistake, f"exact.drop_identity:{name}", swap, f"{IMAGE}\na = sigmoid(x)\n{lines}", "b"
        )

    tail = "\nc = sigmoid(b)"
    yield drop("any pool is none", "_HANDS_ON", _also(AvgPool, lambda op: True),
               f"b = avg_pool(a, kernel=3, stride=1, padding=1){tail}")  # fmt: skip
    yield drop("any turn is none", "_HANDS_ON", _also(Transpose, lambda op: True),
               f"b = transpose(a, perm=[0, 1, 3, 2]){tail}")  # fmt: skip
    yield drop("a relu is none", "_HANDS_ON", _also(Relu, lambda op: True), f"n = neg(a)\nb = relu(n){tail}")
    yield drop("readers led elsewhere", "DropIdentity.rewrite", _to_input, f"b = dropout(a){tail}")


def expansions() -> Iterator[Mutant]:
    lifted = "input x: [N, 3, 9, 9]\nb = c4_conv(x, out=2, kind=lifting)\nc = c4_batch_norm(b)"

    def expand(mistake: str, name: str, swap: Swap, site: str = "b") -> Mutant:
        return Mutant("expand_c4", mistake, f"exact.expand_c4:{name}", swap, lifted, site)

    yield expand("tiled instead of repeated", "_four_times", lambda f: lambda v: np.tile(v, 4))
    yield expand("turned the other way", "_turned", lambda f: lambda w, copies, shape: f(w, copies[::-1], shape))
    yield expand("not turned", "_turned", lambda f: lambda w, copies, shape: f(w, copies * 0 + copies[:1], shape))
    yield expand("statistics mixed up", "_repeated", lambda f: lambda p: f(p) * 2.0, "b")


def dead() -> Iterator[Mutant]:
    text = f"{IMAGE}\na = conv(x)\nb = relu(a)\nd = sigmoid(a)\noutput y = b"

    def last_too(found: Any) -> Any:
        from convc.compiler.passes import Match

        return lambda self, edit, node: Match(node) if not edit.users(node.name) else None

    yield Mutant("drop_dead", "an output nobody else reads", "exact.drop_dead:DropDead.match", last_too, text, "b")


def mutants() -> Iterator[Mutant]:
    for family in (folds, identities, expansions, dead):
        yield from family()
