"""Statuses: 408, 425, 429 and 500 to 504, with each form of Retry-After and the Hub's RateLimit; permanent ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.fault_files import HALF, MODEL, OTHER, host_of, serve_model
from support.fault_ways import ApiDownloader
from support.faults import Reset, Status
from support.origin import Origin
from support.run_fetch import folder_artifact, hold_after, journaled_bytes, pinned_artifact, quick, run_transfer

from flowhub_jobs.errors import ServerBusy, SourceMissing, SourceRefused, WaitTooLong
from flowhub_jobs.transfer.fetch import RetryLater, SharedLimits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.rate_limit import TokenBucket

MIB = 1 << 20
TEMPORARY = [408, 425, 429, 500, 502, 503, 504, 520, 529, 599]
ALSO_TEMPORARY = [202, 419, 420, 421, 423, 430, 440, 444, 449, 460, 463, 494, 495, 496, 497, 498, 499]
ALSO_TEMPORARY += [501, 505, 507, 509, 511, *range(521, 529), 530, 598, 999]


def http_date(seconds):
    """Return the HTTP date of the time `seconds` from now."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


# Asked for no more than a moment -------------------------------------------------------------------------------------

SHORT_WAITS = {
    "no Retry-After": dict,
    "Retry-After of nothing": lambda: {"Retry-After": "0"},
    "Retry-After of a date that has passed": lambda: {"Retry-After": http_date(-3600)},
    "Retry-After that is neither a number nor a date": lambda: {"Retry-After": "soon"},
    "Retry-After below zero": lambda: {"Retry-After": "-60"},
    "RateLimit that resets now": lambda: {"RateLimit": '"api";r=0;t=0'},
    "RateLimit with something left": lambda: {"RateLimit": '"api";r=7;t=3000'},
}


@pytest.mark.parametrize("headers", SHORT_WAITS.values(), ids=SHORT_WAITS)
@pytest.mark.parametrize("status", TEMPORARY)
def test_a_busy_host_is_asked_again_within_the_run_at_no_cost(origin, tmp_path, status, headers):
    result = run_transfer(serve_model(origin, True, Status(status, headers()).once()), tmp_path)
    assert result.content() == MODEL.read()
    assert result.fetched.bytes_fetched == origin.sent("m.gguf") == MODEL.size
    assert len(origin.requests()) == 2
    assert f"answers {status}" in result.notes[0].text


@pytest.mark.parametrize("status", ALSO_TEMPORARY)
def test_a_status_of_no_standard_is_a_fault_that_passes(origin, tmp_path, status):
    result = run_transfer(serve_model(origin, True, Status(status).once()), tmp_path)
    assert result.content() == MODEL.read()
    assert result.fetched.bytes_fetched == origin.sent("m.gguf") == MODEL.size


@pytest.mark.parametrize("status", TEMPORARY)
def test_a_busy_host_costs_no_byte_twice(origin, downloader, pin, status):
    busy = [Status(status).first(2), Reset(after=HALF).nth(3), Status(status).nth(4)]
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, *busy), MODEL, origin)


# Asked for peace -----------------------------------------------------------------------------------------------------

PEACE = {
    "Retry-After in seconds": lambda: {"Retry-After": "60"},
    "Retry-After as a date": lambda: {"Retry-After": http_date(60)},
    "RateLimit": lambda: {"RateLimit": '"api";r=0;t=60'},
    "Retry-After, and a RateLimit that says less": lambda: {"Retry-After": "60", "RateLimit": '"api";r=0;t=1'},
}


@pytest.mark.parametrize("headers", PEACE.values(), ids=PEACE)
@pytest.mark.parametrize("status", TEMPORARY)
def test_a_long_wait_gives_the_slot_away_with_the_time_that_was_asked(origin, tmp_path, status, headers):
    with pytest.raises(RetryLater) as raised:
        run_transfer(serve_model(origin, True, Status(status, headers())), tmp_path)
    assert 50 < raised.value.seconds <= 60
    assert raised.value.asked_by_host
    assert raised.value.faults.faults == 1
    assert isinstance(raised.value.error, ServerBusy)
    assert f"m.gguf: {host_of(origin)} answers {status}" in raised.value.error.message
    assert len(origin.requests()) == 1


class Slept(Exception):
    """Raised instead of a sleep."""


