"""The queries of the screens: the contract's fields, reasons, the overview, and the jobs that a drain waits for."""

from dataclasses import fields
from datetime import UTC

import pytest
from support.job_store import NODE, JobStore, artifact, folder_artifact

from flowhub_jobs.errors import FlowhubError, NotFound, SourceMissing
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest
from flowhub_jobs.jobs.run_values import FileCounts, Progress
from flowhub_jobs.times import rfc3339
from flowhub_jobs.values.enums import DigestState, Reason, Stage, State
from flowhub_jobs.values.jobs import Job

# The keys of `flowhub/jobs/1`, in their order; `kind` came later.
KEYS = (
    "id ref model option format node state stage reason priority group attempt bytes_total bytes_done bytes_fetched "
    "rate_bps eta_s not_before sha256_state target files created_at started_at finished_at error kind store wait "
    "limit_bps sources hint_template"
)
HOUR = 3600


def wait(job_store: JobStore, job_reason: Reason, seconds: float = 60) -> int:
    """Queue a job that waits for this reason, as its last run left it."""
    [job] = job_store.enqueue(f"waits-{job_reason}")
    until = job_store.time.us_from_now(seconds)
    job_store.owner.requeue_after(
        job_store.claim().lease,
        until,
        job_reason,
        FlowhubError(f"It waits: {job_reason}."),
        faults=0,
        counts_as_attempt=True,
    )
    return job


def test_more_jobs_than_one_query_can_ask_for_are_read(job_store):
    [first, last] = job_store.enqueue("first", "last")
    job_store.limit_variables()
    numbers = [first, *[last] * 40_000]
    assert job_store.queries.state_of(numbers) == {first: State.QUEUED, last: State.QUEUED}
    assert [job.id for job in job_store.queries.jobs(numbers)] == numbers
    with pytest.raises(NotFound, match="40001"):
        job_store.queries.jobs(range(40_001, first, -1))


# One job -------------------------------------------------------------------------------------------------------------


def test_a_job_has_the_keys_of_the_contract_in_their_order():
    assert " ".join(field.name for field in fields(Job)) == KEYS


def test_the_unknown_fields_of_a_new_job_are_null(job_store):
    [answer] = job_store.commands.enqueue([EnqueueRequest(artifact(size=None, sha256=None), "/store/x")])
    [job] = job_store.queries.jobs([answer.job])
    assert (job.ref, job.model, job.option, job.format, job.node) == ("tiny@q4", "tiny", "q4", "gguf", NODE)
    assert (job.state, job.sha256_state, job.priority, job.attempt) == ("queued", "pending", 0, 0)
    assert (job.bytes_done, job.bytes_fetched) == (0, 0)
    unknown = ("stage", "reason", "group", "bytes_total", "rate_bps", "eta_s", "not_before", "started_at", "error")
    assert [getattr(job, name) for name in unknown] == [None] * len(unknown)
    assert [(file.bytes, file.sha256) for file in job.files] == [(None, None)]
    assert job.live


def test_a_running_job_shows_its_stage_its_rate_and_when_it_ends(job_store):
    [job] = job_store.enqueue("tiny")
    lease = job_store.claim().lease
    file = FileCounts(0, 1000, 400, "ab" * 32, "etag", DigestState.RUNNING)
    job_store.owner.progress(lease, Progress(Stage.DOWNLOAD, 1000, 400, 450, 7, DigestState.RUNNING, (file,)))
    [status] = job_store.queries.jobs([job])
    assert (status.state, status.stage, status.sha256_state, status.reason) == ("running", "download", "running", None)
    assert (status.bytes_total, status.bytes_done, status.bytes_fetched) == (1000, 400, 450)
    assert (status.rate_bps, status.eta_s) == (7, 86)  # 600 bytes at 7 a second, rounded up
    assert status.files[0].bytes_done == 400


