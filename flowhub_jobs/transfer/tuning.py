"""How many connections: start with one, add while the whole gains, step back when it does not. Pure."""

from dataclasses import dataclass, replace

WINDOW_S = 0.3  # how long a number of connections is watched before it is judged
GAIN = 1.15  # what more connections must bring to be kept
REST_S = 10.0  # before the next try


@dataclass(frozen=True, slots=True)
class Tuning:
    """`count` is what to run now; `held` what was good before; rates are bytes a second of all together."""

    count: int = 1
    held: int = 1
    best: float = 0.0
    since: float = 0.0
    bytes: int = 0
    resting_until: float = 0.0


def tune(now: Tuning, at: float, fetched: int, cap: int) -> Tuning:
    """Return the next tuning, at the time `at` (s) with `fetched` bytes so far, of at most `cap` connections."""
    if at - now.since < WINDOW_S:
        return now
    rate = (fetched - now.bytes) / (at - now.since) if now.since else 0.0
    fresh = replace(now, since=at, bytes=fetched)
    if fetched == now.bytes:  # nothing moved: nothing is learned
        return fresh
    if now.resting_until > at:
        return replace(fresh, best=max(rate, 0.9 * now.best))
    if now.count > now.held:
        if rate < now.best * GAIN:
            return replace(fresh, count=min(now.held, cap), best=max(rate, now.best), resting_until=at + REST_S)
        return _more(replace(fresh, held=now.count, best=rate), cap)
    return _more(replace(fresh, best=rate), cap)


def _more(now: Tuning, cap: int) -> Tuning:
    # Doubling reaches sixteen in four windows; it steps back by half, then rests.
    return replace(now, count=max(1, min(cap, now.count * 2)))
