"""HTML and SVG as values: an element is text that is known to be markup, anything else is escaped when it goes in.

el("text", "a < b", x=3, class_="muted")  ->  <text x="3" class="muted">a &lt; b</text>
"""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"br", "col", "meta", "hr"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | None | Iterable["Child"]


def el(tag: str, /, *children: Child, **attributes: object) -> Markup:
    """One element. `class_` is class, `stroke_width` is stroke-width; None and False leave an attribute out."""
    given = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{joined(*children)}</{tag}>")


def joined(*children: Child) -> Markup:
    """Children one after another; whatever is not markup is escaped."""
    return Markup("".join(_child(child) for child in children))


def number(value: float) -> str:
    """A coordinate: two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(child, quote=False)
    return "".join(_child(one) for one in child)


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    name = "viewBox" if name == "viewbox" else name
    if value is True:
        return f" {name}"
    text = number(value) if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(text)}"'