@pytest.mark.parametrize(("total", "rate"), [(None, 10), (1000, None), (1000, 0)])
def test_without_a_total_or_a_rate_the_end_is_unknown(job_store, total, rate):
    [job] = job_store.enqueue("tiny")
    progress = Progress(Stage.DOWNLOAD, total, 1, 1, rate, DigestState.RUNNING)
    job_store.owner.progress(job_store.claim().lease, progress)
    assert job_store.queries.jobs([job])[0].eta_s is None


def test_the_files_of_a_folder_are_in_the_artifacts_order(job_store):
    folder = folder_artifact(sizes={"z.json": 1, "a/b.safetensors": 2, "m.json": 3})
    [answer] = job_store.commands.enqueue([EnqueueRequest(folder, "/store/x")])
    [job] = job_store.queries.jobs([answer.job])
    assert [(file.path, file.bytes) for file in job.files] == [("z.json", 1), ("a/b.safetensors", 2), ("m.json", 3)]
    assert job.bytes_total == 6


def test_a_failed_job_says_why_in_the_four_keys_of_an_error(job_store):
    [job] = job_store.enqueue("tiny")
    job_store.owner.fail(job_store.claim().lease, SourceMissing("It is gone."), mismatch=True)
    [status] = job_store.queries.jobs([job])
    assert (status.state, status.sha256_state, status.stage, status.rate_bps) == ("failed", "mismatch", None, None)
    assert status.error is not None
    assert set(status.error) == {"code", "message", "hint", "retryable"}
    assert not status.live


def test_times_are_utc_to_the_microsecond(job_store):
    job_store.time.calendar_us = 1_795_000_000_123_456
    [job] = job_store.enqueue("tiny")
    created = job_store.queries.jobs([job])[0].created_at
    assert created.tzinfo is UTC
    assert rfc3339(created) == "2026-11-18T11:06:40.123456Z"


def test_jobs_are_returned_in_the_requested_order_and_the_first_missing_one_is_named(job_store):
    job_store.enqueue("a", "b", "c")
    assert [job.id for job in job_store.queries.jobs([3, 1, 2, 1])] == [3, 1, 2, 1]
    with pytest.raises(NotFound, match="no job 8"):
        job_store.queries.jobs([1, 8, 9])


# Reasons -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.SLOTS])
def test_a_wait_is_shown_with_its_time_and_its_text_until_the_time_has_come(job_store, reason):
    job = wait(job_store, reason)
    [status] = job_store.queries.jobs([job])
    assert status.reason is reason
    assert status.not_before is not None
    assert job_store.queries.wait_text(job) == f"It waits: {reason}."
    job_store.time.advance(60)
    assert job_store.queries.jobs([job])[0].reason is None


def test_a_queued_job_waits_for_slots_when_every_slot_of_every_worker_is_taken(job_store):
    other = job_store.worker("w-2")
    job_store.owner.register(1, 1)
    other.register(2, 1)
    job_store.enqueue("a", "b", "c")
    at = job_store.enqueue("d", not_before=job_store.time.us_from_now(HOUR))
    job_store.claim()
    assert [job.reason for job in job_store.queries.jobs([2, 3])] == [None, None]
    assert other.claim() is not None
    assert [job.reason for job in job_store.queries.jobs([1, 2, 3, *at])] == [None, None, Reason.SLOTS, Reason.AT]


def test_without_a_worker_no_job_waits_for_slots(job_store):
    job_store.enqueue("a", "b")
    job_store.claim()
    assert job_store.queries.jobs([2])[0].reason is None


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_a_queued_job_has_a_reason(job_store, state):
    job = job_store.job_in(state)
    job_store.set_row(job, not_before=job_store.time.us_from_now(60), wait_reason="backoff")
    assert job_store.queries.jobs([job])[0].reason is None


# Lists ---------------------------------------------------------------------------------------------------------------


def test_the_overview_is_every_live_job_and_the_last_20_that_ended(job_store):
    live = job_store.enqueue(*(f"live-{number}" for number in range(30)))
    ended = job_store.enqueue(*(f"ended-{number}" for number in range(25)))
    for job in ended:
        job_store.commands.cancel(job)
    JobCommands(job_store.engine, "n-other", job_store.time.clock).enqueue([EnqueueRequest(artifact("other"), "/x")])
    assert [job.id for job in job_store.queries.overview()] == [*live, *ended[5:]]


