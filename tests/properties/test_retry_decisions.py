"""Properties of retry decisions: each fault has one, no wait is endless, no job ends before its retries are used up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.errors import ERRORS, AddressExpired, ServerBusy, SourceChanged, SourceError, WaitTooLong
from flowhub_jobs.transfer.retry import GiveUp, Patience, PriorFaults, RetryNow, RetryWait, decide, retry_delay

DEFAULT = Patience()
HOUR_S = DEFAULT.server_wait_max_s
JITTERS = st.floats(0, 1, exclude_max=True)
FAULTS = st.integers(1, 100_000)
SECONDS = st.floats(0, 1e7)
PRIOR_FAULTS = st.builds(PriorFaults, FAULTS, SECONDS)
PATIENCES = st.builds(
    Patience,
    base_s=st.floats(0.001, 10),
    delay_max_s=st.floats(0.001, 1000),
    faults_max=st.integers(1, 20),
    give_up_after_s=st.floats(0, 1e6),
)
KINDS = st.sampled_from([ERRORS[code] for code in sorted(ERRORS)])
FREE = (AddressExpired, SourceChanged)
PASSING = [kind for kind in ERRORS.values() if issubclass(kind, SourceError) and kind.retryable]


def busy_errors(waits):
    return waits.map(lambda wait_s: ServerBusy("busy.", wait_s=wait_s))


def errors_of(kinds):
    return kinds.map(lambda kind: kind("It failed."))


ERRORS_OF_ANY_KIND = errors_of(KINDS) | busy_errors(st.floats(0, 1e12))
PASSING_ERRORS = errors_of(st.sampled_from(PASSING)) | busy_errors(st.floats(0, HOUR_S))


@given(ERRORS_OF_ANY_KIND, PRIOR_FAULTS, JITTERS, PATIENCES, st.booleans())
def test_every_fault_has_a_decision_and_every_wait_an_end(error, prior, jitter, patience, free):
    decision = decide(error, prior, jitter, patience, free=free)
    assert isinstance(decision, RetryNow | RetryWait | GiveUp)
    if isinstance(decision, RetryWait):
        assert math.isfinite(decision.seconds)
        assert 0 <= decision.seconds <= max(patience.delay_max_s, patience.server_wait_max_s)
    if isinstance(decision, GiveUp):
        assert decision.error is error or isinstance(decision.error, WaitTooLong)


@given(ERRORS_OF_ANY_KIND, PRIOR_FAULTS, JITTERS, PATIENCES, st.booleans())
def test_only_a_new_address_or_content_is_requested_at_once_and_only_while_that_is_free(
    error, prior, jitter, patience, free
):
    at_once = isinstance(decide(error, prior, jitter, patience, free=free), RetryNow)
    assert at_once == (free and isinstance(error, FREE))


@given(PASSING_ERRORS, SECONDS, JITTERS, PATIENCES, st.data())
def test_no_job_ends_before_its_tries_are_used(error, seconds, jitter, patience, data):
    faults = data.draw(st.integers(0, patience.faults_max - 1))
    assert not isinstance(decide(error, PriorFaults(faults, seconds), jitter, patience, free=False), GiveUp)


@given(PASSING_ERRORS, FAULTS, JITTERS, PATIENCES, st.data())
def test_no_job_ends_for_a_fault_that_passes_before_its_time_is_used(error, faults, jitter, patience, data):
    seconds = data.draw(st.floats(0, patience.give_up_after_s, exclude_max=patience.give_up_after_s > 0))
    gave_up = isinstance(decide(error, PriorFaults(faults, seconds), jitter, patience, free=False), GiveUp)
    assert not gave_up or not error.transient or seconds >= patience.give_up_after_s


@given(PASSING_ERRORS, JITTERS, PATIENCES)
def test_a_job_ends_when_its_tries_and_its_time_are_used(error, jitter, patience):
    used = PriorFaults(patience.faults_max, patience.give_up_after_s)
    assert decide(error, used, jitter, patience, free=False) == GiveUp(error)


@given(errors_of(KINDS), PRIOR_FAULTS, JITTERS, PATIENCES)
def test_a_fault_that_no_retry_can_cure_ends_the_job_at_once(error, prior, jitter, patience):
    decision = decide(error, prior, jitter, patience, free=False)
    assert (isinstance(error, SourceError) and error.retryable) or decision == GiveUp(error)


@given(st.floats(0, HOUR_S), st.integers(1, 9), JITTERS)
def test_a_host_that_names_a_time_gets_no_request_before_it(wait_s, faults, jitter):
    decision = decide(ServerBusy("busy.", wait_s=wait_s), PriorFaults(faults), jitter, DEFAULT)
    assert isinstance(decision, RetryWait)
    assert decision.asked_by_host
    assert wait_s <= decision.seconds <= max(wait_s, DEFAULT.delay_max_s)


@given(st.floats(HOUR_S, exclude_min=True, allow_infinity=False), FAULTS, JITTERS)
def test_a_wait_of_more_than_an_hour_ends_the_job_with_its_reason(wait_s, faults, jitter):
    decision = decide(ServerBusy("busy.", wait_s=wait_s), PriorFaults(faults), jitter, DEFAULT)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, WaitTooLong)


# The wait itself -----------------------------------------------------------------------------------------------------


@given(FAULTS, JITTERS, PATIENCES)
def test_a_wait_is_never_longer_than_the_doubled_base_nor_the_cap(faults, jitter, patience):
    delay = retry_delay(faults, jitter, patience)
    assert 0 <= delay <= patience.delay_max_s
    assert delay <= patience.base_s * 2 ** min(faults - 1, 16)


@given(FAULTS, JITTERS, PATIENCES)
def test_the_jitter_is_full(faults, jitter, patience):
    longest = retry_delay(faults, 1.0, patience)
    assert retry_delay(faults, jitter, patience) == pytest.approx(jitter * longest)
    assert retry_delay(faults, 0.0, patience) == 0.0


@given(FAULTS, FAULTS, JITTERS, PATIENCES)
def test_more_faults_never_make_a_shorter_wait(one, other, jitter, patience):
    fewer, more = sorted((one, other))
    assert retry_delay(fewer, jitter, patience) <= retry_delay(more, jitter, patience)
