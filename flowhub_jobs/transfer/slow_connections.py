"""Decides which connection is far slower than the others, and when a whole host has collapsed. Pure; times are seconds.

Both happen at CDNs: of the connections to one address two thirds may end at slow edges for as long as they live
(huggingface/xet-core#821), and a client with many connections may get a hundredth of its rate for minutes, while four
keep all of it (huggingface/huggingface_hub#4893).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SLOW_SHARE, ALONE_SHARE = 1 / 4, 1 / 3  # of what the others give; of the best that one connection to the host gave
SLOW_S = 5.0  # for so long a connection is slow before it is replaced
RECENT_S = 4.0  # less than that: where all become slow together, none is replaced
REPLACE_EVERY_S, REPLACED_MAX = 1.0, 8  # one connection at most; of one file
LOW_SHARE, COLLAPSED_S, FEW = 1 / 8, 30.0, 4  # of the host's best; for so long; connections that it is asked with then


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one connection did since the last look: `bps` by the clock, `waiting` the share of the time without bytes.

    Where the disk or the digest is slow, a connection has bytes to read at once, and its rate says nothing of it.
    """

    key: Hashable
    bps: float
    waiting: float

    @property
    def waits(self) -> bool:
        return self.waiting >= 0.5


def middle_rate(rates: Sequence[float]) -> float:
    """Return the rate of the connection that brings the middle byte of all.

    At least the median, and the same where all are alike; but where most connections are slow, the fast ones' rate.
    """
    left = sum(rates) / 2
    for rate in sorted(rates):
        left -= rate
        if left <= 0:
            return rate
    return 0.0


@dataclass(frozen=True, slots=True)
class SlowConnections:
    """The connections to one host that are slow, and since when; `middles` are the middle rates of the last looks.

    A fast connection ends its range between two looks and is not seen then: it is still what the others are held to.
    """

    since: Mapping[Hashable, float] = field(default_factory=dict)
    middles: tuple[tuple[float, float], ...] = ()  # time, rate


def look_for_slow(before: SlowConnections, seen: Sequence[Sighting], at: float, best_alone: float) -> SlowConnections:
    """Return which connections are slow after a look. `best_alone`: the best that one to this host ever had.

    Of several, those that bring less than a quarter of the others' middle rate; a single one, if less than a third of
    `best_alone`.
    """
    recent = tuple(one for one in before.middles if at - one[0] < RECENT_S)
    highest = max((rate for _, rate in recent), default=0.0)
    since = {}
    for one in seen:
        others = [other.bps for other in seen if other is not one]
        limit = max(middle_rate(others), highest) * SLOW_SHARE if others else best_alone * ALONE_SHARE
        if one.waits and one.bps / max(one.waiting, 0.5) < limit:
            since[one.key] = before.since.get(one.key, at)
    middle = middle_rate([one.bps for one in seen])
    return SlowConnections(since, (*recent, (at, middle)) if len(seen) > 1 else recent)


def to_replace(slow_since: Mapping[Any, float], at: float, replaced_at: float) -> Any:
    """Return the connection to replace now: the one that is slow for longest, if that is long enough."""
    if not slow_since or at - replaced_at < REPLACE_EVERY_S:
        return None
    key, since = min(slow_since.items(), key=lambda item: item[1])
    return key if at - since >= SLOW_S else None


@dataclass(frozen=True, slots=True)
class HostPace:
    """The best that a host gave to `best_count` connections together, and since when it gives far less."""

    best_bps: float = 0.0
    best_count: int = 1
    low_since: float | None = None

    @property
    def is_low(self) -> bool:
        return self.low_since is not None

    def has_collapsed(self, at: float) -> bool:
        return self.low_since is not None and at - self.low_since >= COLLAPSED_S

    @property
    def few(self) -> int:
        """How many connections to ask a collapsed host with: no more than were well."""
        return max(1, min(FEW, self.best_count))


def learn_best(pace: HostPace, bps: float, count: int) -> HostPace:
    return replace(pace, best_bps=bps, best_count=count) if bps > pace.best_bps else pace


def watch_pace(pace: HostPace, seen: Sequence[Sighting], at: float) -> HostPace:
    """Return the pace after a look. Fewer connections than at the best need to give only their part of it."""
    total = sum(one.bps for one in seen)
    pace = learn_best(pace, total, len(seen))
    expected = pace.best_bps * min(1.0, len(seen) / pace.best_count)
    waits = sum(one.waits for one in seen) * 2 >= len(seen)
    if not seen or not waits or total >= expected * LOW_SHARE:
        return replace(pace, low_since=None)
    return pace if pace.is_low else replace(pace, low_since=at)
