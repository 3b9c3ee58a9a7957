"""What a library prints, from Python and from C, becomes a value; the streams come back whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from convc.runtime.capture import captured


def test_python_and_descriptor_writes_are_taken(capfd: pytest.CaptureFixture[str]) -> None:
    with captured() as noise:
        print("from python")
        print("from stderr", file=sys.stderr)
        os.write(1, b"from descriptor 1\n")
        os.write(2, b"from descriptor 2\n")
    print("after")
    for line in ("from python", "from stderr", "from descriptor 1", "from descriptor 2"):
        assert line in noise.text
    assert capfd.readouterr() == ("after\n", "")


def test_streams_come_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with captured():
            os.write(2, b"lost")
            raise KeyError("boom")

    with pytest.raises(KeyError):
        fail()
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"


def test_captures_nest() -> None:
    with captured() as outer:
        os.write(1, b"a")
        with captured() as inner:
            os.write(1, b"b")
        os.write(1, b"c")
    assert (outer.text, inner.text) == ("ac", "b")


def test_closed_descriptors_are_no_obstacle() -> None:
    code = (
        "import os, sys\n"
        "from convc.runtime.capture import captured\n"
        "os.close(2); sys.stderr = None\n"
        "with captured() as noise: print('kept')\n"
        "print(repr(noise.text))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "'kept\\n'\n")
