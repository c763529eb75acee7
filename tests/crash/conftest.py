"""Fixtures of the tests that kill, suspend and starve workers."""

from collections.abc import Iterator

import pytest
from support.fork_server import ForkServer


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Forks workers, so that a test of one moment in a worker's life takes little more than that moment."""
    fork_server = ForkServer()
    yield fork_server
    fork_server.close()
