"""Fixtures of the integration tests: the command line, jobs over a database, an empty store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli
from support.job_store import JobStore

from flowhub_jobs.store.layout import Store


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest) -> str | None:
    """Run the test over both databases: return the URL of a PostgreSQL database, or None for a SQLite file."""
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else None


@pytest.fixture
def job_store(tmp_path: Path, any_database: str | None) -> Iterator[JobStore]:
    job_store = JobStore(tmp_path / "job_store", url=any_database)
    yield job_store
    job_store.close()


@pytest.fixture
def job_store_on_postgresql(tmp_path: Path, postgres_url: str) -> Iterator[JobStore]:
    job_store = JobStore(tmp_path / "job_store", url=postgres_url)
    yield job_store
    job_store.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "llms")
    store.open(None, own=True)
    return store