def test_all_is_every_job_of_the_node_or_those_of_a_state_or_since_a_time(job_store):
    old = job_store.job_in(State.CANCELLED, "a")
    late = job_store.job_in(State.QUEUED, "b")
    job_store.time.advance(HOUR)
    now = job_store.time.us_from_now(0)
    new = job_store.job_in(State.FAILED, "c")  # the claim takes b, which is older
    assert [job.id for job in job_store.queries.all()] == [old, late, new]
    assert [job.id for job in job_store.queries.all(state=State.CANCELLED)] == [old]
    assert [job.id for job in job_store.queries.all(since=now)] == [late, new]
    assert [job.id for job in job_store.queries.all(live=True)] == [new]


def test_jobs_are_found_by_state_and_group(job_store):
    job_store.enqueue("a", group="night")
    job_store.enqueue("b")
    job_store.commands.pause(2)
    assert job_store.queries.in_state([State.QUEUED, State.PAUSED]) == [1, 2]
    assert job_store.queries.in_state([State.QUEUED, State.PAUSED], group="night") == [1]
    assert job_store.queries.state_of([1, 2, 99]) == {1: State.QUEUED, 2: State.PAUSED}


# What a drain waits for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "stays"), [(state, state in ("queued", "running")) for state in State])
def test_a_drain_waits_for_queued_and_running_jobs(job_store, state, stays):
    job_store.job_in(state)
    assert job_store.queries.still_to_do() is stays


@pytest.mark.parametrize(
    ("reason", "stays"),
    [
        (Reason.AT, False),
        (Reason.WINDOW, False),
        (Reason.STORE_OFFLINE, False),
        (Reason.DISK, False),
        (Reason.NETWORK, False),
        (Reason.AFTER, True),
        (Reason.HOST_WAIT, True),
        (Reason.BACKOFF, True),
    ],
)
def test_a_drain_waits_for_jobs_with_short_waits_and_not_for_held_ones(job_store, reason, stays):
    wait(job_store, reason)
    assert job_store.queries.still_to_do() is stays
    job_store.time.advance(60)
    assert job_store.queries.still_to_do()


def test_a_drain_does_not_wait_for_jobs_of_another_node(job_store):
    JobCommands(job_store.engine, "n-other", job_store.time.clock).enqueue([EnqueueRequest(artifact(), "/x")])
    assert not job_store.queries.still_to_do()


@pytest.mark.parametrize(("state", "expected"), [(state, state in ("failed", "cancelled")) for state in State])
def test_only_a_failed_or_cancelled_job_ended_badly(job_store, state, expected):
    start = job_store.time.us_from_now(0)
    job_store.job_in(state)
    assert job_store.queries.ended_badly(start) is expected
    assert not job_store.queries.ended_badly(start + 1)


# Bytes and paths -----------------------------------------------------------------------------------------------------


def test_the_bytes_to_come_are_those_of_jobs_that_will_fetch_them(job_store):
    job_store.enqueue("a", "b", "c", "d")
    lease = job_store.claim().lease
    job_store.owner.progress(lease, Progress(Stage.DOWNLOAD, 1000, 300, 300, None, DigestState.RUNNING))
    job_store.commands.pause(3)
    job_store.set_row(4, bytes_total=None)
    assert job_store.queries.bytes_still_needed() == 700 + 1000
    assert job_store.queries.bytes_being_fetched(but=2) == 700
    assert job_store.queries.bytes_being_fetched(but=lease.job) == 0


def test_a_running_job_is_found_by_the_path_that_it_writes(job_store):
    job_store.enqueue("a", "b")
    job_store.claim()
    assert job_store.queries.working_on(["/store/b"]) is None
    assert job_store.queries.working_on(["/store/b", "/store/a"]) == 1
