"""A simulated host: its rate for a number of connections, and a concurrency plan that runs on it. No time passes."""

from collections.abc import Callable
from dataclasses import dataclass

from flowhub_jobs.transfer.concurrency import ConcurrencyPlan, Flow, adjust
from flowhub_jobs.transfer.slow_connection_rules import ConnectionSample, HostThroughput, learn_best, update_throughput

LOOK_S = 0.5  # how often it looks at its connections
TICK_S = 0.05  # how often a transfer looks
START_S = 1000.0  # what a monotonic clock says when it begins


@dataclass(frozen=True)
class Link:
    """`each_bps` is what one connection gets, `whole_bps` what all of them get together; bytes a second.

    `crowd`: what every connection beyond those that fill the line costs, as a share of the whole. `first_byte_s`: how
    long a new connection takes to its first byte.
    """

    each_bps: float
    whole_bps: float
    crowd: float = 0.0
    first_byte_s: float = 0.05

    def rate(self, count: int) -> float:
        """Return the bytes a second that `count` connections get together."""
        if not count:
            return 0.0
        too_many = max(0.0, count - max(1.0, self.whole_bps / self.each_bps))
        return min(count * self.each_bps, self.whole_bps) / (1 + self.crowd * too_many)

    def best(self, cap: int) -> float:
        """Return the most that any number of connections up to `cap` gets."""
        return max(self.rate(count) for count in range(1, cap + 1))


@dataclass(frozen=True)
class Moment:
    """What ran at a time (s from the start), and the bytes a second that it got."""

    at: float
    count: int
    rate: float


def simulate(line_at: Callable[[float], Link], cap: int, seconds: float) -> list[Moment]:
    """Return how a tuning rode a line for so long, tick by tick. `line_at` tells the line at a time."""
    now, fetched, moments = ConcurrencyPlan(), 0.0, []
    begun: list[float] = []  # when each connection was
    for tick in range(1, round(seconds / TICK_S) + 1):
        at = tick * TICK_S
        begun = [*begun[: now.count], *[at] * (now.count - len(begun))]
        line = line_at(at)
        flowing = sum(at - since >= line.first_byte_s for since in begun)
        rate = line.rate(flowing)
        moments.append(Moment(at, now.count, rate))
        fetched += rate * TICK_S
        now = adjust(now, Flow(START_S + at, int(fetched), flowing), cap)
    return moments


@dataclass
class CrowdedHost:
    """A host that gives each connection `each_bps`, but next to nothing for a minute after more than `most` at once."""

    each_bps: float
    most: int
    crawl_bps: float
    crawls_until: float = 0.0

    def rate_of_one(self, at: float, count: int) -> float:
        if count > self.most:
            self.crawls_until = at + 60.0
        return self.crawl_bps if at < self.crawls_until else self.each_bps


def simulate_crowd(host: CrowdedHost, cap: int, seconds: float) -> list[Moment]:
    """Return how a tuning and the watch of the host's pace ride it. A connection ends when its range of 4 s does."""
    now, fetched, moments, pace = ConcurrencyPlan(), 0.0, [], HostThroughput()
    open_now = 1
    for tick in range(1, round(seconds / TICK_S) + 1):
        at = START_S + tick * TICK_S
        # A surplus connection finishes its range first: in a crawl that takes as good as for ever.
        open_now = now.count if now.count > open_now or at >= host.crawls_until else open_now
        one = host.rate_of_one(at, open_now)
        moments.append(Moment(at - START_S, open_now, one * open_now))
        fetched += one * open_now * TICK_S
        now = adjust(now, Flow(at, int(fetched), open_now, is_low=pace.is_low), cap)
        pace = learn_best(pace, now.best, now.baseline)
        if tick % round(LOOK_S / TICK_S) == 0:
            pace = update_throughput(pace, [ConnectionSample(number, one, 1.0) for number in range(open_now)], at)
            if pace.has_collapsed(at):
                cap, open_now, pace = pace.few, pace.few, HostThroughput()
    return moments


def mean_rate(moments: list[Moment]) -> float:
    return sum(moment.rate for moment in moments) / len(moments)
