"""The schedule: windows of the week in local time, correct across every change to or from summer time. Pure.

A window belongs to the day on which it opens: 23:00-07:00 on mon-fri reaches into Saturday morning. Where the clock
skips its opening, it opens at the end of the gap; where the clock shows a time twice, the first opens and the last
closes.

Moments are microseconds since 1970. `zone` is the local one; None is the machine's own.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.units import parse_rate

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WINDOW = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01]?[0-9]|2[0-4]):([0-5][0-9])")
_DAY_MINUTES = 24 * 60
_MICROS = 1_000_000
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
    """Windows, and the weekdays on which they open (0 is Monday)."""

    windows: tuple[Window, ...]
    days: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        return {"windows": [str(window) for window in self.windows], "days": [DAYS[day] for day in self.days]}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The windows, the weekdays on which they open (0 is Monday), and the rate outside of them; None: nothing runs.

    `more` are further windows, on weekdays of their own.
    """

    windows: tuple[Window, ...]
    days: tuple[int, ...] = tuple(range(7))
    outside_bps: int | None = None
    more: tuple[DayWindows, ...] = ()

    @classmethod
    def parse(cls, windows: str, days: str | None = None, outside: str = "pause") -> "Schedule":
        """Return what was typed: `23:00-07:00,12:00-13:00`, `mon-fri,sun`, `pause` or a rate. Raises UsageInvalid."""
        found = tuple(sorted({_window(part) for part in windows.split(",")}))
        chosen = tuple(range(7)) if days is None else _days(days)
        return cls(found, chosen, None if outside.strip().lower() == "pause" else _rate(outside))

    def as_json(self) -> dict[str, Any]:
        first = DayWindows(self.windows, self.days).as_json()
        return {**first, "outside_bps": self.outside_bps, "more": [one.as_json() for one in self.more]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Schedule":
        plain = cls.parse(",".join(data["windows"]), ",".join(data["days"]))
        others = [cls.parse(",".join(one["windows"]), ",".join(one["days"])) for one in data.get("more", ())]
        more = tuple(DayWindows(one.windows, one.days) for one in others)
        return cls(plain.windows, plain.days, data["outside_bps"], more)

    @property
    def groups(self) -> tuple[DayWindows, ...]:
        """Return all windows, by the weekdays on which they open."""
        return DayWindows(self.windows, self.days), *self.more

    def windows_on(self, weekday: int) -> list[Window]:
        """Return the windows that open on a weekday, in order."""
        return sorted(window for group in self.groups if weekday in group.days for window in group.windows)

    # Moments -------------------------------------------------------------------------------------------------------

    def is_open(self, now: int, zone: tzinfo | None = None) -> bool:
        return next(self._spans(now, zone))[0] <= now

    def next_change(self, now: int, zone: tzinfo | None = None) -> int | None:
        """Return when it closes, if it is open, or opens; None if it is always open."""
        opens, closes = next(self._spans(now, zone))
        return closes if opens <= now else opens

    def opens_at(self, now: int, zone: tzinfo | None = None) -> int | None:
        """Return when it opens; None if it is open."""
        opens, _ = next(self._spans(now, zone))
        return None if opens <= now else opens

    def _spans(self, now: int, zone: tzinfo | None) -> Iterator[tuple[int, int | None]]:
        """Yield when it opens and closes, first the span that `now` is in or that comes next.

        Spans that touch or overlap are one. The end of the last is None: if it is the first, too, there is none.
        """
        begin, end = 0, 0
        for opens, closes in self._each_window(now, zone):
            if opens > end:
                if end > now:
                    yield begin, end
                begin = opens
            end = max(end, closes)
        yield begin, None

    def _each_window(self, now: int, zone: tzinfo | None) -> Iterator[tuple[int, int]]:
        """Yield each window of the days around, in order; one that a change of the clock swallows is left out."""
        today = datetime.fromtimestamp(now // _MICROS, zone).date()
        for away in range(-2, _DAYS_AHEAD):
            day = today + timedelta(days=away)
            midnight = datetime.combine(day, time())
            for window in self.windows_on(day.weekday()):
                opens = _moment(midnight + timedelta(minutes=window.opens), zone, last=False)
                closes = _moment(midnight + timedelta(minutes=window.closes), zone, last=True)
                if opens < closes:
                    yield opens, closes


def _moment(wall: datetime, zone: tzinfo | None, *, last: bool) -> int:
    """Return when the local clock shows `wall`: the first or the last time; where never, when it has skipped it."""
    early, late = (int(wall.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if early > late:  # only of a time that is skipped does the second reading come before the first (PEP 495)
        return _end_of_gap(late, early, zone) * _MICROS
    return (late if last else early) * _MICROS


def _end_of_gap(before: int, behind: int, zone: tzinfo | None) -> int:
    """Return the second at which the local clock is set forward, between these two."""
    old = _offset(before, zone)
    seconds = range(before, behind + 1)
    return seconds[bisect_left(seconds, True, key=lambda second: _offset(second, zone) != old)]


def _offset(second: int, zone: tzinfo | None) -> timedelta:
    utc = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
    return datetime.fromtimestamp(second, zone).replace(tzinfo=None) - utc


# As typed ----------------------------------------------------------------------------------------------------------


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _window(text: str) -> Window:
    said = text.strip()[:40]
    found = _WINDOW.fullmatch(said)
    opens, closes = (60 * int(found[one]) + int(found[one + 1]) for one in (1, 3)) if found else (0, _DAY_MINUTES + 1)
    if closes > _DAY_MINUTES:
        raise UsageInvalid(f"{said!r} is not a window.", hint=_WINDOW_HINT)
    if opens == closes:
        raise UsageInvalid(f"The window {said} closes as it opens.", hint=_WINDOW_HINT)
    return Window(opens, closes if closes > opens else closes + _DAY_MINUTES)


def _days(text: str) -> tuple[int, ...]:
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        chosen |= {(begin + away) % 7 for away in range((end - begin) % 7 + 1)}
    return tuple(sorted(chosen))


def _day(text: str) -> int:
    name = text.strip().lower()
    found = [number for number, whole in enumerate(_NAMES) if len(name) >= 3 and whole.startswith(name)]
    if not found:
        raise UsageInvalid(f"{text.strip()[:40]!r} is not a day.", hint="Write mon-fri, or mon,wed,sun.")
    return found[0]


def _rate(text: str) -> int:
    rate = parse_rate(text)
    if rate is None:
        raise UsageInvalid(
            "Without a limit outside of its windows, a schedule would mean nothing.",
            hint="Write --outside pause, or a rate such as 500K; `flowhub schedule off` takes the schedule away.",
        )
    return rate
