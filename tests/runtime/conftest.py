"""What the tests of the runtime share: a GPU, where there is one."""

from __future__ import annotations

import pytest

from convc.runtime import trial


@pytest.fixture(scope="session")
def cuda() -> None:
    """CUDA as ONNX Runtime loads it, tried in a child; without it the test is skipped, and says what is missing."""
    answer = trial.ask("provider", "cuda")
    if not answer.get("loads"):
        pytest.skip(f"CUDA cannot be used here: {answer.get('cause') or 'no reason given'}")
