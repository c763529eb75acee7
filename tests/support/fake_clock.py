"""A clock that a test advances, and a real clock that a test shifts for several processes."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from flowhub_jobs.system import MACOS, Clock

SECOND_US = 1_000_000


def micros_of(text: str) -> int:
    """Return a moment with its offset, `2026-11-23T23:00+01:00`, as the tables hold it."""
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return int(moment.timestamp()) * SECOND_US


class FakeClock:
    """`clock` is what the code reads. `advance` moves both clocks, `shift_calendar` the calendar alone, as users do."""

    def __init__(self) -> None:
        self.calendar_us = 1_795_000_000 * SECOND_US
        self.awake_s = 5000.0
        self.clock = Clock(now_us=lambda: self.calendar_us, awake=lambda: self.awake_s)

    def advance(self, seconds: float) -> None:
        """Advance both clocks."""
        self.calendar_us += round(seconds * SECOND_US)
        self.awake_s += seconds

    def set_to(self, text: str) -> None:
        """Advance both clocks to this time, `2026-11-23T23:00+01:00`; at the start of a test it may be in the past."""
        self.advance((micros_of(text) - self.calendar_us) / SECOND_US)

    def shift_calendar(self, seconds: float) -> None:
        """Move the calendar forward or back; no time passes."""
        self.calendar_us += round(seconds * SECOND_US)

    def us_from_now(self, seconds: float) -> int:
        """Return the calendar's time so many seconds from now, as the tables hold it."""
        return self.calendar_us + round(seconds * SECOND_US)


class ClockFile:
    """The real clocks plus two offsets from a file, in seconds: for the calendar and for the awake clock.

    Every process that uses the file has the same clocks. It replaces the module `time` in flowhub_jobs.system of a
    worker. CLOCK_MONOTONIC, which stops while a machine sleeps, is unchanged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_text("0 0")

    @property
    def clock(self) -> Clock:
        return Clock(now_us=lambda: self.time_ns() // 1000, awake=lambda: self.clock_gettime(self._awake_clock))

    def shift_calendar(self, seconds: float) -> None:
        """Move the calendar forward or back, as users do."""
        self._add(seconds, 0)

    def sleep_for(self, seconds: float) -> None:
        """Pretend that the machine slept: both clocks advance."""
        self._add(seconds, seconds)

    def time_ns(self) -> int:
        return time.time_ns() + round(self._read()[0] * 1e9)

    def clock_gettime(self, clock_id: int) -> float:
        return time.clock_gettime(clock_id) + (self._read()[1] if clock_id == self._awake_clock else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @property
    def _awake_clock(self) -> int:
        return time.CLOCK_MONOTONIC if MACOS else time.CLOCK_BOOTTIME

    def _read(self) -> tuple[float, float]:
        calendar, awake = map(float, self.path.read_text().split())
        return calendar, awake

    def _add(self, calendar: float, awake: float) -> None:
        offsets = self._read()
        new_file = self.path.with_suffix(".new")
        new_file.write_text(f"{offsets[0] + calendar} {offsets[1] + awake}")
        new_file.replace(self.path)  # a worker reads at any time
