"""Fixtures of the tests of faults: three downloaders, frequent commits."""

from pathlib import Path

import pytest
from support.fault_ways import DOWNLOADERS, Downloader


@pytest.fixture(autouse=True)
def always_quick(quick_commits: None) -> None:
    """Commit the journal often in all these tests."""


@pytest.fixture(params=DOWNLOADERS)
def downloader(
    request: pytest.FixtureRequest, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Downloader:
    """Each of the three downloaders in turn."""
    return DOWNLOADERS[request.param](tmp_path / "store", home, monkeypatch)


@pytest.fixture(params=[True, False], ids=["pinned", "unpinned"])
def pin(request: pytest.FixtureRequest) -> bool:
    """Whether the catalog has the size and the digest, or only the URL."""
    return bool(request.param)
