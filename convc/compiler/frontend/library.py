"""Spec files and what their names mean: local blocks, imported ones, the standard library, operators, imported networks.

An import is looked for beside the file that asks, then in the library; it may not leave the folder tree of the spec that is
built (or `root`), and files may not import each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ... import zoo
from ..errors import Problem, SpecError, UsageError
from ..ir import REGISTRY
from . import document
from .document import Scalar
from .spec import Block, SpecFile, parse_spec
from .steps import COMBINATORS, fail, near

LIBRARY_PREFIX = "convc:"
MAX_FILES = 64
# Heads that are wiring, and no class of their own.
WIRING = ("act", "split")


@dataclass(eq=False)
class File:
    """A loaded file, the files it imports, and where its names lead."""

    spec: SpecFile
    path: Path
    loader: Loader
    imports: tuple[File, ...] = ()

    @cached_property
    def _imported(self) -> Mapping[str, tuple[Block, File]]:
        found: dict[str, tuple[Block, File]] = {}
        for file in self.imports:
            for name, block in file.spec.blocks.items():
                found.setdefault(name, (block, file))
        return found

    @cached_property
    def _clashing(self) -> Mapping[str, tuple[File, ...]]:
        """Block names that several imported files have: calling one would be a guess."""
        files: dict[str, list[File]] = {}
        for file in dict.fromkeys(self.imports):
            for name in file.spec.blocks:
                files.setdefault(name, []).append(file)
        return {name: tuple(homes) for name, homes in files.items() if len(homes) > 1 and name not in self.spec.blocks}

    @cached_property
    def networks(self) -> Mapping[str, File]:
        """Networks of imported files, by their names."""
        return {file.spec.name: file for file in reversed(self.imports) if file.spec.network}

    def block(self, name: str) -> tuple[Block, File] | None:
        """The block called `name`: local over imported over library. None for an operator or a stranger."""
        if name in self.spec.blocks:
            return self.spec.blocks[name], self
        if name in self._clashing:
            return None
        return self._imported.get(name) or self.loader.library_block(name)

    def block_names(self) -> list[str]:
        """Every block and network that a step of this file may name."""
        return [*self.spec.blocks, *self._imported, *self.networks, *self.loader.library_index]

    def knows(self, name: str) -> bool:
        """Whether a step of this file may name it."""
        return name in REGISTRY or name in WIRING or name in self.networks or self.block(name) is not None

    def stranger(self, name: str) -> tuple[str, str]:
        """What to say of a head that leads nowhere: message and hint."""
        if name in self._clashing:
            places = " and ".join(file.spec.source.name for file in self._clashing[name])
            return f"block {name!r} is in {places}", "import one of them, or write the block here"
        names = (*REGISTRY, *self.block_names(), *WIRING, *COMBINATORS)
        hint = near(name, names) or "`convc list ops` and `convc list blocks` show what there is"
        return f"there is no operator, block or combinator called {name!r}", hint

    def reachable(self) -> Iterator[File]:
        """This file and every one that it imports, directly or not, each once."""
        seen: dict[File, None] = {self: None}
        waiting = [self]
        for file in waiting:
            waiting.extend(inner for inner in dict.fromkeys(file.imports) if inner not in seen)
            seen.update(dict.fromkeys(file.imports))
        return iter(seen)

    def shadowed(self) -> list[str]:
        """`block 'se' of my.yaml hides that of the library`: what -v says."""
        lines = []
        for name in dict.fromkeys((*self.spec.blocks, *self._imported)):
            local = name in self.spec.blocks
            hidden = [self._imported[name][1].spec.source.name] if local and name in self._imported else []
            hidden += ["the library"] if name in self.loader.library_index and not self._is_librarys(name) else []
            if hidden:
                owner = self if local else self._imported[name][1]
                lines.append(f"block {name!r} of {owner.spec.source.name} hides that of {' and '.join(hidden)}")
        return lines

    def _is_librarys(self, name: str) -> bool:
        """Whether the name leads to the library's own file, imported or built as it stands."""
        owner = self if name in self.spec.blocks else self._imported[name][1]
        return owner.path == self.loader.library_index[name].resolve()


