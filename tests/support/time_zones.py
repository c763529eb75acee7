"""Time zones with daylight saving time, and a way to make one the local zone."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

try:
    BERLIN = ZoneInfo("Europe/Berlin")
    NEW_YORK = ZoneInfo("America/New_York")
except ZoneInfoNotFoundError:
    pytest.skip("needs the system's time zones (tzdata)", allow_module_level=True)


@contextlib.contextmanager
def local_time_zone(name: str) -> Iterator[None]:
    """Set the local time zone of this process within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        try:
            yield
        finally:
            patch.undo()
            time.tzset()


@contextlib.contextmanager
def local_midday() -> Iterator[None]:
    """Set a local time zone in which it is about noon: no day ends during a test that counts the bytes of a day."""
    with local_time_zone(f"<noon>{datetime.now(UTC).hour - 12:+d}"):
        yield
