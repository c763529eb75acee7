"""What the tests of killed, halted and starved workers share."""

from collections.abc import Iterator

import pytest
from support.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks workers, so that a test of one moment in a worker's life takes little more than that moment."""
    nursery = Nursery()
    yield nursery
    nursery.close()
