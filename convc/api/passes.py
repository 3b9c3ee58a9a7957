"""What `convc show pass NAME` prints."""

from __future__ import annotations

from inspect import cleandoc, getmodule

from ..compiler.errors import UsageError
from ..compiler.passes import PASSES, levels_of


def pass_text(name: str) -> str:
    """A pass with its algebra, when it is exact, and when it is worth it. Raises UsageError."""
    if name not in PASSES:
        raise UsageError(f"there is no pass {name!r}", hint=f"passes: {', '.join(PASSES)}")
    found = PASSES[name]
    module = getmodule(type(found))
    algebra = cleandoc(module.__doc__ or "") if module else ""
    return (
        f"{name}\n\n{algebra}\n\n"
        f"exact when   {found.exact_when}\nworth when   {found.worth_when}\nruns with    {levels_of(name)}"
    )
