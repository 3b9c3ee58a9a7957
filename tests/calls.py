"""How much work something is, in function calls: the same on every machine, busy or not, where seconds are not."""

from __future__ import annotations

from collections.abc import Callable
from cProfile import Profile
from typing import Any


def calls(function: Callable[..., Any], *arguments: Any) -> int:
    """Python's function calls while `function` runs."""
    profile = Profile()
    profile.runcall(function, *arguments)
    return sum(entry.callcount for entry in profile.getstats())
