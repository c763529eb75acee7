"""Retry decisions by example: again at once, after a wait, or the end of the job."""

import pytest

from flowhub_jobs.errors import (
    AddressExpired,
    ConnectionLost,
    DigestMismatch,
    DiskFull,
    Gated,
    HeadersTimeout,
    NetworkDown,
    ProxyUnusable,
    RedirectRefused,
    ServerBusy,
    SizeMismatch,
    SourceChanged,
    SourceMissing,
    Stalled,
    StorageFailed,
    StoreOffline,
    TlsUntrusted,
    TokenMissing,
    TooSlow,
    WaitTooLong,
    WrongContent,
    WrongRange,
)
from flowhub_jobs.transfer.retry import GiveUp, Patience, PriorFaults, RetryNow, RetryWait, decide, retry_delay

DEFAULT = Patience()
PASSING = [ConnectionLost, HeadersTimeout, Stalled, TooSlow, NetworkDown, ServerBusy, TlsUntrusted]
DAY_S = 86_400.0
FINAL = [SourceMissing, Gated, TokenMissing, ProxyUnusable, RedirectRefused, DigestMismatch, SizeMismatch]


def test_the_default_patience():
    assert (DEFAULT.base_s, DEFAULT.delay_max_s, DEFAULT.faults_max, DEFAULT.server_wait_max_s) == (1, 300, 10, 3600)
    assert DEFAULT.give_up_after_s == DAY_S


@pytest.mark.parametrize("kind", [*PASSING, WrongRange])
def test_a_fault_that_may_pass_is_waited_for(kind):
    assert decide(kind("x"), PriorFaults(1), 0.5, DEFAULT) == RetryWait(0.5)


@pytest.mark.parametrize("kind", PASSING)
def test_an_outage_ends_a_job_after_a_day_without_a_byte_and_not_after_any_number_of_tries(kind):
    assert isinstance(decide(kind("x"), PriorFaults(10_000, DAY_S - 1), 0.5, DEFAULT), RetryWait)
    error = kind("x")
    assert decide(error, PriorFaults(10, DAY_S), 0.5, DEFAULT) == GiveUp(error)
    assert error.hint is not None
    assert error.hint.endswith(
        "It was tried 10 times in a row in 1 d. `flowhub retry JOB` continues with what was kept."
    )


@pytest.mark.parametrize("kind", PASSING)
def test_a_day_with_fewer_than_ten_tries_does_not_end_the_job(kind):
    assert isinstance(decide(kind("x"), PriorFaults(9, 10 * DAY_S), 0.5, DEFAULT), RetryWait)


@pytest.mark.parametrize("kind", [WrongRange, WrongContent, SourceChanged])
def test_a_source_that_never_sends_the_right_bytes_ends_the_job_after_ten_tries(kind):
    error = kind("x")
    assert isinstance(decide(error, PriorFaults(9), 0.5, DEFAULT, free=False), RetryWait)
    assert decide(error, PriorFaults(10), 0.5, DEFAULT, free=False) == GiveUp(error)


@pytest.mark.parametrize("kind", FINAL)
def test_a_permanent_fault_ends_the_job_at_once(kind):
    error = kind("x")
    assert decide(error, PriorFaults(1), 0.5, DEFAULT) == GiveUp(error)


@pytest.mark.parametrize("kind", [DiskFull, StoreOffline, StorageFailed])
def test_a_disk_error_is_not_tried_again_but_parks_the_job(kind):
    error = kind("x")
    assert decide(error, PriorFaults(1), 0.5, DEFAULT) == GiveUp(error)


@pytest.mark.parametrize("kind", [AddressExpired, SourceChanged])
def test_another_address_or_content_is_requested_again_at_no_cost(kind):
    assert decide(kind("x"), PriorFaults(99), 0.5, DEFAULT) == RetryNow()


def test_a_host_that_names_a_time_is_waited_for_exactly():
    assert decide(ServerBusy("x", wait_s=42.0), PriorFaults(1), 0.0, DEFAULT) == RetryWait(42.0, asked_by_host=True)


def test_an_hour_is_waited_for_and_more_is_not():
    assert decide(ServerBusy("x", wait_s=3600.0), PriorFaults(1), 0.0, DEFAULT) == RetryWait(3600.0, asked_by_host=True)
    decision = decide(ServerBusy("busy.", wait_s=7200.0), PriorFaults(1), 0.0, DEFAULT)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, WaitTooLong)
    assert decision.error.message == "busy. The host asks flowhub to wait 7,200 s (2 h); flowhub waits at most 3,600 s."
    assert not decision.error.retryable


def test_the_longest_wait_doubles_until_the_cap():
    assert [retry_delay(faults, 1.0, DEFAULT) for faults in range(1, 12)] == [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300,
    ]  # fmt: skip
