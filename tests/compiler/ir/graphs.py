"""Random graphs for property tests: every shape fits, as each step is chosen among those that do."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from convc.compiler.errors import ShapeError
from convc.compiler.ir import Graph, Model, Node, Op, Param, Seeded, SymDim, TensorType
from convc.compiler.ops import OPS

N = SymDim.symbol("N")
H = SymDim.symbol("H", multiple=8, minimum=16)
W = SymDim.symbol("W")

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,3}(\.[a-z0-9]{1,2})?|[a-z]-[a-z]|\"é[ a-z]{1,2}", fullmatch=True)


def _conv(draw: st.DrawFn) -> Op:
    return OPS["conv"](  # type: ignore[call-arg]
        out=draw(st.sampled_from([2, 4, 6])),
        kernel=draw(st.sampled_from([1, 3, (1, 3)])),
        stride=draw(st.sampled_from([1, 2])),
        bias=draw(st.booleans()),
        padding=draw(st.sampled_from(["half", "same_upper", 1])),
    )


def _norm(draw: st.DrawFn) -> Op:
    eps = draw(st.sampled_from([1e-5, 1e-3, 0.1]))
    return OPS["batch_norm"](eps=eps, scale=draw(st.booleans()), shift=draw(st.booleans()))  # type: ignore[call-arg]


def _named(*names: str, **arguments: Any) -> Callable[[st.DrawFn], Op]:
    return lambda draw: OPS[draw(st.sampled_from(names))](**arguments)


_STEPS: tuple[Callable[[st.DrawFn], Op], ...] = (
    _conv,
    _conv,
    _norm,
    _norm,
    _named("relu", "sigmoid", "dropout", "identity", "global_avg_pool", "flatten"),
    _named("concat", "add"),
    _named("max_pool", "avg_pool", kernel=2, padding=1),
    _named("linear", out=4),
    _named("slice", end=-1),
    _named("parameter", shape=(2, 3)),
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A checked model of up to a dozen nodes, some of which share parameters, some of which only the train form has."""
    names = draw(st.lists(NAMES, min_size=4, max_size=14, unique=True))
    inputs = {names[0]: TensorType((N, 4, H, W)), names[1]: TensorType((N, 4, 9, 7))}
    nodes: dict[str, Node] = {}
    params: dict[str, Param] = {}
    trained: set[str] = set()
    for name in names[2:]:
        node = _drawn(draw, name, inputs, nodes, params, trained)
        if node is not None:
            nodes[name] = node
    deployed = [n.name for n in nodes.values() if not n.train_only]
    ends = draw(st.lists(st.sampled_from(deployed or [names[0]]), min_size=1, max_size=2, unique=True))
    extra = [n.name for n in nodes.values() if n.train_only][-1:]
    graph = Graph(
        draw(NAMES), MappingProxyType(inputs), MappingProxyType(nodes),
        {f"out{i}": end for i, end in enumerate(ends)}, {f"aux {i}": end for i, end in enumerate(extra)},
    )  # fmt: skip
    model = Model(graph, params, frozenset(trained))
    model.check()
    return model


def _drawn(
    draw: st.DrawFn,
    name: str,
    inputs: dict[str, TensorType],
    nodes: dict[str, Node],
    params: dict[str, Param],
    trained: set[str],
) -> Node | None:
    """A node that fits, or None."""
    op = draw(st.sampled_from(_STEPS))(draw)
    known = [*inputs, *nodes]
    # Late values more often: chains are what passes look for.
    count = draw(st.integers(op.arity.least, min(op.arity.most or 2, 2)))
    reads = tuple(draw(st.sampled_from(known[-3:] if draw(st.booleans()) else known)) for _ in range(count))
    types = [nodes[i].type if i in nodes else inputs[i] for i in reads]
    try:
        op = op.bind(*types)
        type_ = op.infer(*types)
        wanted = op.params(*types)
    except ShapeError:
        return None
    late = any(nodes[i].train_only for i in reads if i in nodes) or draw(st.integers(0, 7)) == 0
    held = {}
    for role, kind in wanted.items():
        twins = [
            p
            for p, v in params.items()
            if v.shape == kind.shape
            and (p in trained) == kind.trained
            # A mean is no variance: it may be negative.
            and p.endswith("running_var") == (role == "running_var")
        ]
        shared = draw(st.sampled_from(twins)) if twins and draw(st.integers(0, 4)) == 0 else None
        held[role] = shared or f"{name}.{role}"
        params.setdefault(held[role], Seeded(kind.shape, kind.init, held[role]))
        trained |= {held[role]} if kind.trained else set()
    return Node(name, op, reads, type_, MappingProxyType(held), (), late)
