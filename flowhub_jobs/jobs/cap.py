"""The cap: how many bytes the workers of a node may receive in a local day or month, and how many they have.

Every byte that a transfer reads from a socket is counted by the local day on which it was written down, whether or not
there is a cap. So a new cap counts what came before it, and a change from days to months loses nothing.
"""

from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Any

from flowhub_jobs.database.lazy import Snapshot
from flowhub_jobs.jobs.daylight_saving import day_begins, local_day
from flowhub_jobs.values.enums import Period

CAP = "cap"  # in `controls`: Cap.as_json
_RECEIVED = (
    "SELECT coalesce(sum(bytes), 0) AS received FROM wire_bytes WHERE node = :node AND day >= :first AND day < :next"
)


@dataclass(frozen=True, slots=True)
class Cap:
    """The bytes that may be received in a period."""

    bytes: int
    per: Period

    def as_json(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "per": self.per}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Cap":
        return cls(data["bytes"], Period(data["per"]))


@dataclass(frozen=True, slots=True)
class CapUse:
    """A cap, the bytes that were received in its current period, and when the next one begins (microseconds)."""

    cap: Cap
    received: int
    turns_at: int

    @property
    def left(self) -> int:
        return max(0, self.cap.bytes - self.received)

    @property
    def holds_until(self) -> int | None:
        """Return until when nothing may be fetched; None while something is left."""
        return None if self.left else self.turns_at


def period_of(per: Period, day: date) -> tuple[date, date]:
    """Return the first day of the period that a day is in, and that of the next period."""
    if per is Period.DAY:
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def turns_at(per: Period, now_us: int, zone: tzinfo | None = None) -> int:
    """Return when the next period begins, by the local calendar."""
    return day_begins(period_of(per, local_day(now_us, zone))[1], zone)


def received_in(snapshot: Snapshot, node: str, per: Period, now_us: int, zone: tzinfo | None = None) -> int:
    """Return the bytes that the node has received in the current period."""
    first, following = period_of(per, local_day(now_us, zone))
    rows = snapshot.rows(_RECEIVED, node=node, first=first.isoformat(), next=following.isoformat())
    return int(rows[0]["received"])


def use_of(snapshot: Snapshot, node: str, cap: Cap, now_us: int, zone: tzinfo | None = None) -> CapUse:
    """Return the use of a cap now."""
    return CapUse(cap, received_in(snapshot, node, cap.per, now_us, zone), turns_at(cap.per, now_us, zone))