def test_a_download_without_a_queue_sleeps_the_time_that_was_asked(origin, tmp_path, home, monkeypatch):
    def sleep(seconds):
        raise Slept(seconds)

    artifact = serve_model(origin, True, Reset(after=HALF).once(), Status(503, {"Retry-After": "60"}).nth(2))
    downloader = ApiDownloader(tmp_path / "store", home, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("flowhub_jobs.operations.download_without_queue.time.sleep", sleep)
        with pytest.raises(Slept) as slept:
            downloader.fetch(artifact)
    assert 50 < slept.value.args[0] <= 60
    assert downloader.final_names() == []
    downloader.assert_succeeds_without_refetch(artifact, MODEL, origin)


def test_kept_bytes_stay_while_a_host_asks_for_a_wait(origin, tmp_path):
    artifact = serve_model(origin, True, Reset(after=HALF).once(), Status(503, {"Retry-After": "60"}).nth(2))
    with pytest.raises(RetryLater):
        run_transfer(artifact, tmp_path)
    assert journaled_bytes(tmp_path) == HALF
    assert run_transfer(artifact, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_a_host_that_asked_for_a_wait_gets_it_from_every_job(origin, tmp_path):
    shared = SharedLimits(HostLimits(), TokenBucket())
    with pytest.raises(RetryLater):
        run_transfer(serve_model(origin, True, Status(429, {"Retry-After": "60"})), tmp_path / "one", shared=shared)
    other = pinned_artifact(origin.serve("other.gguf", OTHER), OTHER)
    with pytest.raises(RetryLater) as raised:
        run_transfer(other, tmp_path / "two", shared=shared)
    assert raised.value.asked_by_host
    assert origin.requests("other.gguf") == []


def test_a_running_job_sends_no_request_to_a_host_that_asked_another_for_a_wait(origin, tmp_path):
    shared = SharedLimits(HostLimits(), TokenBucket())
    with hold_after(HALF, serve_model(origin, True), tmp_path / "one", origin, shared=shared) as running:
        busy = origin.serve("busy.gguf", OTHER, faults=[Status(429, {"Retry-After": "60"})])
        with pytest.raises(RetryLater):
            run_transfer(pinned_artifact(busy, OTHER), tmp_path / "two", shared=shared)
        origin.drop_connections()
        with pytest.raises(RetryLater) as raised:
            running.result()
    assert raised.value.asked_by_host
    assert len(origin.requests("m.gguf")) == 1
    assert journaled_bytes(tmp_path / "one") == HALF


def test_a_wait_for_one_host_holds_no_other_host(origin, tmp_path):
    shared = SharedLimits(HostLimits(), TokenBucket())
    with pytest.raises(RetryLater):
        run_transfer(serve_model(origin, True, Status(429, {"Retry-After": "60"})), tmp_path / "one", shared=shared)
    with Origin() as other:
        artifact = pinned_artifact(other.serve("m.gguf", OTHER), OTHER)
        assert run_transfer(artifact, tmp_path / "two", shared=shared).content() == OTHER.read()


# Asked for too much --------------------------------------------------------------------------------------------------

ABSURD = {
    "Retry-After of months, in seconds": lambda: {"Retry-After": "10000000"},
    "Retry-After of more seconds than there are": lambda: {"Retry-After": "9" * 400},
    "Retry-After of months, as a date": lambda: {"Retry-After": http_date(10_000_000)},
    "RateLimit of months": lambda: {"RateLimit": '"api";r=0;t=10000000'},
}


@pytest.mark.parametrize("headers", ABSURD.values(), ids=ABSURD)
@pytest.mark.parametrize("status", TEMPORARY)
def test_an_absurd_wait_is_a_failure_that_says_so(origin, tmp_path, status, headers):
    with pytest.raises(
        WaitTooLong, match=rf"m\.gguf: 127\.0\.0\.1:\d+ answers {status}\. The host asks flowhub to wait "
    ):
        run_transfer(serve_model(origin, True, Status(status, headers())), tmp_path)
    assert len(origin.requests()) == 1


def test_an_absurd_wait_is_refused_with_the_requested_and_the_longest_wait(origin, downloader):
    absurd = serve_model(origin, True, Status(503, {"Retry-After": "10000000"}))
    error = downloader.assert_fails(
        absurd, WaitTooLong, "m.gguf", host_of(origin), "10,000,000 s (115 d 17 h)", "at most 3,600 s"
    )
    assert "`flowhub retry " in error["hint"] or "download() again" in error["hint"]


# Ten in a row --------------------------------------------------------------------------------------------------------


def test_ten_faults_in_a_row_end_it_with_the_last(origin, downloader):
    artifact = serve_model(origin, True, Status(503).first(9), Status(500).nth(10))
    error = downloader.assert_fails(artifact, ServerBusy, f"m.gguf: {host_of(origin)} answers 500")
    assert "10 times in a row" in error["hint"]
    assert len(origin.requests()) == 10


def test_nine_faults_in_a_row_do_not(origin, downloader):
    downloader.assert_succeeds_without_refetch(serve_model(origin, True, Status(503).first(9)), MODEL, origin)


def test_a_new_byte_after_nine_faults_makes_the_budget_fresh(origin, downloader):
    later = [Status(502).nth(number) for number in range(11, 19)]
    faults = [Status(503).first(9), Reset(after=100_000).nth(10), *later]
    downloader.assert_succeeds_without_refetch(
        serve_model(origin, True, *faults), MODEL, origin, quick(connections_per_host=1)
    )
    assert len(origin.requests()) == 19


# What will not change ------------------------------------------------------------------------------------------------

FINAL = {402: SourceRefused, 404: SourceMissing, 410: SourceMissing, 451: SourceRefused}


@pytest.mark.parametrize(("status", "error"), FINAL.items())
def test_a_status_that_will_not_change_ends_it_at_once(origin, downloader, status, error):
    downloader.assert_fails(serve_model(origin, True, Status(status)), error, f"m.gguf: {host_of(origin)} ", status)
    assert len(origin.requests()) == 1


@pytest.mark.parametrize("status", [304, 400, 403, 405, 409, 412, 413, 417, 431, 418])
def test_a_status_that_may_be_about_the_range_ends_it_when_no_other_form_of_range_helps(origin, downloader, status):
    downloader.assert_fails(
        serve_model(origin, True, Status(status)), SourceRefused, f"m.gguf: {host_of(origin)} answers {status}"
    )
    end = MODEL.size - 1
    forms = [f"bytes=0-{end}", f"bytes=0-{end}", "bytes=0-", "bytes=0-1048575", None]
    assert [request.range for request in origin.requests()] == forms


# Refused after a part of it came -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 418])
def test_a_host_that_refuses_for_a_while_what_it_has_begun_to_send_is_asked_again_at_no_cost(
    origin, downloader, pin, status
):
    """As from a firewall that limits requests."""
    refuses = replace(Status(status), turn=range(2, 8).__contains__)
    artifact = serve_model(origin, pin, Reset(after=HALF).once(), refuses)
    downloader.assert_succeeds_without_refetch(artifact, MODEL, origin, quick(connections_per_host=1))


def test_a_firewall_that_refuses_for_a_while_does_not_look_like_a_refused_token(origin, tmp_path):
    refuses = replace(Status(403), turn=range(2, 6).__contains__)
    artifact = serve_model(origin, True, Reset(after=HALF).once(), refuses)
    options = quick(connections_per_host=1, tokens={origin.url("").rstrip("/"): "right"})
    result = run_transfer(artifact, tmp_path, options=options)
    assert result.content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size
    assert {request.headers.get("authorization") for request in origin.requests()} == {"Bearer right"}


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_removed_after_a_part_of_it_came_ends_it_at_once(origin, downloader, pin, status):
    artifact = serve_model(origin, pin, Reset(after=HALF).once(), Status(status).after_first())
    downloader.assert_fails(artifact, SourceMissing, f"status {status}", options=quick(connections_per_host=1))
    assert len(origin.requests()) == 2


def test_a_part_that_came_in_an_earlier_attempt_counts_unless_the_file_is_missing(origin, downloader):
    artifact = serve_model(origin, True, Reset(after=HALF).once(), Status(403).after_first())
    options = quick(connections_per_host=1)
    for _ in range(2):
        error = downloader.assert_fails(artifact, ServerBusy, "answers 403, although", options=options)
        assert "10 times in a row" in error["hint"]
    origin.break_with(Status(404), path="/m.gguf")
    before = len(origin.requests())
    downloader.assert_fails(artifact, SourceMissing, "status 404", options=options)
    assert len(origin.requests()) == before + 1


def test_the_hubs_own_refusal_of_what_it_has_begun_to_send_is_final(origin, downloader):
    missing = Status(404, {"X-Error-Code": "EntryNotFound"}).after_first()
    downloader.assert_fails(serve_model(origin, True, Reset(after=HALF).once(), missing), SourceMissing, "status 404")
    assert len(origin.requests()) == 2


def test_a_status_that_no_firewall_sends_ends_what_was_begun(origin, downloader):
    downloader.assert_fails(
        serve_model(origin, True, Reset(after=HALF).once(), Status(451).after_first()), SourceRefused, "451"
    )
    assert len(origin.requests()) == 2


def test_a_file_of_a_folder_that_is_missing_is_the_one_that_is_named(origin, downloader):
    urls = {"a.json": origin.serve("a.json", b"{}"), "sub/b.json": origin.url("b.json")}
    error = downloader.assert_fails(folder_artifact(urls), SourceMissing, host_of(origin))
    assert error["message"].startswith("sub/b.json: ")


def test_the_message_of_a_host_is_shown_without_control_characters(origin, downloader):
    headers = {"X-Error-Message": "no \x1b[2Jmore than this, see https://x.example/a?token=abc"}
    error = downloader.assert_fails(serve_model(origin, True, Status(451, headers)), SourceRefused, "more than this")
    assert "abc" not in error["message"]
    assert "\x1b" not in error["message"]


def test_a_budget_of_one_is_one(origin, downloader):
    downloader.assert_fails(serve_model(origin, True, Status(503)), ServerBusy, "m.gguf", options=quick(faults_max=1))
    assert len(origin.requests()) == 1
