"""The schedule: windows of the week in local time, correct across every change to or from summer time. Pure.

A window belongs to the day on which it opens: 23:00-07:00 on mon-fri reaches into Saturday morning. Where the clock
skips its opening, it opens at the end of the gap. Where the clock shows times twice, it opens at the first that is in
the window and closes after the last.

Each window has a rate for all jobs together, or none. Where windows overlap, the highest rate applies. A window without
a rate is unlimited and beats every rate. So adding a window never lowers the rate.

Moments are microseconds since 1970. `zone` is the local one; None is the machine's own.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo
from itertools import groupby
from typing import Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.daylight_saving import end_moment, first_moment, local_day
from flowhub_jobs.units import parse_rate

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WINDOW = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01]?[0-9]|2[0-4]):([0-5][0-9])")
_DAY_MINUTES = 24 * 60
UNLIMITED = 2**63 - 1  # as a rate; 0 is none at all
GROUPS_MAX = 50
# Far enough that whatever is not open all the time has closed and opened again, also where summer time swallows the
# one short window of a week.
_DAYS_AHEAD = 30
_WINDOW_HINT = "Write 23:00-07:00, or several: 23:00-07:00,12:00-13:00. A whole day is 00:00-24:00."


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Minutes from the midnight with which its day begins; `closes` is past 24 hours where it reaches over midnight."""

    opens: int
    closes: int

    def __str__(self) -> str:
        closes = self.closes if self.closes <= _DAY_MINUTES else self.closes - _DAY_MINUTES
        return f"{_clock(self.opens)}-{_clock(closes)}"


