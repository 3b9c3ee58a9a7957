"""The networks and blocks that ship with convc: where they are, and which file holds which variant.

`convc build resnet50` must find its file among tens without parsing them, so the variants are read by
a line scan of each file's `variants:` section. That section is ours and is written in one form:

    variants:
      resnet18: {}                    two spaces, a name, a colon
      resnet34: {depths: [3, 4, 6, 3]}

A spec without the section has one variant, which bears its `name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from .compiler.errors import UsageError, ZooError

_TOP_LEVEL = re.compile(r"[^\s#]")
_NAME = re.compile(r"name:\s*(?P<name>[\w.-]+)")
_VARIANT = re.compile(r"  (?P<name>[\w.-]+):")


@cache
def specs_root() -> Path:
    """The folder of the shipped specs: inside the package in a wheel, beside it in a checkout.

    ZooError: it is in neither place.
    """
    package = Path(__file__).parent
    for folder in (package / "specs", package.parent / "specs"):
        if folder.is_dir():
            return folder
    raise ZooError(f"{package} has no specs", hint="install convc anew")


def spec_files(root: Path | None = None) -> tuple[Path, ...]:
    """The shipped networks, a file each, in order of their names."""
    return tuple(sorted((root or specs_root()).glob("*.yaml")))


def block_files(root: Path | None = None) -> tuple[Path, ...]:
    """The files of the block library, in order of their names."""
    return tuple(sorted((root or specs_root()).glob("blocks/*.yaml")))


def variants(root: Path | None = None) -> Mapping[str, Path]:
    """Every shipped variant and its file: by file name, and in a file as written.

    ZooError: a name stands twice, or a file has neither variants nor a name.
    """
    return _variants(root or specs_root())


def find(name: str, root: Path | None = None) -> Path:
    """The file of a shipped variant.  UsageError: there is none of this name; names that are near it."""
    known = variants(root)
    if name in known:
        return known[name]
    raise UsageError(f"no network called '{name}' ships with convc", hint=_advice(name, known))


def blocks(root: Path | None = None) -> Mapping[str, Path]:
    """Every block of the library and its file, read as the variants are.

    ZooError: a name stands twice.
    """
    return _blocks(root or specs_root())


@cache
def _blocks(root: Path) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for file in block_files(root):
        for name in _section(file.read_text(encoding="utf-8").splitlines(), "blocks:"):
            if name in found:
                raise ZooError(f"the block '{name}' stands in {found[name].name} and in {file.name}")
            found[name] = file
    return MappingProxyType(found)


@cache
def _variants(root: Path) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for file in spec_files(root):
        for name in _names(file):
            if name in found:
                raise ZooError(f"the variant '{name}' stands in {found[name].name} and in {file.name}")
            found[name] = file
    return MappingProxyType(found)


def _names(file: Path) -> tuple[str, ...]:
    lines = file.read_text(encoding="utf-8").splitlines()
    if names := tuple(_section(lines, "variants:")):
        return names
    for line in lines:
        if match := _NAME.match(line):
            return (match["name"],)
    raise ZooError(f"{file.name} has neither variants nor a name")


def _section(lines: list[str], head: str) -> Iterator[str]:
    inside = False
    for line in lines:
        if _TOP_LEVEL.match(line):
            inside = line.startswith(head)
        elif inside and (match := _VARIANT.match(line)):
            yield match["name"]


def _advice(name: str, known: Mapping[str, Path]) -> str:
    # Only on the way to an error: difflib costs a few milliseconds of every start.
    from difflib import get_close_matches

    family = [variant for variant, file in known.items() if file.stem == name]
    near = family or get_close_matches(name, known, n=5, cutoff=0.6)
    if near:
        return f"did you mean {_or(near)}?  `convc list specs` names them all"
    return "`convc list specs` names what ships; a file of your own is written with its ending: my_net.yaml"


def _or(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
