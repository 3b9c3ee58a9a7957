"""Tables of the layers: dearest first and in the network's order, groups of them, and what runs nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from ..profile.record import LayerRow, LayerTable
from .figures import aligned, decimals_for, percent, rounded, size_text
from .groups import Group, grouped, ranked, share
from .kinds import Kinds
from .markup import Markup, el, joined

# Rows of the first table; the whole network stands below it, folded.
SHOWN = 15
_SHOWN_GROUPS = 10
# Right of the longest bar, for the line under it; a longer line is cut off.
_ROOM = 1.12
_HEADS = ("layer", "op", "time", "ms", "share", "MMACs", "MB", "GMAC/s", "of roofline")
_TITLES = {
    "ms": "mean over the profiled runs that were kept; the line under a bar spans the 10th to the 90th percentile",
    "of roofline": "the least time that this machine's measured peaks allow, over the time taken",
    "MB": "activations and weights that the layer reads and writes, in 1,000,000 bytes",
    "share": "of the sum of all layers",
}


def layer_tables(table: LayerTable, kinds: Kinds) -> Markup:
    """The dearest layers, then all of them in the network's order."""
    best = ranked(table)[:SHOWN]
    parts = [layer_table(best, table, kinds)]
    if len(table.rows) > SHOWN:
        rest = table.sum_ms - sum(row.time_ms for row in best)
        text = f"{len(table.rows) - SHOWN} more layers take {rounded(rest)} ms together."
        whole = el("summary", f"All {len(table.rows)} layers in the network’s order")
        parts += [el("p", text, class_="note"), el("details", whole, layer_table(table.rows, table, kinds))]
    return joined(parts, _absent(table), _unclaimed(table))


def layer_table(rows: Sequence[LayerRow], table: LayerTable, kinds: Kinds) -> Markup:
    """One row a layer; a bar is in proportion to the dearest layer of the network."""
    longest = max((row.time_ms for row in table.rows), default=0.0) * _ROOM
    places = _Decimals(table)
    head = el("tr", [el("th", name, class_=_class(name), title=_TITLES.get(name)) for name in _HEADS])
    body = [_row(row, table, longest, places, kinds) for row in rows]
    return el("div", el("table", el("thead", head), el("tbody", body), class_="layers sortable"), class_="wide")


def group_tables(table: LayerTable, kinds: Kinds) -> Markup:
    """By stage, by block and by operator, side by side where there is room."""
    found = [
        (name, grouped(table.rows, by)) for name, by in (("stage", "stage"), ("block", "block"), ("operator", "op"))
    ]
    # Where every layer is a group of its own, the grouping says nothing new.
    told = [(name, groups) for name, groups in found if len(groups) < len(table.rows) or name == "operator"]
    return el(
        "div", [_groups(name, groups, kinds if name == "operator" else None) for name, groups in told], class_="panels"
    )


class _Decimals:
    """The same digits down each column."""

    def __init__(self, table: LayerTable) -> None:
        self.ms = decimals_for(max((row.time_ms for row in table.rows), default=1.0))
        self.macs = decimals_for(max((row.macs or 0 for row in table.rows), default=0) / 1e6)
        self.moved = decimals_for(max((row.bytes or 0 for row in table.rows), default=0) / 1e6)
        self.rate = decimals_for(max((row.gmacs_per_s or 0.0 for row in table.rows), default=1.0))


def _row(row: LayerRow, table: LayerTable, longest: float, places: _Decimals, kinds: Kinds) -> Markup:
    macs = None if not row.macs else row.macs / 1e6
    moved = None if row.bytes is None else row.bytes / 1e6
    cells = [
        el("td", _name(row), class_="name", data_v=row.layer),
        el("td", row.op, class_="op"),
        el("td", _bar(row, longest, kinds), class_="bars", data_v=f"{row.time_ms:.6g}"),
        el("td", aligned(row.time_ms, places.ms), class_="num", data_v=f"{row.time_ms:.6g}"),
        el("td", percent(share(row, table)), class_="num", data_v=f"{share(row, table):.6g}"),
        el("td", aligned(macs, places.macs), class_="num more", data_v=row.macs or 0),
        el("td", aligned(moved, places.moved), class_="num more", data_v=row.bytes or 0),
        el("td", aligned(row.gmacs_per_s, places.rate), class_="num more", data_v=f"{row.gmacs_per_s or 0:.6g}"),
        el("td", _roof(row), class_="num roof", data_v=f"{row.roofline_share or 0:.6g}"),
    ]
    return el("tr", cells)


