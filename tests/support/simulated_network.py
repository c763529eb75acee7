"""A simulated host: its rate for a number of connections, and a concurrency plan run on it in simulated time."""

from collections.abc import Callable
from dataclasses import dataclass

from flowhub_jobs.transfer.concurrency import ConcurrencyPlan, TransferSample, adjust
from flowhub_jobs.transfer.slow_connection_rules import ConnectionSample, HostThroughput, learn_best, update_throughput

SAMPLE_S = 0.5  # period of its samples of the connections
TICK_S = 0.05  # period of a transfer's checks
START_S = 1000.0  # the monotonic clock at the start


@dataclass(frozen=True)
class Link:
    """`each_bps` is the rate of one connection, `whole_bps` that of all together; bytes per second.

    `crowd` is the loss for each connection beyond those that fill the link, as a share of the whole. `first_byte_s` is
    the time to a new connection's first byte.
    """

    each_bps: float
    whole_bps: float
    crowd: float = 0.0
    first_byte_s: float = 0.05

    def rate(self, count: int) -> float:
        """Return the total rate of `count` connections."""
        if not count:
            return 0.0
        surplus = max(0.0, count - max(1.0, self.whole_bps / self.each_bps))
        return min(count * self.each_bps, self.whole_bps) / (1 + self.crowd * surplus)

    def best(self, connections_max: int) -> float:
        """Return the highest total rate of any number of connections up to `connections_max`."""
        return max(self.rate(count) for count in range(1, connections_max + 1))


@dataclass(frozen=True)
class Moment:
    """The number of connections at a time (s from the start), and their total rate."""

    at: float
    count: int
    rate: float


def simulate(link_at: Callable[[float], Link], connections_max: int, seconds: float) -> list[Moment]:
    """Return the connections of a plan tick by tick. `link_at` returns the link at a time."""
    plan, fetched, moments = ConcurrencyPlan(), 0.0, []
    started_at: list[float] = []  # the start of each connection
    for tick in range(1, round(seconds / TICK_S) + 1):
        at = tick * TICK_S
        started_at = [*started_at[: plan.count], *[at] * (plan.count - len(started_at))]
        link = link_at(at)
        flowing = sum(at - start >= link.first_byte_s for start in started_at)
        rate = link.rate(flowing)
        moments.append(Moment(at, plan.count, rate))
        fetched += rate * TICK_S
        plan = adjust(plan, TransferSample(START_S + at, int(fetched), flowing), connections_max)
    return moments


@dataclass
class CrowdedHost:
    """A host that gives each connection `each_bps`, but `crawl_bps` for a minute after more than `most` at once."""

    each_bps: float
    most: int
    crawl_bps: float
    crawls_until: float = 0.0

    def rate_of_one(self, at: float, count: int) -> float:
        if count > self.most:
            self.crawls_until = at + 60.0
        return self.crawl_bps if at < self.crawls_until else self.each_bps


def simulate_crowd(host: CrowdedHost, connections_max: int, seconds: float) -> list[Moment]:
    """Return the connections of a plan that also watches the host's throughput. A range takes 4 s."""
    plan, fetched, moments, throughput = ConcurrencyPlan(), 0.0, [], HostThroughput()
    open_now = 1
    for tick in range(1, round(seconds / TICK_S) + 1):
        at = START_S + tick * TICK_S
        # A surplus connection finishes its range first: in a crawl that takes practically for ever.
        open_now = plan.count if plan.count > open_now or at >= host.crawls_until else open_now
        rate_each = host.rate_of_one(at, open_now)
        moments.append(Moment(at - START_S, open_now, rate_each * open_now))
        fetched += rate_each * open_now * TICK_S
        plan = adjust(plan, TransferSample(at, int(fetched), open_now, is_low=throughput.is_low), connections_max)
        throughput = learn_best(throughput, plan.best_bps, plan.baseline)
        if tick % round(SAMPLE_S / TICK_S) == 0:
            throughput = update_throughput(
                throughput, [ConnectionSample(number, rate_each, 1.0) for number in range(open_now)], at
            )
            if throughput.has_collapsed(at):
                connections_max, open_now, throughput = throughput.few, throughput.few, HostThroughput()
    return moments


def mean_rate(moments: list[Moment]) -> float:
    return sum(moment.rate for moment in moments) / len(moments)
