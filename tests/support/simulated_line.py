"""A line to a host, simulated: what it gives to a number of connections, and how a tuning rides it. No time passes."""

from collections.abc import Callable
from dataclasses import dataclass

from flowhub_jobs.transfer.tuning import Flow, Tuning, tune

TICK_S = 0.05  # how often a transfer looks
START_S = 1000.0  # what a monotonic clock says when it begins


@dataclass(frozen=True)
class Line:
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


def ride(line_at: Callable[[float], Line], cap: int, seconds: float) -> list[Moment]:
    """Return how a tuning rode a line for so long, tick by tick. `line_at` tells the line at a time."""
    now, fetched, moments = Tuning(), 0.0, []
    begun: list[float] = []  # when each connection was
    for tick in range(1, round(seconds / TICK_S) + 1):
        at = tick * TICK_S
        begun = [*begun[: now.count], *[at] * (now.count - len(begun))]
        line = line_at(at)
        flowing = sum(at - since >= line.first_byte_s for since in begun)
        rate = line.rate(flowing)
        moments.append(Moment(at, now.count, rate))
        fetched += rate * TICK_S
        now = tune(now, Flow(START_S + at, int(fetched), flowing), cap)
    return moments


def mean_rate(moments: list[Moment]) -> float:
    return sum(moment.rate for moment in moments) / len(moments)
