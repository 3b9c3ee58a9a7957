"""STUB by the lead to integrate against; front1 replaces this file whole."""
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path
import yaml
from ..errors import Mark, Problem, Source, SpecError

@dataclass(frozen=True, slots=True)
class Scalar:
    value: int | float | bool | str | None
    mark: Mark
    quoted: bool
    text: str

@dataclass(frozen=True, slots=True)
class Seq:
    items: tuple["Tree", ...]
    mark: Mark

@dataclass(frozen=True, slots=True)
class Map:
    entries: tuple[tuple[Scalar, "Tree"], ...]
    mark: Mark

Tree = Scalar | Seq | Map

def parse(text: str | bytes, name: str, label: str = "") -> Tree:
    if isinstance(text, bytes):
        text = text.decode()
    src = Source(name, tuple(text.splitlines()), label)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
    except yaml.YAMLError as e:
        raise SpecError(Problem(str(e), Mark(src, 1, 1)))
    def conv(n):
        m = Mark(src, n.start_mark.line + 1, n.start_mark.column + 1, max(1, n.end_mark.column - n.start_mark.column))
        if isinstance(n, yaml.ScalarNode):
            v = loader.construct_object(n) if n.style is None else n.value
            if isinstance(v, str) and n.style is None:
                try: v = float(v)
                except ValueError: pass
            return Scalar(v, m, n.style is not None, n.value)
        if isinstance(n, yaml.SequenceNode):
            return Seq(tuple(conv(i) for i in n.value), m)
        return Map(tuple((conv(k), conv(v)) for k, v in n.value), m)
    return conv(node)

def read(path: Path, name: str | None = None, label: str = "") -> Tree:
    return parse(path.read_text(), name or str(path), label)

def plain(t: Tree) -> object:
    if isinstance(t, Scalar): return t.value
    if isinstance(t, Seq): return [plain(i) for i in t.items]
    return {k.value: plain(v) for k, v in t.entries}
