"""Fixtures of the tests of placements."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def user_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home folder of its own, so that no download finds the files that another test placed."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "user" / ".ollama" / "models"))
    return tmp_path / "user"
