"""`convc new`: a spec of one's own to start from; and the JSON Schema that editors check it with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .. import zoo
from ..compiler.artifacts import write_all
from ..compiler.errors import OutputError, UsageError

SCHEMA_FILE = "convc.schema.json"


def schema() -> dict[str, Any]:
    """JSON Schema of the language, with the library's blocks."""
    from ..compiler.frontend.library import Loader
    from ..compiler.frontend.schema import language_schema

    loader = Loader(zoo.specs_root())
    found = {name: block for name in zoo.blocks() if (block := loader.library_block(name)) is not None}
    return language_schema({name: block for name, (block, _) in found.items()})


def new_spec(name: str, source: str, output: Path | None = None) -> str:
    """Write NAME.yaml from a shipped spec, with the schema beside it. Nothing that exists is replaced."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}", name):
        raise UsageError(f"a network cannot be called {name!r}", hint="letters, digits, _ - and .")
    shipped = zoo.find(source)
    target = output or Path(f"{name}.yaml")
    if target.exists():
        raise OutputError(f"{target} is already there", hint="choose another name, or remove it")
    text = _renamed(shipped.read_text(encoding="utf-8"), name, source)
    files = [(target.name, lambda sink: sink.write(text.encode()))]
    if not (target.parent / SCHEMA_FILE).exists():
        body = json.dumps(schema(), indent=1, ensure_ascii=False).encode()
        files.append((SCHEMA_FILE, lambda sink: sink.write(body)))
    write_all(target.parent, files)
    variant = f"@{source}" if _has_variants(text) else ""
    return (
        f"wrote {target}: check it with `convc check {target}{variant}`, build it with `convc build {target}{variant}`"
    )


def _renamed(text: str, name: str, source: str) -> str:
    head = f"# yaml-language-server: $schema={SCHEMA_FILE}\n# From convc's {source}.\n"
    return head + re.sub(r"(?m)^name:.*$", f"name: {name}", text, count=1)


def _has_variants(text: str) -> bool:
    return re.search(r"(?m)^variants:", text) is not None
