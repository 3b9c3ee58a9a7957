"""Measuring in a child process: nothing else is loaded there, and a provider that dies takes no one with it.

    python -m convc.runtime.profile.worker  < plan      the plan is one line, the end of input ends the process; it says
        one line of JSON for each stage, a last one for the outcome:
        {"stage": "cpu batch 1: measuring"}
        {"profile": {...}}  or  {"error": {"kind": "ModelError", "message": ..., "hint": ...}}

What libraries print goes to the child's stderr, which is kept for the message of a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from ...compiler import errors
from ...compiler.errors import ConvcError, ModelError, ProviderError
from .plan import Plan
from .record import Profile

Tell = Callable[[str], None]


def measure(plan: Plan, tell: Tell | None = None, command: Sequence[str] = ()) -> Profile:
    """The profile, made by a child process. Raises what `profile` raises there, and for a child that died:
    ProviderError where a device was in play, ModelError on the CPU (exit codes 4 and 2)."""
    line = list(command) or [sys.executable, "-m", __name__]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
        outcome, stage, code = _converse(line, plan, tell or (lambda stage: None), noise)
        if outcome is not None and "profile" in outcome:
            return Profile.from_json(outcome["profile"])
        if outcome is not None:
            raise _error(outcome["error"])
        noise.seek(0)
        raise _death(code, stage, noise.read(), plan)


def _converse(line: Sequence[str], plan: Plan, tell: Tell, noise: IO[str]) -> tuple[dict[str, Any] | None, str, int]:
    stage = "starting"
    outcome: dict[str, Any] | None = None
    try:
        child = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True, encoding="utf-8",
            errors="replace", env=_environment(),
        )  # fmt: skip
    except OSError as error:
        raise ModelError(f"no process could be started to measure in: {error.strerror or error}") from error
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        try:
            # Left open: its end is how the child knows that this process is gone, however that went.
            child.stdin.write(json.dumps(plan.to_json()) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass
        for text in child.stdout:
            said = _parsed(text)
            if "stage" in said:
                stage = str(said["stage"])
                tell(stage)
            elif said:
                outcome = said
        return outcome, stage, child.wait()
    finally:
        # An interrupt must not leave the child measuring on.
        if child.poll() is None:
            child.kill()
            child.wait()
        child.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.keys() & {"stage", "profile", "error"} else {}


def _error(data: dict[str, Any]) -> ConvcError:
    kind = getattr(errors, str(data.get("kind")), ModelError)
    return kind(str(data.get("message", "")), hint=str(data.get("hint", "")))


def _death(code: int, stage: str, noise: str, plan: Plan) -> ConvcError:
    """What a child that gave no outcome died of."""
    what = Path(plan.cases[0].path).name
    devices = [name for name in plan.providers if name not in ("cpu", "")]
    if code == -signal.SIGKILL:
        return ModelError(
            f"{what}: the measuring process was killed ({stage}): most likely memory ran out",
            hint="use a smaller batch or size",
        )
    lines = [line.strip() for line in noise.splitlines() if line.strip()]
    last = f": {lines[-1][:200]}" if lines else ""
    how = f"died of {_signal(code)}" if code < 0 else f"ended with {code} and no result"
    if any("bad_alloc" in line or "MemoryError" in line for line in lines):
        return ModelError(f"{what}: memory ran out ({stage})", hint="use a smaller batch or size")
    if devices:
        return ProviderError(
            f"provider {stage.split(':')[0].split()[0] if stage != 'starting' else devices[0]} {how} ({stage}){last}",
            hint="convc doctor says what loads here; --provider cpu measures without it",
        )
    return ModelError(f"{what}: onnxruntime {how} ({stage}){last}", hint="the file may be damaged: build it again")


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, *(entry for entry in sys.path if entry)])}


def main() -> None:
    """The child."""
    # The pipe to the parent is kept apart: whatever prints on stdout now prints on stderr.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _first_to_go()

    def say(data: dict[str, Any]) -> None:
        out.write(json.dumps(data, allow_nan=False) + "\n")
        out.flush()

    try:
        from .profile import profile

        plan = Plan.from_json(json.loads(sys.stdin.readline()))
        threading.Thread(target=_end_with_the_parent, daemon=True).start()
        found = profile(plan, lambda stage: say({"stage": stage}))
        say({"profile": found.to_json()})
    except ConvcError as error:
        say({"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}})
    except MemoryError:
        say({"error": {"kind": "ModelError", "message": "memory ran out", "hint": "use a smaller batch or size"}})


def _end_with_the_parent() -> None:
    """A parent that was killed would leave this process measuring for nobody, in the way of what runs next."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _first_to_go() -> None:
    """Where memory runs out, Linux is to end this process and none of the user's others."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main()