@dataclass
class Loader:
    """Loads each file once. `root` bounds what may be imported."""

    root: Path
    files: dict[Path, File] = field(default_factory=dict)
    _loading: list[Path] = field(default_factory=list)
    _library_blocks: dict[str, tuple[Block, File]] = field(default_factory=dict)

    def load(self, path: Path, display: str | None = None) -> File:
        """The file at `path` with everything it imports; raises SpecError."""
        resolved = _resolved(path)
        if resolved in self.files:
            return self.files[resolved]
        tree = document.read(path, display or str(path), self._label(resolved))
        file = File(_checked(parse_spec(tree, tree.mark.source, path.stem)), resolved, self)
        self._loading.append(resolved)
        try:
            file.imports = tuple(self._import(file, wanted) for wanted in file.spec.imports)
        finally:
            self._loading.pop()
        self.files[resolved] = file
        return file

    @cached_property
    def library_index(self) -> Mapping[str, Path]:
        """Blocks of the standard library by name."""
        return zoo.blocks()

    def library_block(self, name: str) -> tuple[Block, File] | None:
        """A block of the standard library with its file, or None; its file is read when it is first asked for."""
        path = self.library_index.get(name)
        if path is None:
            return None
        if name not in self._library_blocks:
            file = self.load(path, self._label(path.resolve()))
            self._library_blocks[name] = (file.spec.blocks[name], file)
        return self._library_blocks[name]

    def _label(self, path: Path) -> str:
        """A name without this machine's folders: relative to the spec's folder, or `convc:...` for the library."""
        if path.is_relative_to(_library()):
            return LIBRARY_PREFIX + path.relative_to(_library()).as_posix()
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def _import(self, file: File, wanted: Scalar) -> File:
        text = str(wanted.value)
        if "\0" in text or Path(text).is_absolute():
            fail(f"the import {text[:200]!r} is no relative path", wanted.mark, "write a path relative to this file")
        if len(self.files) + len(self._loading) >= MAX_FILES:
            fail(
                f"more than {MAX_FILES} files are imported",
                wanted.mark,
                "blocks that are used together go into one file",
            )
        for base in (file.path.parent, _library()):
            target = self._target(base / text, wanted)
            allowed = target.is_relative_to(self.root) or target.is_relative_to(_library())
            if not allowed and base != _library():
                hint = "imports stay in the folder tree of the spec that is built; --root DIR widens it"
                fail(f"the import {text!r} leaves the folder of the spec", wanted.mark, hint)
            if allowed and target.is_file():
                self._no_circle(target, wanted)
                return self._located(target, wanted)
        fail(
            f"the import {text!r} is not there",
            wanted.mark,
            f"looked beside {file.spec.source.name} and in the library",
        )

    def _target(self, path: Path, wanted: Scalar) -> Path:
        try:
            target = path.resolve()
            target.is_file()
        except (OSError, RuntimeError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no path"
            fail(f"the import {str(wanted.value)[:200]!r} cannot be followed: {reason.lower()}", wanted.mark)
        return target

    def _located(self, target: Path, wanted: Scalar) -> File:
        base = Path(wanted.mark.source.name).parent / str(wanted.value)
        label = self._label(target)
        return self.load(target, label if label.startswith(LIBRARY_PREFIX) else str(base))

    def _no_circle(self, target: Path, wanted: Scalar) -> None:
        if target not in self._loading:
            return
        circle = [p.name for p in self._loading[self._loading.index(target) :]]
        hint = "blocks that need each other stand in one file" if len(circle) > 1 else "a file need not import itself"
        fail(f"files import each other in a circle: {' -> '.join([*circle, target.name])}", wanted.mark, hint)


def open_spec(wanted: str | Path, root: Path | None = None) -> tuple[File, str | None]:
    """The file and the variant that `resnet50`, `file.yaml` or `file.yaml@variant` names. Raises UsageError or SpecError."""
    text = str(wanted)
    name, _, variant = text.rpartition("@") if "@" in text else (text, "", "")
    if "\0" in text or not name:
        raise UsageError(f"{text!r} names no spec")
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or _exists(path):
        folder = _resolved(root or path.parent)
        return Loader(folder).load(path), variant or None
    shipped = zoo.find(name)
    file = Loader(shipped.parent.resolve()).load(shipped, LIBRARY_PREFIX + shipped.name)
    return file, variant or (name if name in file.spec.variants else None)


def _checked(spec: SpecFile) -> SpecFile:
    """A block that bears an operator's name could never be told from it."""
    from ..ops import OPS  # registers the operators

    problems: list[Problem] = []
    for name, block in spec.blocks.items():
        kind = "a combinator" if name in COMBINATORS else "an operator" if name in OPS or name in WIRING else ""
        if kind:
            problems.append(Problem(f"a block cannot be called {name!r}: that is {kind}", block.mark))
    return replace(spec, problems=(*spec.problems, *problems))


def _library() -> Path:
    return zoo.specs_root().resolve()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise SpecError(Problem(f"cannot read {str(path)[:200]}: it leads nowhere")) from error
