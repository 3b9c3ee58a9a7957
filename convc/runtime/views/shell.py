"""The frame of a page: one file, style and script inside, no address outside."""

from __future__ import annotations

from .markup import Child, Markup, el, joined
from .theme import SCRIPT, STYLE

# A browser that opens the page may fetch nothing, whatever a name inside it says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(title: str, lead: Child, body: Child, foot: str) -> str:
    """The whole document."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        Markup(f"<style>{STYLE}</style>"),
    )
    top = el("header", el("h1", title), lead)
    main = el("main", top, body, el("footer", foot))
    return f"<!doctype html>\n{el('html', head, el('body', main, Markup(f'<script>{SCRIPT}</script>')), lang='en')}\n"


def section(name: str, title: str, *content: Child) -> Markup:
    """A section with a head; `name` is its id."""
    return el("section", el("h2", title), *content, id=name)


def facts(*given: tuple[str, str, str, str]) -> Markup:
    """Large figures: (name, value, unit, line below)."""
    found = []
    for name, value, unit, below in given:
        dd = el("dd", value, [" ", el("small", unit)] if unit else None)
        found.append(el("div", el("dt", name), dd, el("span", below, class_="sub") if below else None))
    return el("dl", found, class_="facts")


def warnings(lines: tuple[str, ...]) -> Markup | None:
    """What a reader must know before believing the figures."""
    return el("ul", [el("li", line) for line in lines], class_="warnings") if lines else None


def rows(head: tuple[str, ...], body: list[tuple[Child, ...]], css: str) -> Markup:
    """A plain table: the first column text, the others numbers."""
    top = el("tr", [el("th", name, class_="num" if k else None) for k, name in enumerate(head)])
    lines = [el("tr", [el("td", cell, class_="num" if k else None) for k, cell in enumerate(row)]) for row in body]
    return el("div", el("table", el("thead", top), el("tbody", lines), class_=css), class_="wide")


def lines(*given: Child) -> Markup:
    """Paragraphs of what is there."""
    return joined([el("p", one) for one in given if one])
