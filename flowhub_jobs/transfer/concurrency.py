"""How many connections: start with one, add while the whole gains, step back when it does not. Pure."""

from dataclasses import dataclass, replace
from math import inf

WINDOW_S = 0.2  # how long a number of connections is watched before it is judged
RECENT = 5  # windows, of which the best is what the line gives
SETTLE_S = 1.0  # the longest that new connections may take to their first bytes before the window begins
LEAP, STEP = 4, 2  # at first by leaps, then by steps
GAIN = {LEAP: 1.5, STEP: 1.2}  # kept if all together are that much faster
REST_S, REST_MAX_S = 10.0, 80.0  # before the next try; longer after each that brought nothing


@dataclass(frozen=True, slots=True)
class ConcurrencyPlan:
    """`count` is what to run now; `held` what was good before, at `best` bytes a second of all together."""

    count: int = 1
    held: int = 1
    best: float = 0.0
    recent: tuple[float, ...] = ()  # bytes a second of the last windows with `held`
    factor: int = LEAP
    since: float = 0.0  # when the window began; before it is settled, when the count was set
    bytes: int = 0
    settled: bool = False
    resting_until: float = 0.0
    rest_s: float = REST_S


@dataclass(frozen=True, slots=True)
class Flow:
    """How it flows, at the time `at` (s): bytes so far, connections that have brought some.

    `outrun`: the line is faster than the digest can follow; more of it is of no use. `digest_bps`: what it can.
    `is_low`: the host gives far less than it did. Then each connection more gains, and may be what keeps it so.
    """

    at: float
    fetched: int
    flowing: int
    outrun: bool = False
    digest_bps: float = inf
    is_low: bool = False


def adjust(now: ConcurrencyPlan, flow: Flow, cap: int) -> ConcurrencyPlan:
    """Return the next tuning, of at most `cap` connections."""
    if now.count > cap:
        return _anew(replace(now, count=cap, held=min(now.held, cap)), flow)
    if flow.outrun and now.count > 1:
        return _rest(replace(now, held=max(1, min(now.held, now.count // 2))), flow)
    if not now.settled:
        return _settle(now, flow)
    if flow.at - now.since < WINDOW_S or flow.fetched == now.bytes:  # nothing moved: nothing is learned
        return now
    return _judge(now, flow, (flow.fetched - now.bytes) / (flow.at - now.since), cap)


def _settle(now: ConcurrencyPlan, flow: Flow) -> ConcurrencyPlan:
    waited = now.since and flow.flowing and flow.at - now.since > SETTLE_S
    if flow.flowing >= now.count or waited:
        return _anew(replace(now, settled=True), flow)
    return now if now.since else replace(now, since=flow.at)


def _judge(now: ConcurrencyPlan, flow: Flow, rate: float, cap: int) -> ConcurrencyPlan:
    if now.count > now.held:
        if rate >= now.best * GAIN[now.factor]:
            return _more(replace(now, held=now.count, best=rate, recent=(rate,)), flow, cap)
        if now.factor == LEAP:
            return _more(replace(now, factor=STEP), flow, cap)
        return _rest(now, flow)
    recent = (*now.recent, rate)[-RECENT:]
    now = replace(now, best=max(recent), recent=recent)  # one bad moment is not the line
    return _anew(now, flow) if now.resting_until > flow.at or flow.is_low else _more(now, flow, cap)


def _more(now: ConcurrencyPlan, flow: Flow, cap: int) -> ConcurrencyPlan:
    can_gain = now.best * GAIN[now.factor] <= flow.digest_bps
    count = max(1, min(cap, now.held * now.factor if can_gain else now.held))
    return _anew(replace(now, count=count, settled=count == now.count), flow)


def _rest(now: ConcurrencyPlan, flow: Flow) -> ConcurrencyPlan:
    resting = replace(now, count=now.held, factor=STEP, resting_until=flow.at + now.rest_s, settled=True)
    return _anew(replace(resting, rest_s=min(REST_MAX_S, 2 * now.rest_s)), flow)


def _anew(now: ConcurrencyPlan, flow: Flow) -> ConcurrencyPlan:
    """Begin a new window."""
    return replace(now, since=flow.at, bytes=flow.fetched)
