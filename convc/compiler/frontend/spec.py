"""A spec file as written: its top-level keys read and typed, its steps parsed, nothing evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Mark, Problem, Source, SpecError
from .document import Map, Scalar, Seq, Tree, plain
from .steps import Step, describe, fail, near, parse_steps

TOP_KEYS = (
    "convc", "name", "doc", "params", "variants", "symbols", "import", "defaults", "input", "blocks", "network",
    "outputs", "preprocess", "labels", "checkpoints",
)  # fmt: skip
BLOCK_KEYS = ("doc", "params", "inputs", "outputs", "body")
LANGUAGE = 1
TYPES = ("int", "number", "bool", "text", "list", "padding", "any")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DECLARED = re.compile(rf"({'|'.join(TYPES)})\s*(?:=\s*(.+))?", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Param:
    """A declared parameter: its type, and its default as an expression (`mid: int = x.channels // 4`) or a plain value."""

    name: str
    type: str
    mark: Mark
    expression: Scalar | None = None
    default: Any = None
    required: bool = False
    doc: str = ""


@dataclass(frozen=True, eq=False)
class Block:
    """A named piece of wiring with parameters."""

    name: str
    mark: Mark
    params: Mapping[str, Param]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: tuple[Step, ...]
    doc: str = ""


@dataclass(frozen=True, eq=False)
class SpecFile:
    """One file. `network` is empty for a file of blocks."""

    source: Source
    mark: Mark
    name: str
    doc: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    variants: Mapping[str, Map] = field(default_factory=dict)
    variant_marks: Mapping[str, Mark] = field(default_factory=dict)
    symbols: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    imports: tuple[Scalar, ...] = ()
    defaults: Mapping[str, Map] = field(default_factory=dict)
    input: Map | None = None
    blocks: Mapping[str, Block] = field(default_factory=dict)
    network: tuple[Step, ...] = ()
    network_mark: Mark | None = None
    outputs: Map | None = None
    preprocess: Map | None = None
    labels: Tree | None = None
    checkpoints: Map | None = None
    problems: tuple[Problem, ...] = ()


def parse_spec(tree: Tree, source: Source, stem: str) -> SpecFile:
    """The file's value. Raises SpecError where it is no spec at all; lesser errors are kept in `problems`."""
    problems: list[Problem] = []
    if not isinstance(tree, Map):
        fail(f"a spec is a mapping, this is {describe(tree)}", tree.mark, "begin with `convc: 1` and `name: ...`")
    top = {str(key.value): (key, value) for key, value in tree.entries}
    for name, (key, _) in top.items():
        if name not in TOP_KEYS:
            hint = near(name, TOP_KEYS) or f"top-level keys: {', '.join(TOP_KEYS)}"
            problems.append(Problem(f"a spec has no key {name!r}", key.mark, hint))
    values = {name: value for name, (_, value) in top.items()}
    reader = _Reader(values, problems)
    reader.version()
    return SpecFile(
        source=source,
        mark=tree.mark,
        name=reader.text("name", stem),
        doc=reader.text("doc", ""),
        params=reader.params(values.get("params"), problems),
        variants=reader.maps("variants"),
        variant_marks=reader.marks("variants"),
        symbols=reader.symbols(),
        imports=reader.imports(),
        defaults=reader.maps("defaults"),
        input=reader.map("input"),
        blocks=reader.blocks(),
        network=parse_steps(values.get("network"), "`network`", tree.mark, problems),
        network_mark=top["network"][0].mark if "network" in top else None,
        outputs=reader.map("outputs"),
        preprocess=reader.map("preprocess"),
        labels=values.get("labels"),
        checkpoints=reader.map("checkpoints"),
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Reader:
    values: Mapping[str, Tree]
    problems: list[Problem]

    def problem(self, message: str, mark: Mark, hint: str = "") -> None:
        self.problems.append(Problem(message, mark, hint))

    def version(self) -> None:
        tree = self.values.get("convc")
        if tree is None:
            return
        if not isinstance(tree, Scalar) or tree.value != LANGUAGE or isinstance(tree.value, bool):
            hint = f"this convc reads language version {LANGUAGE}: `convc: {LANGUAGE}`"
            self.problem(f"`convc` is {describe(tree)}, expected the language version", tree.mark, hint)

    def text(self, key: str, default: str) -> str:
        tree = self.values.get(key)
        if tree is None:
            return default
        if isinstance(tree, Scalar) and isinstance(tree.value, (str, int, float)) and not isinstance(tree.value, bool):
            text = tree.value if isinstance(tree.value, str) else tree.text
            if key != "name" or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}", text):
                return text
            hint = "a name has letters, digits, _ - and . (it becomes a folder's name)"
            self.problem(f"a network cannot be called {text!r}", tree.mark, hint)
            return default
        self.problem(f"`{key}` is {describe(tree)}, expected text", tree.mark)
        return default

    def map(self, key: str) -> Map | None:
        tree = self.values.get(key)
        if tree is None or (isinstance(tree, Scalar) and tree.value is None):
            return None
        if isinstance(tree, Map):
            return tree
        self.problem(f"`{key}` is {describe(tree)}, expected a mapping", tree.mark)
        return None

    def maps(self, key: str) -> dict[str, Map]:
        found: dict[str, Map] = {}
        tree = self.map(key)
        for name, value in tree.entries if tree else ():
            if isinstance(value, Map):
                found[str(name.value)] = value
            elif isinstance(value, Scalar) and value.value is None:
                found[str(name.value)] = Map((), name.mark)
            else:
                self.problem(f"`{key}: {name.value}` is {describe(value)}, expected a mapping", value.mark)
        return found

    def marks(self, key: str) -> dict[str, Mark]:
        tree = self.map(key)
        return {str(name.value): name.mark for name, _ in (tree.entries if tree else ())}

    def params(self, tree: Tree | None, problems: list[Problem]) -> dict[str, Param]:
        found: dict[str, Param] = {}
        if tree is None or (isinstance(tree, Scalar) and tree.value is None):
            return found
        if not isinstance(tree, Map):
            self.problem(f"`params` is {describe(tree)}, expected a mapping of names to types or defaults", tree.mark)
            return found
        for key, value in tree.entries:
            name = str(key.value)
            if not _NAME.fullmatch(name) or name in ("x", "true", "false", "null", "and", "or", "not", "if", "else", "in"):
                self.problem(f"a parameter cannot be called {name!r}", key.mark)
                continue
            try:
                found[name] = _param(name, key.mark, value)
            except SpecError as error:
                problems.extend(error.problems)
        return found

    def symbols(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for name, body in self.maps("symbols").items():
            promise: dict[str, int] = {}
            for key, value in body.entries:
                if key.value not in ("multiple", "min"):
                    self.problem(f"a symbol promises no {key.value!r}", key.mark, "it has: multiple, min")
                elif not isinstance(value, Scalar) or not isinstance(value.value, int) or not 0 < value.value < 2**20:
                    self.problem(f"`{key.value}` is {describe(value)}, expected a whole number above 0", value.mark)
                else:
                    promise[str(key.value)] = value.value
            found[name] = promise
        return found

    def imports(self) -> tuple[Scalar, ...]:
        tree = self.values.get("import")
        items = tree.items if isinstance(tree, Seq) else () if tree is None else (tree,)
        good = tuple(i for i in items if isinstance(i, Scalar) and isinstance(i.value, str))
        for item in items:
            if item not in good:
                self.problem(f"an import is {describe(item)}, expected a path such as blocks/se.yaml", item.mark)
        return good

    def blocks(self) -> dict[str, Block]:
        found: dict[str, Block] = {}
        tree = self.map("blocks")
        for key, value in tree.entries if tree else ():
            name = str(key.value)
            if not _NAME.fullmatch(name):
                self.problem(f"a block cannot be called {name!r}", key.mark, "letters, digits and _")
            elif not isinstance(value, Map):
                hint = "a block has `params:` and a `body:` of steps"
                self.problem(f"block {name!r} is {describe(value)}, expected a mapping", value.mark, hint)
            else:
                found[name] = self.block(name, key.mark, value)
        return found

    def block(self, name: str, mark: Mark, tree: Map) -> Block:
        values = {str(key.value): value for key, value in tree.entries}
        for key, _ in tree.entries:
            if key.value not in BLOCK_KEYS:
                hint = near(str(key.value), BLOCK_KEYS) or f"a block has: {', '.join(BLOCK_KEYS)}"
                self.problem(f"block {name!r} has no key {key.value!r}", key.mark, hint)
        if "body" not in values:
            self.problem(f"block {name!r} has no `body:`", mark, "`body:` is its list of steps")
        inner = _Reader(values, self.problems)
        return Block(
            name,
            mark,
            inner.params(values.get("params"), self.problems),
            inner.names("inputs"),
            inner.names("outputs"),
            parse_steps(values.get("body"), f"the body of {name!r}", mark, self.problems),
            inner.text("doc", ""),
        )

    def names(self, key: str) -> tuple[str, ...]:
        tree = self.values.get(key)
        if tree is None:
            return ()
        items = tree.items if isinstance(tree, Seq) else (tree,)
        names = tuple(i.value for i in items if isinstance(i, Scalar) and isinstance(i.value, str))
        if len(names) != len(items) or len(set(names)) != len(names):
            self.problem(f"`{key}` lists different names", tree.mark)
        return names


def _param(name: str, mark: Mark, tree: Tree) -> Param:
    if isinstance(tree, Map):
        # A parameter with its own documentation: {type: "int = 4", doc: "..."}.
        fields = {str(k.value): v for k, v in tree.entries}
        if fields.keys() <= {"type", "doc", "default"} and ("type" in fields or "default" in fields):
            inner = _param(name, mark, fields.get("type", fields.get("default", tree)))
            doc = fields.get("doc")
            text = doc.value if isinstance(doc, Scalar) and isinstance(doc.value, str) else ""
            return Param(name, inner.type, mark, inner.expression, inner.default, inner.required, text)
        fail(f"parameter {name!r} is a mapping", tree.mark, "declare a type (`out: int`) or a default (`stride: 1`)")
    if isinstance(tree, Seq):
        return Param(name, "list", mark, default=plain(tree))
    if isinstance(tree.value, str) and not tree.quoted and (declared := _DECLARED.fullmatch(tree.value.strip())):
        kind, text = declared.groups()
        if text is None:
            return Param(name, kind, mark, required=True)
        # The expression keeps its own place: errors in it point into the line.
        column = tree.mark.column + tree.value.index(text, declared.start(2))
        at = Mark(tree.mark.source, tree.mark.line, column, len(text))
        return Param(name, kind, mark, expression=Scalar(text, at, False, text))
    value = tree.value
    kind = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "number"
    if isinstance(value, str):
        kind = "text"
    if value is None:
        kind = "any"
    return Param(name, kind, mark, default=value)
