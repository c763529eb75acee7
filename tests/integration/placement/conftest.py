"""Fixtures of the tests of placements."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def user_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person of each test's own: what one test places is not found by the downloads of the next."""
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "me" / ".ollama" / "models"))
    return tmp_path / "me"
