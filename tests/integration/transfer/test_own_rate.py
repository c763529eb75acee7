"""The speed limit of one transfer, next to the one that all share."""

import time

import pytest
from support.models import gguf_pattern
from support.run_fetch import TransferRun, pinned_artifact, quick

from flowhub_jobs.transfer.rate_limit import TokenBucket, TransferRateLimit

RATE = 2_000_000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_transfer_keeps_to_its_own_limit_although_the_worker_has_none(origin, tmp_path):
    """The upper bound of the speed is asserted, which a slow machine cannot exceed."""
    model = gguf_pattern(3 * RATE // 2, 3)
    url, begin_s = origin.serve("m.gguf", model), time.monotonic()
    run = TransferRun(pinned_artifact(url, model), tmp_path / "partial", options=quick(rate_bps=RATE)).fetch()
    assert run.content() == model.read()
    assert model.size <= RATE * (time.monotonic() - begin_s) * 1.05 + RATE * 0.2


@pytest.mark.parametrize(("own", "shared", "lower"), [(1_000, 5_000, 1_000), (5_000, 1_000, 1_000), (None, 700, 700)])
def test_the_lower_of_the_two_limits_applies(own, shared, lower):
    clock = Clock()
    rate = TransferRateLimit(TokenBucket(shared, clock), TokenBucket(own, clock) if own else None)
    assert rate.limited
    assert rate.read_size(1 << 20) == TokenBucket(lower, clock).read_size(1 << 20)
    assert rate.receive_window == TokenBucket(lower, clock).receive_window
    taken_bytes = 0
    for _ in range(100):
        clock.now += 0.1
        checks = iter(range(1 << 30))
        rate.take(lower // 10, lambda checks=checks: next(checks) > 3)  # a take that would wait gives up
        taken_bytes += lower // 10
    assert taken_bytes == lower * 10


def test_without_a_limit_nothing_is_held_up():
    rate = TransferRateLimit(TokenBucket())
    assert not rate.limited
    assert rate.receive_window is None
    assert rate.read_size(12_345) == 12_345
