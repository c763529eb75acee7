"""Decides how many connections to use: one first, more while the total gains, fewer when it does not. Pure."""

from dataclasses import dataclass, replace
from math import inf

WINDOW_S = 0.2  # A number of connections is measured for this long before it is judged.
RECENT = 5  # The best of this many windows is what the network gives.
SETTLE_S = 1.0  # The window begins after this time, even if a new connection has no byte yet.
LEAP = 4  # The number of connections is first multiplied by this,
STEP = 2  # and by this after the first leap without a gain.
GAIN = {LEAP: 1.5, STEP: 1.2}  # A larger number is kept if the total rate grows by this factor.
BACK_OFF_S = 10.0  # The next probe begins after this time, doubled after each probe without a gain.
BACK_OFF_MAX_S = 80.0  # The time between two probes grows no longer than this.


@dataclass(frozen=True, slots=True)
class ConcurrencyPlan:
    """`count` is what to run now; `baseline` the number that proved good, with `best_bps` bytes a second in total.

    While `count` is larger than `baseline`, a larger number is being probed.
    """

    count: int = 1
    baseline: int = 1
    best_bps: float = 0.0
    recent_bps: tuple[float, ...] = ()  # of the last windows with `baseline`
    growth: int = LEAP  # the factor of the next probe
    window_start: float = 0.0  # s; before `is_measuring`, when the count was set
    window_start_bytes: int = 0
    is_measuring: bool = False  # the new connections have sent bytes, and the window has begun
    backing_off_until: float = 0.0
    back_off_s: float = BACK_OFF_S


@dataclass(frozen=True, slots=True)
class TransferSample:
    """The transfer at the time `at` (s): bytes so far, and the connections that have sent some.

    `hash_bound`: the network is faster than the digest, so that more connections are of no use. `digest_bps` is the
    digest's rate. `is_low`: the host gives far less than it did. Then each additional connection gains, and may be what
    keeps the host slow.
    """

    at: float
    fetched: int
    active_connections: int
    hash_bound: bool = False
    digest_bps: float = inf
    is_low: bool = False


def adjust(plan: ConcurrencyPlan, sample: TransferSample, connections_max: int) -> ConcurrencyPlan:
    """Return the next plan, of at most `connections_max` connections."""
    if plan.count > connections_max:
        return _new_window(replace(plan, count=connections_max, baseline=min(plan.baseline, connections_max)), sample)
    if sample.hash_bound and plan.count > 1:
        return _back_off(replace(plan, baseline=max(1, min(plan.baseline, plan.count // 2))), sample)
    if not plan.is_measuring:
        return _wait_until_flowing(plan, sample)
    passed_s, received = sample.at - plan.window_start, sample.fetched - plan.window_start_bytes
    if passed_s < WINDOW_S or received == 0:  # nothing moved: nothing is learned
        return plan
    return _judge(plan, sample, received / passed_s, connections_max)


def _wait_until_flowing(plan: ConcurrencyPlan, sample: TransferSample) -> ConcurrencyPlan:
    waited = plan.window_start and sample.active_connections and sample.at - plan.window_start > SETTLE_S
    if sample.active_connections >= plan.count or waited:
        return _new_window(replace(plan, is_measuring=True), sample)
    return plan if plan.window_start else replace(plan, window_start=sample.at)


def _judge(plan: ConcurrencyPlan, sample: TransferSample, rate_bps: float, connections_max: int) -> ConcurrencyPlan:
    if plan.count > plan.baseline:
        if rate_bps >= plan.best_bps * GAIN[plan.growth]:
            better = replace(plan, baseline=plan.count, best_bps=rate_bps, recent_bps=(rate_bps,))
            return _probe(better, sample, connections_max)
        if plan.growth == LEAP:
            return _probe(replace(plan, growth=STEP), sample, connections_max)
        return _back_off(plan, sample)
    recent = (*plan.recent_bps, rate_bps)[-RECENT:]
    plan = replace(plan, best_bps=max(recent), recent_bps=recent)  # the best: one bad moment is not the network
    wait = plan.backing_off_until > sample.at or sample.is_low
    return _new_window(plan, sample) if wait else _probe(plan, sample, connections_max)


def _probe(plan: ConcurrencyPlan, sample: TransferSample, connections_max: int) -> ConcurrencyPlan:
    can_gain = plan.best_bps * GAIN[plan.growth] <= sample.digest_bps
    count = max(1, min(connections_max, plan.baseline * plan.growth if can_gain else plan.baseline))
    return _new_window(replace(plan, count=count, is_measuring=count == plan.count), sample)


def _back_off(plan: ConcurrencyPlan, sample: TransferSample) -> ConcurrencyPlan:
    until = sample.at + plan.back_off_s
    plan = replace(plan, count=plan.baseline, growth=STEP, backing_off_until=until, is_measuring=True)
    return _new_window(replace(plan, back_off_s=min(BACK_OFF_MAX_S, 2 * plan.back_off_s)), sample)


def _new_window(plan: ConcurrencyPlan, sample: TransferSample) -> ConcurrencyPlan:
    return replace(plan, window_start=sample.at, window_start_bytes=sample.fetched)
