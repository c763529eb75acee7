"""Silence and slowness: no headers, no byte after them, a stall, a trickle, a rate that drops for good."""

import pytest
from support.fault_files import HALF, MODEL, host_of, serve_model
from support.faults import EndlessHead, NoHeaders, SlowAfter, Stall, StallAfterHeaders, Trickle
from support.models import gguf_pattern
from support.run_fetch import BackgroundRun, TransferRun, journaled_bytes, pinned_artifact, quick, run_transfer

from flowhub_jobs.errors import HeadersTimeout, Stalled, TooSlow
from flowhub_jobs.transfer.fetch import SharedLimits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.rate_limit import TokenBucket

IMPATIENT = quick(connect_s=1, stall_s=1, headers_s=1)  # with less, a busy machine looks like a silent host
HURRIED = quick(slow_bps=100_000, slow_window_s=1.0)  # with less, a busy machine looks like a slow host

SILENCES = {
    "no headers": NoHeaders().once(),
    "headers that never end": EndlessHead().once(),
    "no byte after the headers": StallAfterHeaders().once(),
    "a stall in mid-body": Stall(after=HALF).once(),
}


@pytest.mark.parametrize("fault", SILENCES.values(), ids=SILENCES)
def test_a_host_that_falls_silent_is_asked_again_at_no_cost(origin, downloader, pin, fault):
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, fault), MODEL, origin, IMPATIENT)


CLOCKS = {
    "no headers": (NoHeaders(), {"headers_s": 0.05}, HeadersTimeout, "did not answer within 0.05 s"),
    "headers that never end": (EndlessHead(), {"headers_s": 0.05, "connect_s": 0.05}, HeadersTimeout, "not answer"),
    "no byte after the headers": (StallAfterHeaders(), {"stall_s": 0.05}, Stalled, "sent no byte"),
    "a stall": (Stall(after=1), {"stall_s": 0.05}, Stalled, "sent no byte"),
}


@pytest.mark.parametrize(("fault", "clock", "error", "words"), CLOCKS.values(), ids=CLOCKS)
def test_a_host_that_never_speaks_is_given_up(origin, downloader, fault, clock, error, words):
    """Each timeout alone ends it; the other ones are twenty seconds, which no test waits for."""
    options = quick(faults_max=2, **clock)
    downloader.assert_fails(
        serve_model(origin, True, fault), error, f"m.gguf: {host_of(origin)} ", words, options=options
    )


def test_what_came_before_the_silence_is_kept_for_a_retry(origin, tmp_path):
    artifact = serve_model(origin, True, Stall(after=HALF).once(), NoHeaders().from_byte(1))
    with pytest.raises(HeadersTimeout):
        run_transfer(artifact, tmp_path, options=quick(faults_max=2, headers_s=0.05, stall_s=0.05))
    assert journaled_bytes(tmp_path) == HALF
    origin.break_with(path="/m.gguf")
    assert run_transfer(artifact, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_a_trickle_is_left_and_asked_again(origin, tmp_path):
    result = run_transfer(serve_model(origin, True, Trickle(bps=2000).once()), tmp_path, options=HURRIED)
    assert result.content() == MODEL.read()
    assert result.note_kinds == ["fault"]
    assert origin.sent("m.gguf") - MODEL.size < 5000


def test_a_host_that_is_fast_and_then_slow_for_ever_is_left_where_it_became_slow(origin, tmp_path):
    result = run_transfer(serve_model(origin, True, SlowAfter(after=HALF, bps=2000).once()), tmp_path, options=HURRIED)
    assert result.content() == MODEL.read()
    assert origin.range_starts()[1] >= HALF


def test_a_host_whose_every_answer_becomes_slow_is_asked_again_and_again(origin, downloader):
    """Each answer is fast at first, so a new request is always worth it."""
    downloader.assert_succeeds(serve_model(origin, True, SlowAfter(after=MODEL.size // 3, bps=2000)), MODEL, HURRIED)
    assert len(origin.requests()) >= 3
    assert origin.sent("m.gguf") - MODEL.size < 20_000


def test_a_host_that_is_always_too_slow_is_given_up_with_what_came_in_which_time(origin, downloader):
    options = quick(faults_max=1, slow_bps=100_000, slow_window_s=0.1)
    words = [f"m.gguf: {host_of(origin)} sent only ", "less than 100000 bytes a second"]
    downloader.assert_fails(serve_model(origin, True, Trickle(bps=500)), TooSlow, *words, options=options)


def test_a_rate_limit_does_not_make_a_host_look_slow(origin, tmp_path):
    """The timeouts are suspended while throttled: the host would have been faster."""
    now = [0.0]

    def clock():
        now[0] += 0.002
        return now[0]

    options = quick(stall_s=0.3, slow_bps=1 << 40, slow_window_s=0.5)
    shared = SharedLimits(HostLimits(), TokenBucket(10_000_000, clock))
    result = run_transfer(serve_model(origin, True), tmp_path, options=options, shared=shared)
    assert result.content() == MODEL.read()


def test_stopping_a_job_does_not_wait_for_a_silent_host(origin, tmp_path):
    artifact = serve_model(origin, True, NoHeaders())
    with BackgroundRun(artifact, tmp_path, options=quick(headers_s=600)) as running:
        origin.wait_for(lambda: origin.requests("m.gguf"))
        running.stop()
    assert journaled_bytes(tmp_path) == 0


def test_a_limit_of_a_few_bytes_a_second_is_no_fault_of_the_host(origin, tmp_path):
    tiny = gguf_pattern(70)
    shared = SharedLimits(HostLimits(), TokenBucket(300))
    result = TransferRun(pinned_artifact(origin.serve("tiny.gguf", tiny), tiny), tmp_path, shared=shared).fetch()
    assert result.content() == tiny.read()
    assert result.notes == []
