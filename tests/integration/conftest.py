"""What the tests of whole rooms share: the command line, the commands's rooms, an empty store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli
from support.job_store import JobStore

from flowhub_jobs.store.layout import Store


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[JobStore]:
    rooms = JobStore(tmp_path / "rooms")
    yield rooms
    rooms.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "llms")
    store.open(None, own=True)
    return store
