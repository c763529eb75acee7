"""The speed of a node's downloads over some hours, in equal steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flowhub_jobs.jobs.wire_minutes import MINUTE_US, read_minutes
from flowhub_jobs.operations.session import Session
from flowhub_jobs.times import micros

STEPS_MAX = 300
STEP_MINUTES = (1, 2, 5, 10, 15, 30, 60)


@dataclass(frozen=True, slots=True)
class SpeedHistory:
    """`rates` are bytes a second in each step of `step_s` seconds, from `begin` on.

    `fastest` is the begin of the first minute with the highest rate, and that rate; None where nothing was received.
    `busy_s` is the total length of the minutes in which data was received.
    """

    begin: datetime
    step_s: int
    rates: tuple[float, ...]
    fastest: tuple[datetime, float] | None
    busy_s: int

    @property
    def span_s(self) -> int:
        return self.step_s * len(self.rates)


def speed_history(session: Session, begin: datetime, end: datetime) -> SpeedHistory:
    """Return the speed of this node from `begin` to `end`."""
    minutes = read_minutes(session.home.database, session.node, micros(begin), micros(end))
    return in_steps(minutes, micros(begin) // MINUTE_US, micros(end) // MINUTE_US + 1)


def in_steps(minutes: Mapping[int, int], first: int, end: int) -> SpeedHistory:
    """Return the bytes of each minute as rates, from the minute `first` to `end` (exclusive). Pure."""
    count = max(1, end - first)
    step = next((step for step in STEP_MINUTES if count / step <= STEPS_MAX), -(-count // STEPS_MAX))
    sums = [0] * -(-count // step)
    inside = {minute: received for minute, received in minutes.items() if first <= minute < end and received}
    for minute, received in inside.items():
        sums[(minute - first) // step] += received
    begin = datetime.fromtimestamp(first * 60, UTC)
    # The last step may not be over: it counts the minutes that it has.
    lengths = [step] * (len(sums) - 1) + [count - step * (len(sums) - 1)]
    rates = tuple(received / (60 * minutes_long) for received, minutes_long in zip(sums, lengths, strict=True))
    return SpeedHistory(begin, 60 * step, rates, _fastest(inside), 60 * len(inside))


def _fastest(minutes: Mapping[int, int]) -> tuple[datetime, float] | None:
    if not minutes:
        return None
    minute = min(minutes, key=lambda one: (-minutes[one], one))
    return datetime.fromtimestamp(60 * minute, UTC), minutes[minute] / 60
