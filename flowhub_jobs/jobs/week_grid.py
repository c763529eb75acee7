"""A schedule as the 10,080 minutes of a week, which can be painted hour by hour, and back. Pure.

A week is a list with the rate of each minute from Monday 00:00 on, bytes a second: 0 outside the windows, UNLIMITED for
a window without a rate.
"""

from collections.abc import Collection, Iterator

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.schedule import UNLIMITED, DayWindows, Schedule, Window

DAY, HOUR = 24 * 60, 60
MINUTES = 7 * DAY
Cell = tuple[int, int]  # weekday (0 is Monday) and hour
Week = list[int]


def minutes_of(schedule: Schedule | None) -> Week:
    """Return the week of a schedule; without one each minute is unlimited."""
    if schedule is None:
        return [UNLIMITED] * MINUTES
    minutes = [0] * MINUTES
    for group in schedule.groups:
        for start, end in (
            (day * DAY + one.opens, day * DAY + one.closes) for day in group.days for one in group.windows
        ):
            for minute in range(start, end):
                minutes[minute % MINUTES] = max(minutes[minute % MINUTES], group.level)
    return minutes


def hour_of(minutes: Week, day: int, hour: int) -> Week:
    """Return the minutes of an hour."""
    start = day * DAY + hour * HOUR
    return minutes[start : start + HOUR]


def share(minutes: Week, day: int, hour: int) -> float:
    """Return how much of an hour is inside a window, from 0 to 1."""
    return sum(rate > 0 for rate in hour_of(minutes, day, hour)) / HOUR


def paint(minutes: Week, cells: Collection[Cell], rate: int) -> Week:
    """Return the week with these hours at a rate; 0 is outside the windows."""
    painted = list(minutes)
    for day, hour in cells:
        start = day * DAY + hour * HOUR
        painted[start : start + HOUR] = [rate] * HOUR
    return painted


def schedule_of(minutes: Week, outside_bps: int | None) -> Schedule | None:
    """Return the schedule of a week; None, which is no schedule, for one that is unlimited all the time.

    Raises UsageInvalid for a week without a window, if nothing runs outside of its windows, and for one with too many
    windows.
    """
    rates = set(minutes)
    if rates == {UNLIMITED}:
        return None
    if rates == {0}:
        raise UsageInvalid("No hour is left in which jobs run.", hint="To stop all jobs, press Pause all.")
    groups = [group for rate in sorted(rates - {0}, reverse=True) for group in _groups(minutes, rate)]
    ordered = sorted(groups, key=lambda group: (-len(group.days), group.days, -group.level))
    return Schedule(tuple(ordered), outside_bps).checked()


def _groups(minutes: Week, rate: int) -> list[DayWindows]:
    """Return the windows of a rate, each once, by the days on which they open."""
    days: dict[Window, list[int]] = {}
    for start, end in _runs(minutes, rate):
        for day, window in _windows(start, end):
            days.setdefault(window, []).append(day)
    by_days: dict[tuple[int, ...], list[Window]] = {}
    for window, weekdays in days.items():
        by_days.setdefault(tuple(sorted(weekdays)), []).append(window)
    limit = None if rate == UNLIMITED else rate
    return [DayWindows(tuple(sorted(windows)), weekdays, limit) for weekdays, windows in by_days.items()]


def _runs(minutes: Week, rate: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of a rate; the end may be past that of the week."""
    begin = next((minute for minute, other in enumerate(minutes) if other != rate), None)  # no span reaches over it
    if begin is None:
        yield 0, MINUTES
        return
    start = None
    for minute in range(begin, begin + MINUTES + 1):
        is_in = minutes[minute % MINUTES] == rate
        if is_in and start is None:
            start = minute
        elif not is_in and start is not None:
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
