"""Decides how many connections to use: one first, more while the total gains, fewer when it does not. Pure."""

from dataclasses import dataclass, replace
from math import inf

WINDOW_S = 0.2  # how long a number of connections is measured before it is judged
RECENT = 5  # windows; the best of them is what the network gives
SETTLE_S = 1.0  # the longest that new connections may take to their first bytes before the window begins
LEAP, STEP = 4, 2  # factors: large ones first, then small ones
GAIN = {LEAP: 1.5, STEP: 1.2}  # a larger number is kept if the total gains this much
BACK_OFF_S, BACK_OFF_MAX_S = 10.0, 80.0  # before the next probe; doubled after each probe without a gain


@dataclass(frozen=True, slots=True)
class ConcurrencyPlan:
    """`count` is what to run now; `baseline` the number that proved good, with `best` bytes a second in total.

    While `count` is larger than `baseline`, a larger number is being probed.
    """

    count: int = 1
    baseline: int = 1
    best: float = 0.0
    recent: tuple[float, ...] = ()  # bytes a second of the last windows with `baseline`
    factor: int = LEAP
    since: float = 0.0  # when the window began; before it is settled, when the count was set
    bytes: int = 0
    settled: bool = False
    backing_off_until: float = 0.0
    back_off_s: float = BACK_OFF_S


@dataclass(frozen=True, slots=True)
class Flow:
    """The transfer at the time `at` (s): bytes so far, and connections that have brought some.

    `hash_bound`: the network is faster than the digest, so that more connections are of no use. `digest_bps` is the
    digest's rate. `is_low`: the host gives far less than it did. Then each additional connection gains, and may be what
    keeps the host slow.
    """

    at: float
    fetched: int
    flowing: int
    hash_bound: bool = False
    digest_bps: float = inf
    is_low: bool = False


def adjust(plan: ConcurrencyPlan, flow: Flow, connections_max: int) -> ConcurrencyPlan:
    """Return the next plan, of at most `cap` connections."""
    if plan.count > connections_max:
        return _new_window(replace(plan, count=connections_max, baseline=min(plan.baseline, connections_max)), flow)
    if flow.hash_bound and plan.count > 1:
        return _back_off(replace(plan, baseline=max(1, min(plan.baseline, plan.count // 2))), flow)
    if not plan.settled:
        return _wait_until_flowing(plan, flow)
    if flow.at - plan.since < WINDOW_S or flow.fetched == plan.bytes:  # nothing moved: nothing is learned
        return plan
    return _judge(plan, flow, (flow.fetched - plan.bytes) / (flow.at - plan.since), connections_max)


def _wait_until_flowing(plan: ConcurrencyPlan, flow: Flow) -> ConcurrencyPlan:
    waited = plan.since and flow.flowing and flow.at - plan.since > SETTLE_S
    if flow.flowing >= plan.count or waited:
        return _new_window(replace(plan, settled=True), flow)
    return plan if plan.since else replace(plan, since=flow.at)


def _judge(plan: ConcurrencyPlan, flow: Flow, rate: float, connections_max: int) -> ConcurrencyPlan:
    if plan.count > plan.baseline:
        if rate >= plan.best * GAIN[plan.factor]:
            return _probe(replace(plan, baseline=plan.count, best=rate, recent=(rate,)), flow, connections_max)
        if plan.factor == LEAP:
            return _probe(replace(plan, factor=STEP), flow, connections_max)
        return _back_off(plan, flow)
    recent = (*plan.recent, rate)[-RECENT:]
    plan = replace(plan, best=max(recent), recent=recent)  # the best: one bad moment is not the network
    wait = plan.backing_off_until > flow.at or flow.is_low
    return _new_window(plan, flow) if wait else _probe(plan, flow, connections_max)


def _probe(plan: ConcurrencyPlan, flow: Flow, connections_max: int) -> ConcurrencyPlan:
    can_gain = plan.best * GAIN[plan.factor] <= flow.digest_bps
    count = max(1, min(connections_max, plan.baseline * plan.factor if can_gain else plan.baseline))
    return _new_window(replace(plan, count=count, settled=count == plan.count), flow)


def _back_off(plan: ConcurrencyPlan, flow: Flow) -> ConcurrencyPlan:
    until = flow.at + plan.back_off_s
    plan = replace(plan, count=plan.baseline, factor=STEP, backing_off_until=until, settled=True)
    return _new_window(replace(plan, back_off_s=min(BACK_OFF_MAX_S, 2 * plan.back_off_s)), flow)


def _new_window(plan: ConcurrencyPlan, flow: Flow) -> ConcurrencyPlan:
    return replace(plan, since=flow.at, bytes=flow.fetched)
