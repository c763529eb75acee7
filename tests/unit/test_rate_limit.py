"""TokenBucket: it lets through its rate times the time on its clock, and no more."""

import threading

import pytest

from flowhub_jobs.transfer.first_bytes_check import HEAD_BYTES
from flowhub_jobs.transfer.rate_limit import TokenBucket


class TickingClock:
    """A clock that advances by a step at each reading: a wait by it takes no real time."""

    def __init__(self, step=0.001):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def never():
    return False


def test_many_takes_pass_at_the_rate_within_2_percent():
    clock = TickingClock(step=0.0005)
    bucket, passed = TokenBucket(100_000_000, clock), 0
    while clock.now < 0.5:
        bucket.take(200_000, never)
        passed += 200_000
    assert passed == pytest.approx(100_000_000 * clock.now, rel=0.02)


def test_unused_time_is_not_saved_up():
    clock = TickingClock()
    bucket = TokenBucket(1_000_000, clock)
    clock.now += 3600
    start = clock.now
    bucket.take(110_000, never)
    assert clock.now - start >= 0.01


def test_without_a_limit_no_caller_waits():
    bucket = TokenBucket(None, lambda: 0.0)
    bucket.take(10**12, never)


def test_a_caller_that_stops_does_not_wait():
    TokenBucket(1, lambda: 0.0).take(10**12, lambda: True)


def start_waiting_thread(bucket, count):
    """Return a thread that takes `count` bytes and waits, as the clock stands still."""
    polled = threading.Event()

    def stopped():
        polled.set()
        return False

    thread = threading.Thread(target=bucket.take, args=(count, stopped), daemon=True)
    thread.start()
    assert polled.wait(30)
    return thread


def test_a_waiting_caller_continues_when_the_limit_is_lifted():
    bucket = TokenBucket(1, lambda: 0.0)
    thread = start_waiting_thread(bucket, 10**12)
    bucket.set_rate(None)
    thread.join(30)
    assert not thread.is_alive()


def test_a_waiting_caller_waits_by_the_new_rate():
    now = [0.0]
    bucket = TokenBucket(1, lambda: now[0])
    thread = start_waiting_thread(bucket, 1_000_000)
    bucket.set_rate(1_000_000)
    now[0] = 1.0
    thread.join(30)
    assert not thread.is_alive()


def test_a_limit_that_is_set_while_it_flows_gives_no_burst():
    clock = TickingClock()
    bucket = TokenBucket(None, clock)
    bucket.take(10**9, never)
    bucket.set_rate(1_000_000)
    start = clock.now
    bucket.take(20_000, never)
    assert clock.now - start >= 0.02 - 0.001


@pytest.mark.parametrize("rate", [1, 300, 1_000_000, None])
def test_a_read_is_never_too_small_for_a_files_first_bytes(rate):
    assert HEAD_BYTES <= TokenBucket(rate).read_size(1 << 20) <= 1 << 20
    assert TokenBucket(rate).read_size(10) == 10
