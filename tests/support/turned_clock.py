"""A clock that stands until a test turns it."""

from flowhub_jobs.system import Clock

SECOND_US = 1_000_000


class TurnedClock:
    """`clock` is what the code reads. `turn` moves both hands; the calendar can be set alone, as people do."""

    def __init__(self) -> None:
        self.calendar_us = 1_795_000_000 * SECOND_US
        self.awake_s = 5000.0
        self.clock = Clock(now_us=lambda: self.calendar_us, awake=lambda: self.awake_s)

    def turn(self, seconds: float) -> None:
        """Let time pass on both."""
        self.calendar_us += round(seconds * SECOND_US)
        self.awake_s += seconds

    def set_calendar(self, seconds: float) -> None:
        """Set the calendar forth or back; no time passes."""
        self.calendar_us += round(seconds * SECOND_US)

    def in_us(self, seconds: float) -> int:
        """Return the calendar's time so many seconds from now, as the tables hold it."""
        return self.calendar_us + round(seconds * SECOND_US)
