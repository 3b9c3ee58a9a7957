"""Spec files and what their names mean: local blocks, imported ones, imported networks, the standard library, operators.

An import is looked for beside the file that asks, then in the library; it may not leave the folder tree of the spec that is
built (or `root`), and files may not import each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ... import zoo
from ..errors import Mark, Problem, SpecError, UsageError
from . import document
from .document import Scalar
from .spec import Block, SpecFile, parse_spec
from .steps import fail

LIBRARY_PREFIX = "convc:"


@dataclass(eq=False)
class File:
    """A loaded file, the files it imports by path, and where its names lead."""

    spec: SpecFile
    path: Path
    loader: Loader
    imports: tuple[File, ...] = ()

    @cached_property
    def _imported(self) -> Mapping[str, tuple[Block, File]]:
        return {name: (block, file) for file in self.imports for name, block in file.spec.blocks.items()}

    @cached_property
    def networks(self) -> Mapping[str, File]:
        """Networks of imported files, by their names."""
        return {file.spec.name: file for file in self.imports if file.spec.network}

    def block(self, name: str) -> tuple[Block, File] | None:
        """The block called `name`: local over imported over library. None for an operator or a stranger."""
        if name in self.spec.blocks:
            return self.spec.blocks[name], self
        return self._imported.get(name) or self.loader.library_block(name)

    def block_names(self) -> list[str]:
        """Every block and network that a step of this file may name."""
        return [*self.spec.blocks, *self._imported, *self.networks, *self.loader.library_index]

    def shadowed(self) -> list[str]:
        """`block 'se' of my.yaml hides the library's`: what -v says."""
        lines = []
        for name in dict.fromkeys((*self.spec.blocks, *self._imported)):
            hidden = [where for where, there in (("an imported file", self._imported), ("the library", self.loader.library_index))
                      if name in there and not (name in self._imported and where == "an imported file"
                                                and name not in self.spec.blocks)]  # fmt: skip
            if hidden:
                lines.append(f"block {name!r} of {self.spec.source.name} hides that of {' and '.join(hidden)}")
        return lines


@dataclass
class Loader:
    """Loads each file once. `root` bounds what may be imported."""

    root: Path
    files: dict[Path, File] = field(default_factory=dict)
    _loading: list[Path] = field(default_factory=list)

    def load(self, path: Path, display: str | None = None) -> File:
        """The file at `path` with everything it imports; raises SpecError."""
        resolved = path.resolve()
        if resolved in self.files:
            return self.files[resolved]
        tree = document.read(path, display or str(path), self._label(resolved))
        file = File(parse_spec(tree, tree.mark.source, path.stem), resolved, self)
        self._check(file)
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
        path = self.library_index.get(name)
        if path is None:
            return None
        file = self.load(path, self._label(path.resolve()))
        return file.spec.blocks[name], file

    def _label(self, path: Path) -> str:
        """A name without this machine's folders: relative to the spec's folder, or `convc:...` for the library."""
        library = zoo.specs_root().resolve()
        if path.is_relative_to(library):
            return LIBRARY_PREFIX + path.relative_to(library).as_posix()
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def _import(self, file: File, wanted: Scalar) -> File:
        text = str(wanted.value)
        if "\0" in text or Path(text).is_absolute():
            fail(f"the import {text!r} is no relative path", wanted.mark, "write a path relative to this file")
        library = zoo.specs_root().resolve()
        for base in (file.path.parent, library):
            target = (base / text).resolve()
            allowed = target.is_relative_to(self.root) or target.is_relative_to(library)
            if not allowed and base != library:
                hint = "imports stay in the folder tree of the spec that is built; --root DIR widens it"
                fail(f"the import {text!r} leaves the folder of the spec", wanted.mark, hint)
            if allowed and target.is_file():
                self._no_circle(target, wanted)
                return self._located(target, wanted)
        fail(f"the import {text!r} is not there", wanted.mark, f"looked beside {file.spec.source.name} and in the library")

    def _located(self, target: Path, wanted: Scalar) -> File:
        base = Path(wanted.mark.source.name).parent / str(wanted.value)
        label = self._label(target)
        return self.load(target, label if label.startswith(LIBRARY_PREFIX) else str(base))

    def _no_circle(self, target: Path, wanted: Scalar) -> None:
        if target not in self._loading:
            return
        circle = [p.name for p in self._loading[self._loading.index(target) :]]
        fail(f"files import each other in a circle: {' -> '.join([*circle, target.name])}", wanted.mark)

    def _check(self, file: File) -> None:
        from ..ops import OPS
        from .steps import COMBINATORS

        for name, block in file.spec.blocks.items():
            if name in OPS or name in COMBINATORS or name in ("act", "split"):
                kind = "a combinator" if name in COMBINATORS else "an operator"
                problem = Problem(f"a block cannot be called {name!r}: that is {kind}", block.mark)
                file.spec = _with_problem(file.spec, problem)


def open_spec(wanted: str | Path, root: Path | None = None) -> tuple[File, str | None]:
    """The file and the variant that `resnet50`, `file.yaml` or `file.yaml@variant` names. Raises UsageError or SpecError."""
    text = str(wanted)
    name, _, variant = text.rpartition("@") if "@" in text else (text, "", "")
    path = Path(name)
    if "\0" in text or not name:
        raise UsageError(f"{text!r} names no spec")
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or path.exists():
        folder = (root or path.parent).resolve()
        return Loader(folder).load(path), variant or None
    shipped = zoo.find(name)
    file = Loader(shipped.parent.resolve()).load(shipped, LIBRARY_PREFIX + shipped.name)
    return file, variant or (name if name in file.spec.variants else None)


def place(mark: Mark | None) -> str:
    return str(mark) if mark else ""


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise what was found, if anything."""
    if found := tuple(problems):
        raise SpecError(found)


def _with_problem(spec: SpecFile, problem: Problem) -> SpecFile:
    from dataclasses import replace

    return replace(spec, problems=(*spec.problems, problem))
