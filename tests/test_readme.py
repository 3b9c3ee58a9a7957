"""The README is kept: its spec is one, and its commands are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SPECS = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
VERBS = sorted(set(re.findall(r"^\| `convc (\w+)", README, flags=re.MULTILINE)))


def convc(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "convc", *args], capture_output=True, text=True, check=False)


def test_the_readme_shows_a_spec_and_the_commands() -> None:
    assert len(SPECS) == 1
    assert {"build", "check", "verify", "run"} <= set(VERBS)


def test_the_spec_of_the_readme_is_one(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(SPECS[0], encoding="utf-8")
    done = convc("check", str(file))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_of_the_readme_explains_itself(verb: str) -> None:
    done = convc(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert verb in done.stdout
