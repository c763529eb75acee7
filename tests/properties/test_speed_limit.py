"""Whatever is taken and however the limit moves: in any ten seconds no more passes than it allows, and hardly less."""

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from flowhub_jobs.transfer.rate_limit import BURST_S, TokenBucket

STEP_S = 0.02
WINDOW_S = 10.0
CHUNK = 256 * 1024  # bytes; what is taken at once at most
RATES = st.integers(CHUNK, 50_000_000)
PORTIONS = st.integers(1, CHUNK)


class Tap:
    """A bucket on a clock that stands until it is turned, and what has passed at which time."""

    def __init__(self, rate):
        self.now, self.passed = 0.0, []
        self.rates = [(0.0, rate)]
        self.bucket = TokenBucket(rate, lambda: self.now)

    def must_wait(self):
        """Return whether who takes now would have to wait. Nobody does: the question alone is the answer."""
        asked = []
        self.bucket.take(0, lambda: asked.append(True) or True)
        return bool(asked)

    def take(self, count):
        """Take as a fetcher does: the bytes have come, and it goes on when they are paid."""
        self.bucket.take(count, lambda: True)
        while self.must_wait():
            self.now += STEP_S
        self.passed.append((self.now, count))

    def set_rate(self, rate):
        self.bucket.set_rate(rate)
        self.rates.append((self.now, rate))

    def allowed(self, start, end):
        """Return the bytes that the limits from `start` to `end` allow; None where there was no limit at some time."""
        ends = [at for at, _ in self.rates[1:]] + [float("inf")]
        spans = [(max(at, start), min(until, end), rate) for (at, rate), until in zip(self.rates, ends, strict=True)]
        lasting = [(until - at, rate) for at, until, rate in spans if until > at]
        return None if any(rate is None for _, rate in lasting) else sum(time * rate for time, rate in lasting)


DEEDS = st.lists(
    st.tuples(st.just("take"), PORTIONS)
    | st.tuples(st.just("take"), PORTIONS)
    | st.tuples(st.just("rest"), st.floats(0, 12))
    | st.tuples(st.just("rate"), RATES | st.none()),
    max_size=60,
)


def done(rate, deeds):
    tap = Tap(rate)
    for what, how in deeds:
        if what == "take":
            tap.take(how)
        elif what == "rest":
            tap.now += how
        else:
            tap.set_rate(how)
    return tap


@given(RATES, DEEDS)
def test_in_any_ten_seconds_no_more_passes_than_the_limits_of_that_time_allow(rate, deeds):
    tap = done(rate, deeds)
    burst = BURST_S * max((rate for _, rate in tap.rates if rate), default=0)
    for start, first in tap.passed:
        allowed = tap.allowed(start, start + WINDOW_S)
        if allowed is not None:
            # The first of a window was paid for before it.
            came = sum(count for at, count in tap.passed if start <= at <= start + WINDOW_S) - first
            assert came <= 1.05 * allowed + burst + CHUNK


@examples(20)
@given(RATES, st.lists(PORTIONS, min_size=1, max_size=20))
def test_who_takes_all_that_he_can_gets_the_limit_within_five_in_a_hundred(rate, portions):
    tap, turn = Tap(rate), 0
    while tap.now < WINDOW_S and turn < 2000:
        tap.take(portions[turn % len(portions)])
        turn += 1
    if tap.now > 1:
        came, most = sum(count for _, count in tap.passed), rate * tap.now
        # He waits by the clock's steps here, which a real clock does not have.
        assert most - CHUNK - rate * STEP_S <= came <= 1.05 * most + rate * BURST_S + CHUNK


@given(RATES, RATES, PORTIONS)
def test_who_waits_waits_by_the_new_limit_at_once(old, new, debt):
    tap = Tap(old)
    tap.bucket.take(debt, lambda: True)
    tap.set_rate(new)
    tap.now += 0.99 * debt / new
    assert tap.must_wait()
    tap.now += 0.02 * debt / new
    assert not tap.must_wait()


@given(RATES, PORTIONS)
def test_a_waiting_caller_continues_at_once_when_the_limit_is_lifted(rate, debt):
    tap = Tap(rate)
    tap.bucket.take(debt, lambda: True)
    tap.set_rate(None)
    assert not tap.must_wait()


@given(st.lists(RATES | st.none(), max_size=20), RATES)
def test_moving_the_limit_to_and_fro_gives_nothing_away(rates, last):
    tap = Tap(last)
    for rate in [*rates, last]:
        tap.set_rate(rate)
    tap.bucket.take(1, lambda: True)
    assert tap.must_wait()
