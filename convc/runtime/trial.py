"""A child process that tries what could take a process down, and prints one line of JSON.

    python -m convc.runtime.trial provider cuda     {"offered": [...], "loads": false, "cause": ..., "mend": ...}
    python -m convc.runtime.trial libraries 13      {"libcudart.so.13": "/.../libcudart.so.13", ...}

`ask` runs it with a time limit. A driver that crashes or hangs is then an answer like another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..compiler.errors import ConvcError
from . import cuda

TIMEOUT_S = 30.0


def ask(*question: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The child's answer; `{"cause": ...}` where it crashed, hung or said nothing."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, *question],
            capture_output=True, text=True, errors="replace", timeout=timeout_s, env=_environment(), check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"cause": f"gave no answer within {timeout_s:.0f} s"}
    except OSError as error:
        return {"cause": f"no process could be started: {error.strerror or error}"}
    if done.returncode:
        return {"cause": _ending(done.returncode, done.stderr)}
    return _parsed(done.stdout)


def answer(question: Sequence[str]) -> dict[str, Any]:
    """What the child finds out."""
    kind, argument = question
    if kind == "libraries":
        return {library.name: library.found for library in cuda.preload(int(argument))}
    from . import providers

    try:
        offered = providers.available()
        trial = providers.attempt(argument)
    except ConvcError as error:
        return {"offered": [], "loads": False, "cause": error.message, "mend": error.hint}
    return {"offered": list(offered), "loads": trial.loads, "cause": trial.cause, "mend": trial.mend}


def _environment() -> dict[str, str]:
    """The child finds the packages that this process finds, however they came onto its path."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, *(entry for entry in sys.path if entry)])}


def _ending(code: int, stderr: str) -> str:
    if code < 0:
        try:
            return f"crashed with {signal.Signals(-code).name}"
        except ValueError:
            return f"crashed with signal {-code}"
    lines = stderr.strip().splitlines()
    return f"ended with {code}: {lines[-1] if lines else 'no message'}"


def _parsed(stdout: str) -> dict[str, Any]:
    lines = stdout.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"cause": "gave no answer"}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1:])))
