"""A schedule as the 10,080 minutes of a week, which can be painted hour by hour, and back. Pure."""

from collections.abc import Collection, Iterator

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.schedule import DayWindows, Schedule, Window

DAY, HOUR = 24 * 60, 60
MINUTES = 7 * DAY
Cell = tuple[int, int]  # weekday (0 is Monday) and hour


def minutes_of(schedule: Schedule | None) -> bytearray:
    """Return for each minute of the week, from Monday 00:00 on, whether jobs run; without a schedule all do."""
    if schedule is None:
        return bytearray(b"\1") * MINUTES
    minutes = bytearray(MINUTES)
    for day in range(7):
        for window in schedule.windows_on(day):
            for minute in range(day * DAY + window.opens, day * DAY + window.closes):
                minutes[minute % MINUTES] = 1
    return minutes


def share(minutes: bytearray, day: int, hour: int) -> float:
    """Return how much of an hour is open, from 0 to 1."""
    start = day * DAY + hour * HOUR
    return sum(minutes[start : start + HOUR]) / HOUR


def paint(minutes: bytearray, cells: Collection[Cell], *, is_open: bool) -> bytearray:
    """Return the week with these hours open, or closed."""
    painted = bytearray(minutes)
    for day, hour in cells:
        start = day * DAY + hour * HOUR
        painted[start : start + HOUR] = (b"\1" if is_open else b"\0") * HOUR
    return painted


def schedule_of(minutes: bytearray, outside_bps: int | None) -> Schedule | None:
    """Return the schedule of a week; None, which is no schedule, for one that is open all the time.

    Raises UsageInvalid for a week that is never open, if nothing runs outside of its windows.
    """
    if all(minutes):
        return None
    if not any(minutes):
        raise UsageInvalid("No hour is left in which jobs run.", hint="To stop all jobs, press Pause all.")
    groups = _groups(minutes)
    first, *more = sorted(groups, key=lambda group: (-len(group.days), group.days))
    return Schedule(first.windows, first.days, outside_bps, tuple(more))


def _groups(minutes: bytearray) -> list[DayWindows]:
    """Return the windows, each once, by the days on which they open."""
    days: dict[Window, list[int]] = {}
    for start, end in _runs(minutes):
        for day, window in _windows(start, end):
            days.setdefault(window, []).append(day)
    by_days: dict[tuple[int, ...], list[Window]] = {}
    for window, some in days.items():
        by_days.setdefault(tuple(sorted(some)), []).append(window)
    return [DayWindows(tuple(sorted(windows)), some) for some, windows in by_days.items()]


def _runs(minutes: bytearray) -> Iterator[tuple[int, int]]:
    """Yield the open spans of a week that is not open all the time; the end may be past that of the week."""
    begin = minutes.index(0)  # a closed minute: no span reaches over it
    start = None
    for minute in range(begin, begin + MINUTES + 1):
        is_open = minutes[minute % MINUTES]
        if is_open and start is None:
            start = minute
        elif not is_open and start is not None:
            yield start, minute
            start = None


def _windows(start: int, end: int) -> Iterator[tuple[int, Window]]:
    """Yield the windows of a span with their weekdays. None is as long as a day, but one from midnight to midnight."""
    while end > start:
        day, opens = start // DAY % 7, start % DAY
        longest = DAY if opens == 0 else DAY - opens if end - start >= DAY else end - start
        length = min(end - start, longest)
        yield day, Window(opens, opens + length)
        start += length
