"""Tables and texts of `show`, `list` and `check`: plain text, aligned, and nothing a terminal must understand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import zoo
from ..compiler.errors import UsageError

if TYPE_CHECKING:
    from .net import Net

RIGHT = {"params", "MACs", "bytes", "nodes"}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns aligned under their heads; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(head)]
    lines = []
    for row in [list(head), *cells]:
        parts = [c.rjust(w) if name in RIGHT else c.ljust(w) for c, w, name in zip(row, widths, head, strict=True)]
        lines.append("  ".join(parts).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def network_table(net: Net) -> str:
    """One row a node: name, operator, output shape, parameters, MACs, receptive field; totals below."""
    costs = net.costs()
    rows = []
    for row, node in zip(costs.rows, net.network.graph, strict=True):
        mark = " (train only)" if row.train_only else ""
        field = "x".join(str(n) for n in dict.fromkeys(row.receptive_field)) if row.receptive_field else ""
        rows.append((row.name + mark, row.op, node.type, row.params or "", row.macs or "", field))
    head = ("name", "op", "output", "params", "MACs", "receptive field")
    inputs = ", ".join(f"{name} {type_}" for name, type_ in net.network.graph.inputs.items())
    totals = f"{len(costs.rows)} nodes, {costs.params:,} params, {costs.macs:,} MACs"
    if costs.attention_macs:
        totals += f" and {costs.attention_macs:,} of attention products"
    counted = ", ".join(f"{k} = {v}" for k, v in counted_at(net).items())
    return f"{net.name}: {inputs}\n\n{table(head, rows)}\n\n{totals}{f' (at {counted})' if counted else ''}"


def counted_at(net: Net) -> dict[str, int]:
    """The dynamic dimensions that counts were taken at."""
    from .net import sizes_for

    return sizes_for(net.network)


def check_line(net: Net) -> str:
    """What `check` says of a good spec."""
    costs = net.costs()
    outputs = ", ".join(f"{name} {net.network.graph.type_of(node)}" for name, node in net.network.graph.outputs.items())
    return f"{net.name}: good. {len(costs.rows)} nodes, {costs.params:,} params, {costs.macs:,} MACs -> {outputs}"


def network_data(net: Net) -> dict[str, Any]:
    """The same as JSON."""
    costs = net.costs()
    return {
        "schema_version": 1,
        "name": net.name,
        "counted_at": counted_at(net),
        "params": costs.params,
        "macs": costs.macs,
        "attention_macs": costs.attention_macs,
        "bytes": costs.bytes,
        "layers": [
            {
                "name": row.name,
                "op": row.op,
                "output": list(row.output),
                "params": row.params,
                "macs": row.macs,
                "attention_macs": row.attention_macs,
                "bytes": row.bytes,
                "receptive_field": None if row.receptive_field is None else list(row.receptive_field),
                "train_only": row.train_only,
                "source": node.origins[0].place if node.origins else "",
            }
            for row, node in zip(costs.rows, net.network.graph, strict=True)
        ],
    }


def operator_text(name: str) -> str:
    """What `convc show op NAME` prints: shapes, arguments with kinds, defaults and docs."""
    from ..compiler.ops import OPS

    if name not in OPS:
        raise UsageError(f"there is no operator {name!r}", hint=_near(name, OPS))
    cls = OPS[name]
    rows = []
    for field in cls.fields().values():
        kind = " | ".join(field.choices) if field.choices else field.kind
        default = "required" if field.required else "" if field.default is None else _shown(field.default)
        principal = " (principal)" if field.name == cls.principal else ""
        rows.append((field.name + principal, kind, default, field.doc))
    fields = table(("argument", "kind", "default", "meaning"), rows) if rows else "no arguments"
    return f"{name}  ({cls.group}; reads {cls.arity})\n\n{_dedented(cls.__doc__)}\n\n{fields}"


def block_text(name: str) -> str:
    """What `convc show block NAME` prints: its documentation, parameters, and the YAML as it ships."""
    from ..compiler.frontend.library import Loader

    index = zoo.blocks()
    if name not in index:
        raise UsageError(f"there is no block {name!r} in the library", hint=_near(name, index))
    found = Loader(zoo.specs_root()).library_block(name)
    assert found is not None
    block, file = found
    start = block.mark.line
    lines = file.spec.source.lines
    end = start
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith("   ")):
        end += 1
    text = "\n".join(lines[start - 1 : end]).rstrip()
    doc = f"{block.doc.strip()}\n\n" if block.doc else ""
    rows = [(p.name, p.type, _default(p), p.doc) for p in block.params.values()]
    params = table(("parameter", "type", "default", "meaning"), rows) if rows else "no parameters"
    return f"{name}  ({file.spec.source.name}:{start})\n\n{doc}{params}\n\n{text}"


def listing(what: str) -> str:
    """What ships: specs, blocks or ops, one a line with its first sentence."""
    if what == "specs":
        rows = [(name, path.name, _doc_of(path)) for name, path in zoo.variants().items()]
        return table(("variant", "file", "network"), rows)
    if what == "blocks":
        from ..compiler.frontend.library import Loader

        loader = Loader(zoo.specs_root())
        found = [(name, loader.library_block(name)) for name in zoo.blocks()]
        return table(
            ("block", "file", "what it is"), [(n, f[1].spec.source.name, _sentence(f[0].doc)) for n, f in found if f]
        )
    if what == "ops":
        from ..compiler.ops import OPS

        ordered = sorted(OPS.items(), key=lambda item: (item[1].group, item[0]))
        return table(("operator", "group", "what it is"), [(n, c.group, _sentence(c.__doc__)) for n, c in ordered])
    if what == "passes":
        from ..compiler.passes import PASSES, levels_of

        return table(
            ("pass", "runs with", "what it does"),
            [(name, levels_of(name), _sentence(p.__doc__)) for name, p in PASSES.items()],
        )
    raise UsageError(f"nothing is listed as {what!r}", hint="specs, blocks, ops or passes")


def names_table(rows: Iterable[tuple[str, str, Sequence[int]]], family: str) -> str:
    """Both names of every tensor, for `show --family`."""
    return table(("ours", family, "shape"), [(ours, theirs, list(shape)) for ours, theirs, shape in rows])


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _default(param: Any) -> str:
    if param.required:
        return "required"
    return str(param.expression.value) if param.expression is not None else _shown(param.default)


def _sentence(text: str | None) -> str:
    return (text or "").strip().split("\n", 1)[0]


def _dedented(text: str | None) -> str:
    from inspect import cleandoc

    return cleandoc(text or "")


def _doc_of(path: Any) -> str:
    """The first line of a spec's `doc`, without reading the whole spec."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("doc:"):
            return str(line[4:].strip().strip("\"'>|").strip())
    return ""


def _near(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=3)
    return (
        f"did you mean {' or '.join(repr(c) for c in close)}?"
        if close
        else f"there are {len(list(known))}: `convc list`"
    )