@dataclass(frozen=True, slots=True)
class DayWindows:
    """Windows, the weekdays on which they open (0 is Monday), and their rate; None is unlimited.

    The rate is bytes a second of all jobs together.
    """

    windows: tuple[Window, ...]
    days: tuple[int, ...] = tuple(range(7))
    rate_bps: int | None = None

    @classmethod
    def parse(cls, windows: str, days: str | None = None, rate: str | None = None) -> "DayWindows":
        """Return what was typed: `23:00-07:00,12:00-13:00`, `mon-fri,sun`, `2M` or `off`. Raises UsageInvalid."""
        parsed = tuple(sorted({_window(part) for part in windows.split(",")}))
        chosen = tuple(range(7)) if days is None else _days(days)
        return cls(parsed, chosen, None if rate is None else parse_rate(rate))

    def as_json(self) -> dict[str, Any]:
        return {
            "windows": [str(window) for window in self.windows],
            "days": [DAYS[day] for day in self.days],
            "rate_bps": self.rate_bps,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "DayWindows":
        unlimited = cls.parse(",".join(data["windows"]), ",".join(data["days"]))
        return replace(unlimited, rate_bps=data.get("rate_bps"))  # rows of earlier versions have none

    @property
    def level(self) -> int:
        """Return the rate as a number that compares: UNLIMITED for none."""
        return UNLIMITED if self.rate_bps is None else self.rate_bps


@dataclass(frozen=True, slots=True)
class Schedule:
    """The windows, in groups that have weekdays and a rate in common, and the rate outside; None: nothing runs."""

    groups: tuple[DayWindows, ...]
    outside_bps: int | None = None

    @classmethod
    def parse(
        cls, windows: str, days: str | None = None, outside: str = "pause", rate: str | None = None
    ) -> "Schedule":
        """Return a schedule of one group, as typed; `outside` is `pause` or a rate. Raises UsageInvalid."""
        group = DayWindows.parse(windows, days, rate)
        return cls((group,), None if outside.strip().lower() == "pause" else _rate(outside))

    def as_json(self) -> dict[str, Any]:
        """Return the first group, the rate outside, and under `more` the other groups."""
        first, *others = (group.as_json() for group in self.groups)
        return {**first, "outside_bps": self.outside_bps, "more": others}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Schedule":
        groups = tuple(DayWindows.from_json(group) for group in (data, *data.get("more", ())))
        return cls(groups, data["outside_bps"])

    def with_group(self, group: DayWindows) -> "Schedule":
        """Return it with one more group; the rate of a group with the same windows and days is replaced.

        Raises UsageInvalid for more than GROUPS_MAX.
        """
        same = [(existing.windows, existing.days) == (group.windows, group.days) for existing in self.groups]
        if any(same):
            groups = (group if is_it else existing for existing, is_it in zip(self.groups, same, strict=True))
            return replace(self, groups=tuple(groups))
        return Schedule((*self.groups, group), self.outside_bps).checked()

    def without_group(self, number: int) -> "Schedule | None":
        """Return it without the group of this number, from 1; None if that was the last. Raises UsageInvalid."""
        self._check_number(number)
        groups = self.groups[: number - 1] + self.groups[number:]
        return replace(self, groups=groups) if groups else None

    def with_rate(self, number: int, rate_bps: int | None) -> "Schedule":
        """Return it with another rate for the group of this number, from 1. Raises UsageInvalid."""
        self._check_number(number)
        group = replace(self.groups[number - 1], rate_bps=rate_bps)
        return replace(self, groups=(*self.groups[: number - 1], group, *self.groups[number:]))

    def _check_number(self, number: int) -> None:
        count = len(self.groups)
        if not 1 <= number <= count:
            extent = "The schedule has only window 1." if count == 1 else f"The schedule has windows 1 to {count}."
            raise UsageInvalid(f"There is no window {number}.", hint=f"{extent} See `flowhub schedule show`.")

    def checked(self) -> "Schedule":
        """Return it. Raises UsageInvalid for more than GROUPS_MAX groups."""
        if len(self.groups) > GROUPS_MAX:
            raise UsageInvalid(f"A schedule has at most {GROUPS_MAX} windows with days of their own.")
        return self

    # Moments -------------------------------------------------------------------------------------------------------

    def is_open(self, now_us: int, zone: tzinfo | None = None) -> bool:
        return next(self._spans(now_us, zone))[0] <= now_us

    def next_change(self, now_us: int, zone: tzinfo | None = None) -> int | None:
        """Return when it closes, if it is open, or opens; None if it is always open."""
        opens, closes = next(self._spans(now_us, zone))
        return closes if opens <= now_us else opens

    def opens_at(self, now_us: int, zone: tzinfo | None = None) -> int | None:
        """Return when it opens; None if it is open."""
        opens, _ = next(self._spans(now_us, zone))
        return None if opens <= now_us else opens

    def rate_at(self, now_us: int, zone: tzinfo | None = None) -> int:
        """Return the bytes a second of all jobs together: 0 while nothing runs, UNLIMITED for no limit."""
        current = self.outside_bps or 0
        for at, rate in self._rate_changes(now_us, zone):
            if at > now_us:
                break
            current = rate
        return current

    def next_rate(self, now_us: int, zone: tzinfo | None = None) -> tuple[int, int] | None:
        """Return when the rate changes, and to which one; None if it stays."""
        current = self.outside_bps or 0
        for at, rate in self._rate_changes(now_us, zone):
            if at <= now_us:
                current = rate
            elif rate != current:
                return at, rate
        return None

    def _rate_changes(self, now_us: int, zone: tzinfo | None) -> Iterator[tuple[int, int]]:
        """Yield when each rate begins to apply, and that rate, in order, from two days ago on."""
        under_way: list[tuple[int, int]] = []  # when each window closes, and its rate
        for opens, together in groupby(self._each_window(now_us, zone), key=lambda window: window[0]):
            for at in sorted({closes for closes, _ in under_way if closes < opens}):
                yield at, self._highest(under_way, at)
            under_way = [one for one in under_way if one[0] > opens]
            under_way += [(closes, rate) for _, closes, rate in together]
            yield opens, self._highest(under_way, opens)

    def _highest(self, windows: Iterable[tuple[int, int]], at: int) -> int:
        """Return the highest rate of the windows that close later than `at`; that outside, where there is none."""
        return max((rate for closes, rate in windows if closes > at), default=self.outside_bps or 0)

    def _spans(self, now_us: int, zone: tzinfo | None) -> Iterator[tuple[int, int | None]]:
        """Yield when it opens and closes, first the span that `now_us` is in or that comes next.

        Spans that touch or overlap are one. The end of the last is None: if it is the first, too, there is none.
        """
        begin, end = 0, 0
        for opens, closes, _ in self._each_window(now_us, zone):
            if opens > end:
                if end > now_us:
                    yield begin, end
                begin = opens
            end = max(end, closes)
        yield begin, None

    def _each_window(self, now_us: int, zone: tzinfo | None) -> Iterator[tuple[int, int, int]]:
        """Yield when each window of the days around opens and closes, and its rate, in order.

        One that a change of the clock swallows is left out.
        """
        today = local_day(now_us, zone)
        for offset in range(-2, _DAYS_AHEAD):
            day = today + timedelta(days=offset)
            midnight = datetime.combine(day, time())
            for window, rate in self._windows_on(day.weekday()):
                opens = first_moment(midnight + timedelta(minutes=window.opens), zone)
                closes = end_moment(midnight + timedelta(minutes=window.closes), zone)
                if opens < closes:
                    yield opens, closes, rate

    def _windows_on(self, weekday: int) -> list[tuple[Window, int]]:
        """Return the windows that open on a weekday, with their rates, in order."""
        return sorted(
            (window, group.level) for group in self.groups if weekday in group.days for window in group.windows
        )


# As typed ----------------------------------------------------------------------------------------------------------


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _window(text: str) -> Window:
    typed = text.strip()[:40]
    match = _WINDOW.fullmatch(typed)
    opens, closes = (60 * int(match[one]) + int(match[one + 1]) for one in (1, 3)) if match else (0, _DAY_MINUTES + 1)
    if closes > _DAY_MINUTES:
        raise UsageInvalid(f"{typed!r} is not a window.", hint=_WINDOW_HINT)
    if opens == closes:
        raise UsageInvalid(f"The window {typed} begins and ends at the same time.", hint=_WINDOW_HINT)
    return Window(opens, closes if closes > opens else closes + _DAY_MINUTES)


def _days(text: str) -> tuple[int, ...]:
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        chosen |= {(begin + offset) % 7 for offset in range((end - begin) % 7 + 1)}
    return tuple(sorted(chosen))


def _day(text: str) -> int:
    name = text.strip().lower()
    numbers = [number for number, full_name in enumerate(_NAMES) if len(name) >= 3 and full_name.startswith(name)]
    if not numbers:
        raise UsageInvalid(f"{text.strip()[:40]!r} is not a day.", hint="Write mon-fri, or mon,wed,sun.")
    return numbers[0]


def _rate(text: str) -> int:
    rate = parse_rate(text)
    if rate is None:
        raise UsageInvalid(
            "Without a limit outside of its windows, a schedule would mean nothing.",
            hint="Write --outside pause, or a rate such as 500K; `flowhub schedule off` takes the schedule away.",
        )
    return rate
