"""A spec file as written: its top-level keys read and typed, its steps parsed, nothing evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import Mark, Problem, Source, SpecError
from .declarations import KINDS, NAME, TYPES, Param, read_params
from .document import Map, Scalar, Seq, Tree
from .parsing import WORDS, check_name, parse_steps
from .steps import Step, describe, fail, is_null, near

__all__ = ["BLOCK_KEYS", "KINDS", "TOP_KEYS", "TYPES", "Block", "Param", "SpecFile", "parse_spec"]

TOP_KEYS = (
    "convc", "name", "doc", "params", "require", "variants", "symbols", "import", "defaults", "input", "blocks", "network",
    "outputs", "preprocess", "labels", "checkpoints",
)  # fmt: skip
BLOCK_KEYS = ("doc", "params", "require", "inputs", "outputs", "body")
LANGUAGE = 1
MAX_PROMISE = 2**20
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")


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
    require: tuple[tuple[Scalar, str], ...] = ()


@dataclass(frozen=True, eq=False)
class SpecFile:
    """One file. `network` is empty for a file of blocks."""

    source: Source
    mark: Mark
    name: str
    doc: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    require: tuple[tuple[Scalar, str], ...] = ()
    variants: Mapping[str, Map] = field(default_factory=dict)
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
    if not isinstance(tree, Map):
        fail(f"a spec is a mapping, this is {describe(tree)}", tree.mark, "begin with `convc: 1` and `name: ...`")
    problems: list[Problem] = []
    for key, _ in tree.entries:
        if key.text not in TOP_KEYS:
            hint = near(key.text, TOP_KEYS) or f"top-level keys: {', '.join(TOP_KEYS)}"
            problems.append(Problem(f"a spec has no key {key.text!r}", key.mark, hint))
    reader = _Reader(tree, problems)
    reader.version()
    return SpecFile(
        source=source,
        mark=tree.mark,
        name=reader.name(stem),
        doc=reader.text("doc"),
        params=read_params(tree.get("params"), problems),
        require=reader.reasons("require"),
        variants=reader.variants(),
        symbols=reader.symbols(),
        imports=reader.imports(),
        defaults=reader.maps("defaults"),
        input=reader.map("input"),
        blocks=reader.blocks(),
        network=parse_steps(tree.get("network"), "`network`", tree.mark, problems),
        network_mark=tree.key("network").mark if "network" in tree else None,
        outputs=reader.map("outputs"),
        preprocess=reader.map("preprocess"),
        labels=None if is_null(tree.get("labels")) else tree.get("labels"),
        checkpoints=reader.map("checkpoints"),
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Reader:
    tree: Map
    problems: list[Problem]

    def problem(self, message: str, mark: Mark, hint: str = "") -> None:
        self.problems.append(Problem(message, mark, hint))

    def version(self) -> None:
        tree = self.tree.get("convc")
        if tree is None:
            return
        if not isinstance(tree, Scalar) or tree.value != LANGUAGE or isinstance(tree.value, bool):
            hint = f"this convc reads language version {LANGUAGE}: `convc: {LANGUAGE}`"
            self.problem(f"`convc` is {describe(tree)}, expected the language version", tree.mark, hint)

    def name(self, stem: str) -> str:
        tree = self.tree.get("name")
        if tree is None or is_null(tree):
            return stem
        if isinstance(tree, Scalar) and not isinstance(tree.value, bool) and _FILE_NAME.fullmatch(tree.text):
            return tree.text
        hint = "a name has letters, digits, _ - and . (it becomes a folder's name)"
        shown = tree.text[:60] if isinstance(tree, Scalar) else describe(tree)
        self.problem(f"a network cannot be called {shown!r}", tree.mark, hint)
        return stem

    def text(self, key: str) -> str:
        tree = self.tree.get(key)
        if tree is None or is_null(tree):
            return ""
        if isinstance(tree, Scalar) and not isinstance(tree.value, bool):
            return tree.text
        self.problem(f"`{key}` is {describe(tree)}, expected text", tree.mark)
        return ""

    def map(self, key: str) -> Map | None:
        tree = self.tree.get(key)
        if tree is None or is_null(tree):
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
                found[name.text] = value
            elif is_null(value):
                found[name.text] = Map((), name.mark)
            else:
                self.problem(f"`{key}: {name.text}` is {describe(value)}, expected a mapping", value.mark)
        return found

    def variants(self) -> dict[str, Map]:
        tree = self.tree.get("variants")
        for key, _ in tree.entries if isinstance(tree, Map) else ():
            if not _FILE_NAME.fullmatch(key.text):
                hint = "a variant has letters, digits, _ - and . (it becomes a folder's name)"
                self.problem(f"a variant cannot be called {key.text[:60]!r}", key.mark, hint)
        return self.maps("variants")

    def symbols(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for name, body in self.maps("symbols").items():
            found[name] = {}
            for key, value in body.entries:
                number = value.value if isinstance(value, Scalar) else None
                if key.text not in ("multiple", "min"):
                    hint = near(key.text, ("multiple", "min")) or "it has: multiple, min"
                    self.problem(f"a symbol promises no {key.text!r}", key.mark, hint)
                elif not isinstance(number, int) or isinstance(number, bool) or not 0 < number < MAX_PROMISE:
                    self.problem(f"`{key.text}` is {describe(value)}, expected a whole number above 0", value.mark)
                else:
                    found[name][key.text] = number
        return found

    def imports(self) -> tuple[Scalar, ...]:
        tree = self.tree.get("import")
        if tree is None or is_null(tree):
            return ()
        items = tree.items if isinstance(tree, Seq) else (tree,)
        good = tuple(i for i in items if isinstance(i, Scalar) and isinstance(i.value, str) and i.value)
        for item in items:
            if item not in good:
                self.problem(f"an import is {describe(item)}, expected a path such as blocks/se.yaml", item.mark)
        return good

    def blocks(self) -> dict[str, Block]:
        found: dict[str, Block] = {}
        tree = self.map("blocks")
        for key, value in tree.entries if tree else ():
            try:
                found[key.text] = self.block(key, value)
            except SpecError as error:
                self.problems.extend(error.problems)
        return found

    def block(self, key: Scalar, tree: Tree) -> Block:
        name = key.text
        check_name(name, "a block", key.mark)
        if not NAME.fullmatch(name):
            fail(f"a block cannot be called {name!r}", key.mark, "letters, digits and _, not a digit first")
        if not isinstance(tree, Map):
            hint = "a block has `params:` and a `body:` of steps"
            fail(f"block {name!r} is {describe(tree)}, expected a mapping", tree.mark, hint)
        for other, _ in tree.entries:
            if other.text not in BLOCK_KEYS:
                hint = near(other.text, BLOCK_KEYS) or f"a block has: {', '.join(BLOCK_KEYS)}"
                self.problem(f"block {name!r} has no key {other.text!r}", other.mark, hint)
        if "body" not in tree:
            self.problem(f"block {name!r} has no `body:`", key.mark, "`body:` is its list of steps")
        inner = _Reader(tree, self.problems)
        params, inputs = read_params(tree.get("params"), self.problems), inner.names("inputs")
        for both in (name for name in inputs if name in params):
            self.problem(f"an input and a parameter of block {name!r} are both called {both!r}", params[both].mark)
        body = parse_steps(tree.get("body"), f"the body of {name!r}", key.mark, self.problems)
        return Block(
            name, key.mark, params, inputs, inner.names("outputs"), body, inner.text("doc"), inner.reasons("require")
        )

    def reasons(self, key: str) -> tuple[tuple[Scalar, str], ...]:
        """Conditions, each with what it is for."""
        tree = self.map(key)
        found = []
        for condition, reason in tree.entries if tree else ():
            if isinstance(reason, Scalar) and isinstance(reason.value, str):
                found.append((condition, reason.value))
            else:
                hint = "e.g. `out % 2 == 0: the halves are of equal width`"
                self.problem(f"`{key}` has a condition without a reason", condition.mark, hint)
        return tuple(found)

    def names(self, key: str) -> tuple[str, ...]:
        tree = self.tree.get(key)
        if tree is None or is_null(tree):
            return ()
        items = tree.items if isinstance(tree, Seq) else (tree,)
        names = [i.value for i in items if isinstance(i, Scalar) and isinstance(i.value, str)]
        if len(names) != len(items) or len(set(names)) != len(names) or not names:
            self.problem(f"`{key}` is no list of different names", tree.mark, f"e.g. `{key}: [high, low]`")
        for name in names:
            if key == "inputs" and (not NAME.fullmatch(name) or name in WORDS):
                self.problem(
                    f"an input cannot be called {name!r}", tree.mark, "letters, digits and _, no word of the language"
                )
        return tuple(names)
