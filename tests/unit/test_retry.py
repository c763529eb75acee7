"""What follows a fault: again now, a wait, or the end."""

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
    TokenMissing,
    TooSlow,
    WaitTooLong,
    WrongContent,
    WrongRange,
)
from flowhub_jobs.transfer.retry import Again, GiveUp, Patience, Wait, decide, retry_delay

PROMISED = Patience()
PASSING = [ConnectionLost, HeadersTimeout, Stalled, TooSlow, NetworkDown, ServerBusy, WrongRange]
FINAL = [SourceMissing, Gated, TokenMissing, ProxyUnusable, RedirectRefused, WrongContent, DigestMismatch, SizeMismatch]


def test_the_contracts_patience():
    assert (PROMISED.base_s, PROMISED.cap_s, PROMISED.faults_max, PROMISED.server_wait_max_s) == (1, 300, 10, 3600)


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_waited_for(kind):
    assert decide(kind("x"), 1, 0.5, PROMISED) == Wait(0.5)


@pytest.mark.parametrize("kind", PASSING)
def test_ten_faults_in_a_row_end_it_with_the_last(kind):
    error = kind("x")
    assert isinstance(decide(error, 9, 0.5, PROMISED), Wait)
    assert decide(error, 10, 0.5, PROMISED) == GiveUp(error)


@pytest.mark.parametrize("kind", FINAL)
def test_what_will_not_change_ends_it_at_once(kind):
    error = kind("x")
    assert decide(error, 1, 0.5, PROMISED) == GiveUp(error)


@pytest.mark.parametrize("kind", [DiskFull, StoreOffline, StorageFailed])
def test_a_disk_is_not_tried_again_but_left_to_whoever_parks_the_job(kind):
    error = kind("x")
    assert decide(error, 1, 0.5, PROMISED) == GiveUp(error)


@pytest.mark.parametrize("kind", [AddressExpired, SourceChanged])
def test_another_address_or_content_is_asked_for_again_at_no_cost(kind):
    assert decide(kind("x"), 99, 0.5, PROMISED) == Again()


def test_a_host_that_names_a_time_is_waited_for_exactly():
    assert decide(ServerBusy("x", wait_s=42.0), 1, 0.0, PROMISED) == Wait(42.0, asked=True)


def test_an_hour_is_waited_for_and_more_is_not():
    assert decide(ServerBusy("x", wait_s=3600.0), 1, 0.0, PROMISED) == Wait(3600.0, asked=True)
    decision = decide(ServerBusy("busy.", wait_s=7200.0), 1, 0.0, PROMISED)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, WaitTooLong)
    assert decision.error.message == "busy. The host asks to wait 7,200 s (2 h); more than 3,600 s is not sat out."
    assert not decision.error.retryable


def test_the_longest_wait_doubles_until_the_cap():
    assert [retry_delay(faults, 1.0, PROMISED) for faults in range(1, 12)] == [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300,
    ]  # fmt: skip
