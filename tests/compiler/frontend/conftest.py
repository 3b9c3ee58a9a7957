"""What the tests of the frontend share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compiler.frontend.nets import Nets


@pytest.fixture
def nets(tmp_path: Path) -> Nets:
    """A folder of specs of one's own."""
    return Nets(tmp_path)
