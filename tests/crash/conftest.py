"""Fixtures of the tests that kill, suspend and starve workers."""

from collections.abc import Iterator

import pytest
from support.fork_server import ForkServer


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Forks workers from a process that has imported flowhub, so that they start at once."""
    fork_server = ForkServer()
    yield fork_server
    fork_server.close()