def _name(row: LayerRow) -> Markup:
    others = [name for name in row.owners if name != row.layer]
    shown = ", ".join(_tail(name, row.layer) for name in others[:3]) + (" …" if len(others) > 3 else "")
    fused = el("span", f" + {shown}", class_="fused", title=", ".join(others)) if others else None
    facts = " · ".join(part for part in (row.caller or row.source, size_text(row.output)) if part)
    line = el("div", facts, class_="source", title=row.source if row.caller else None)
    return joined(el("span", row.layer, class_="path"), fused, line if facts else None)


def _tail(name: str, leader: str) -> str:
    """`relu` for `layer1.relu` beside `layer1.conv`."""
    block = leader.rpartition(".")[0]
    return name.removeprefix(f"{block}.") if block else name


def _bar(row: LayerRow, longest: float, kinds: Kinds) -> Markup:
    scale = 100 / longest if longest > 0 else 0.0
    bar = el("i", class_=f"fill {kinds.css(row.op)}", style=f"width:{row.time_ms * scale:.2f}%")
    if row.time_low_ms is None or row.time_high_ms is None:
        return el("div", bar, class_="track")
    left, right = min(99.0, row.time_low_ms * scale), min(100.0, row.time_high_ms * scale)
    span = el("i", class_="span", style=f"left:{left:.2f}%;width:{max(0.3, right - left):.2f}%")
    return el("div", bar, span, class_="track", title=f"{rounded(row.time_low_ms)} to {rounded(row.time_high_ms)} ms")


def _roof(row: LayerRow) -> Markup:
    if row.roofline_share is None:
        return Markup("–")
    return joined(percent(row.roofline_share, 0), el("span", f" {row.bound}", class_="bound") if row.bound else None)


def _class(head: str) -> str:
    if head in ("MMACs", "MB", "GMAC/s"):
        return "num more"
    return {"layer": "name", "op": "op", "time": "bars", "of roofline": "num roof"}.get(head, "num")


def _groups(name: str, groups: Sequence[Group], kinds: Kinds | None) -> Markup:
    longest = max((group.time_ms for group in groups), default=0.0) or 1.0
    places = decimals_for(longest)
    rows = []
    for group in groups[:_SHOWN_GROUPS]:
        css = kinds.css(group.name) if kinds else "k0"
        bar = el(
            "div", el("i", class_=f"fill {css}", style=f"width:{100 * group.time_ms / longest:.2f}%"), class_="track"
        )
        title = counted(group.rows, "layer")
        rows.append(
            el(
                "tr",
                el("td", group.name, class_="name", title=title),
                el("td", bar, class_="bars"),
                el("td", aligned(group.time_ms, places), class_="num"),
                el("td", percent(group.share, 0), class_="num"),
            )
        )
    left = groups[_SHOWN_GROUPS:]
    note = f"{len(left)} more: {rounded(sum(group.time_ms for group in left))} ms" if left else None
    table = el("table", el("tbody", rows), class_="groups")
    return el("div", el("h3", f"By {name}, ms"), table, el("p", note, class_="note") if note else None, class_="panel")


def _absent(table: LayerTable) -> Markup | None:
    if not table.absent:
        return None
    rows = [
        el("tr", el("td", one.layer, class_="path"), el("td", one.op), el("td", one.why), el("td", one.source))
        for one in table.absent
    ]
    text = f"{counted(len(table.absent), 'layer')} of the spec without time of their own"
    return el("details", el("summary", text), el("div", el("table", el("tbody", rows), class_="plain"), class_="wide"))


def _unclaimed(table: LayerTable) -> Markup | None:
    if not table.unclaimed:
        return None
    rows = [
        el(
            "tr",
            el("td", one.node, class_="name"),
            el("td", one.op),
            el("td", f"{rounded(one.time_ms)} ms", class_="num"),
        )
        for one in table.unclaimed
    ]
    text = f"{counted(len(table.unclaimed), 'node')} of no layer: {rounded(table.unclaimed_ms)} ms"
    return el("details", el("summary", text), el("div", el("table", el("tbody", rows), class_="plain"), class_="wide"))


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
