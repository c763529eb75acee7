"""Decides which connection is far slower than the others, and when a whole host has collapsed. Pure; times in seconds.

Both happen at CDNs: of the connections to one address two thirds may end at slow edges for as long as they live
(huggingface/xet-core#821), and a client with many connections may get a hundredth of its rate for minutes, while four
keep all of it (huggingface/huggingface_hub#4893).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SLOW_SHARE = 1 / 4  # A connection with less than this share of the others' middle rate is slow.
ALONE_SHARE = 1 / 3  # A single connection is slow with less than this share of the best that one to its host had.
SLOW_S = 5.0  # A connection that is slow for this long is replaced.
RECENT_S = 4.0  # Less than SLOW_S: if all become slow together, their old rate is forgotten before any is replaced.
REPLACE_EVERY_S = 1.0  # At most one connection is replaced within this time.
REPLACED_MAX = 8  # No more connections to one address of a file are replaced.
LOW_SHARE = 1 / 8  # A host that gives less than this share of its best total rate is low.
COLLAPSED_S = 30.0  # A host that is low for this long has collapsed.
FEW = 4  # No more connections are opened to a collapsed host.


@dataclass(frozen=True, slots=True)
class ConnectionSample:
    """What one connection did in the last interval: `bps` by the clock, `waiting` the share of the time without bytes.

    Where the disk or the digest is slow, bytes wait to be read, and the rate says nothing about the connection.
    """

    key: Hashable
    bps: float
    waiting: float

    @property
    def waits(self) -> bool:
        return self.waiting >= 0.5


def middle_rate(rates: Sequence[float]) -> float:
    """Return the rate of the connection that brings the middle one of all bytes.

    It is at least the median, and the median if all are alike. If most connections are slow, it is the fast ones' rate.
    """
    remaining = sum(rates) / 2
    for rate in sorted(rates):
        remaining -= rate
        if remaining <= 0:
            return rate
    return 0.0


@dataclass(frozen=True, slots=True)
class SlowConnections:
    """The slow connections to one host, and since when; `middles` are the recent middle rates.

    A fast connection may end its range between two samples and be in neither: the recent rates still count it.
    """

    since: Mapping[Hashable, float] = field(default_factory=dict)
    middles: tuple[tuple[float, float], ...] = ()  # time, rate


def find_slow(
    before: SlowConnections, samples: Sequence[ConnectionSample], at: float, best_alone: float
) -> SlowConnections:
    """Return the slow connections of an interval. `best_alone`: the best rate that one to this host ever had.

    Several connections are compared with each other: less than a quarter of the others' middle rate is slow. A single
    one is slow with less than a third of `best_alone`.
    """
    recent = tuple(middle for middle in before.middles if at - middle[0] < RECENT_S)
    highest = max((rate for _, rate in recent), default=0.0)
    since = {}
    for sample in samples:
        others = [other.bps for other in samples if other is not sample]
        limit = max(middle_rate(others), highest) * SLOW_SHARE if others else best_alone * ALONE_SHARE
        if sample.waits and sample.bps / max(sample.waiting, 0.5) < limit:
            since[sample.key] = before.since.get(sample.key, at)
    middle = middle_rate([sample.bps for sample in samples])
    return SlowConnections(since, (*recent, (at, middle)) if len(samples) > 1 else recent)


def choose_replacement(slow_since: Mapping[Any, float], at: float, replaced_at: float) -> Any:
    """Return the connection to replace now: the one that has been slow for longest, if that is long enough."""
    if not slow_since or at - replaced_at < REPLACE_EVERY_S:
        return None
    key, since = min(slow_since.items(), key=lambda item: item[1])
    return key if at - since >= SLOW_S else None


@dataclass(frozen=True, slots=True)
class HostThroughput:
    """The best total rate of a host, with `best_count` connections, and since when it is far lower."""

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
        """The connections to use with a collapsed host: no more than worked well."""
        return max(1, min(FEW, self.best_count))


def learn_best(throughput: HostThroughput, bps: float, count: int) -> HostThroughput:
    return replace(throughput, best_bps=bps, best_count=count) if bps > throughput.best_bps else throughput


def update_throughput(throughput: HostThroughput, samples: Sequence[ConnectionSample], at: float) -> HostThroughput:
    """Return the throughput after an interval. Fewer connections than at the best are expected to give only a part."""
    total = sum(sample.bps for sample in samples)
    throughput = learn_best(throughput, total, len(samples))
    expected = throughput.best_bps * min(1.0, len(samples) / throughput.best_count)
    waits = sum(sample.waits for sample in samples) * 2 >= len(samples)
    if not samples or not waits or total >= expected * LOW_SHARE:
        return replace(throughput, low_since=None)
    return throughput if throughput.is_low else replace(throughput, low_since=at)
