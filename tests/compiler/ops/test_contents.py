"""The table of contents, the documentation of every operator, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from convc.compiler import ops
from convc.compiler.ops import OPS

FILES = {path.stem for path in Path(ops.__file__).parent.glob("*.py")} - {"__init__"}


def test_the_contents_list_every_file() -> None:
    listed = set(ops.__all__) - {"OPS"}
    assert listed == FILES, f"add to convc/compiler/ops/__init__.py: {sorted(FILES - listed)}"


@pytest.mark.parametrize("name", sorted(OPS))
def test_operators_are_documented(name: str) -> None:
    op = OPS[name]
    assert op.__doc__ is not None
    assert "->" in op.__doc__
    assert op.group
    for field in op.fields().values():
        assert field.doc, field.name
        assert bool(field.choices) == (field.kind == "word"), field.name
    assert op.principal is None or op.principal in op.fields()


def test_importing_the_operators_imports_no_backend() -> None:
    code = (
        "import convc.compiler.ops, sys; print(sorted({'torch', 'onnx', 'onnx_ir', 'onnxruntime'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == "[]"
