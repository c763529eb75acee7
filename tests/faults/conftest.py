"""Fixtures of the tests of faults: three ways to an artifact, frequent commits, certificates read again."""

from pathlib import Path

import pytest
from support.fault_ways import DOWNLOADERS, Downloader


@pytest.fixture(autouse=True)
def always_quick(quick_commits: None) -> None:
    """No test here waits for the journal."""


@pytest.fixture(params=DOWNLOADERS)
def downloader(
    request: pytest.FixtureRequest, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Downloader:
    """Each of the three ways in turn."""
    return DOWNLOADERS[request.param](tmp_path / "store", home, monkeypatch)


@pytest.fixture(params=[True, False], ids=["pinned", "unpinned"])
def pin(request: pytest.FixtureRequest) -> bool:
    """Whether the catalog knows the size and the digest, or no more than the address."""
    return bool(request.param)
