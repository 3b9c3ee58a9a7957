"""The kit's `run.py`: the runner and the two files that it takes its functions from, as one file that imports none of them.

Each file is its docstring, its imports, then everything else. The parts of one file are the docstring of runner.py, the imports
of all that are not of each other, and the rest of each in order.
"""

from __future__ import annotations

import ast
from pathlib import Path

_PARTS = ("figures.py", "board.py", "runner.py")
_IMPORTS = (ast.Import, ast.ImportFrom)


def assembled() -> str:
    """The text of `run.py`; the same for the same convc."""
    folder = Path(__file__).parent
    texts = [(folder / name).read_text(encoding="utf-8") for name in _PARTS]
    imports = sorted({line for text in texts for line in _imports(text)})
    head = ast.get_docstring(ast.parse(texts[-1]), clean=False)
    bodies = [_body(text).strip("\n") for text in texts]
    start = f'#!/usr/bin/env python3\n"""{head}"""\n\nfrom __future__ import annotations\n\n'
    return start + "\n".join(imports) + "\n\n" + "\n\n\n".join(bodies) + "\n"


def _imports(text: str) -> list[str]:
    """The import lines of other packages."""
    tree = ast.parse(text)
    found = [node for node in tree.body if isinstance(node, _IMPORTS)]
    return [
        ast.unparse(node)
        for node in found
        if not (isinstance(node, ast.ImportFrom) and (node.level or node.module == "__future__"))
    ]


def _body(text: str) -> str:
    """What follows the last import."""
    last = max(node.end_lineno or 0 for node in ast.parse(text).body if isinstance(node, _IMPORTS))
    return "\n".join(text.splitlines()[last:])
