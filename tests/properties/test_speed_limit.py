"""Properties of TokenBucket: in any ten seconds no more passes than the limits of that time allow, and hardly less."""

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from flowhub_jobs.transfer.rate_limit import BURST_S, TokenBucket

STEP_S = 0.02
WINDOW_S = 10.0
CHUNK = 256 * 1024  # bytes; the most that one call takes
RATES = st.integers(CHUNK, 50_000_000)
COUNTS = st.integers(1, CHUNK)


class MeteredBucket:
    """A bucket on a manual clock, with a log of the bytes that passed and when."""

    def __init__(self, rate):
        self.now, self.passed = 0.0, []
        self.rates = [(0.0, rate)]
        self.bucket = TokenBucket(rate, lambda: self.now)

    def must_wait(self):
        """Return whether a caller would have to wait now: only then does `take` poll for a stop."""
        polls = []
        self.bucket.take(0, lambda: polls.append(True) or True)
        return bool(polls)

    def take(self, count):
        """Take as a fetcher does: it has received the bytes, and continues when the limit allows them."""
        self.bucket.take(count, lambda: True)
        while self.must_wait():
            self.now += STEP_S
        self.passed.append((self.now, count))

    def set_rate(self, rate):
        self.bucket.set_rate(rate)
        self.rates.append((self.now, rate))

    def allowed(self, start, end):
        """Return the bytes that the limits from `start` to `end` allow; None if there was no limit at some time."""
        ends = [at for at, _ in self.rates[1:]] + [float("inf")]
        spans = [(max(at, start), min(until, end), rate) for (at, rate), until in zip(self.rates, ends, strict=True)]
        lasting = [(until - at, rate) for at, until, rate in spans if until > at]
        return None if any(rate is None for _, rate in lasting) else sum(time * rate for time, rate in lasting)


ACTIONS = st.lists(
    st.tuples(st.just("take"), COUNTS)
    | st.tuples(st.just("take"), COUNTS)
    | st.tuples(st.just("rest"), st.floats(0, 12))
    | st.tuples(st.just("rate"), RATES | st.none()),
    max_size=60,
)


def run_actions(rate, actions):
    metered = MeteredBucket(rate)
    for action, value in actions:
        if action == "take":
            metered.take(value)
        elif action == "rest":
            metered.now += value
        else:
            metered.set_rate(value)
    return metered


@given(RATES, ACTIONS)
def test_in_any_ten_seconds_no_more_passes_than_the_limits_of_that_time_allow(rate, actions):
    metered = run_actions(rate, actions)
    burst = BURST_S * max((rate for _, rate in metered.rates if rate), default=0)
    for start, first in metered.passed:
        allowed = metered.allowed(start, start + WINDOW_S)
        if allowed is not None:
            # The first take of a window was waited for before it.
            received = sum(count for at, count in metered.passed if start <= at <= start + WINDOW_S) - first
            assert received <= 1.05 * allowed + burst + CHUNK


@examples(20)
@given(RATES, st.lists(COUNTS, min_size=1, max_size=20))
def test_a_caller_that_takes_all_it_can_gets_the_limit_within_5_percent(rate, counts):
    metered, takes = MeteredBucket(rate), 0
    while metered.now < WINDOW_S and takes < 2000:
        metered.take(counts[takes % len(counts)])
        takes += 1
    if metered.now > 1:
        received, limit = sum(count for _, count in metered.passed), rate * metered.now
        # This clock moves in steps, so a wait may be a step too long.
        assert limit - CHUNK - rate * STEP_S <= received <= 1.05 * limit + rate * BURST_S + CHUNK


@given(RATES, RATES, COUNTS)
def test_a_waiting_caller_waits_by_the_new_limit_at_once(old, new, debt):
    metered = MeteredBucket(old)
    metered.bucket.take(debt, lambda: True)
    metered.set_rate(new)
    metered.now += 0.99 * debt / new
    assert metered.must_wait()
    metered.now += 0.02 * debt / new
    assert not metered.must_wait()


@given(RATES, COUNTS)
def test_a_waiting_caller_continues_at_once_when_the_limit_is_lifted(rate, debt):
    metered = MeteredBucket(rate)
    metered.bucket.take(debt, lambda: True)
    metered.set_rate(None)
    assert not metered.must_wait()


@given(st.lists(RATES | st.none(), max_size=20), RATES)
def test_changing_the_limit_often_lets_no_extra_bytes_through(rates, last):
    metered = MeteredBucket(last)
    for rate in [*rates, last]:
        metered.set_rate(rate)
    metered.bucket.take(1, lambda: True)
    assert metered.must_wait()
