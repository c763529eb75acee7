"""Tests of host waits: a host that cannot be reached has one wait for all its jobs, and one job at a time tries it."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.job_store import JobStore, artifact

from flowhub_jobs.errors import NetworkDown, ServerBusy
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest
from flowhub_jobs.jobs.held_hosts import HostWait
from flowhub_jobs.jobs.host_waits import OUTAGE_TRIES, HostWaits
from flowhub_jobs.jobs.run_values import Claimed, Progress
from flowhub_jobs.jobs.shift_waits import shift_waits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.retry import Patience
from flowhub_jobs.values.enums import DigestState, Reason, Stage, State
from flowhub_jobs.worker.host_outages import HostOutages

ORIGIN = "https://h.example:443"
REFUSED = "h.example cannot be reached: Connection refused."


def waits_of(job_store: JobStore) -> HostWaits:
    return HostWaits(job_store.engine, job_store.node, job_store.time.clock)


def doubling(tries: int) -> float:
    return float(min(300, 2**tries))


def refused() -> NetworkDown:
    return NetworkDown(REFUSED, host="h.example")


def fail(job_store: JobStore, run: Claimed, delay_s: Callable[[int], float] = doubling) -> HostWait:
    """End a run as a worker does whose host cannot be reached."""
    wait = waits_of(job_store).hold(ORIGIN, run.lease.token, refused(), delay_s, 1.0)
    assert wait is not None
    job_store.owner.requeue_held_by_host(
        run.lease, wait, 0.0, faults=run.faults + 1, no_progress_s=run.no_progress_s + 1.0
    )
    return wait


def enqueue_for_another_host(job_store: JobStore, model: str) -> int:
    original = artifact(model)
    file = replace(original.files[0], url="https://other.example/x.gguf", size=1000, sha256=None)
    return job_store.commands.enqueue([EnqueueRequest(replace(original, files=(file,)), "/x")])[0].job


def test_the_first_failure_holds_every_job_of_the_host_with_its_reason_and_end(job_store):
    jobs = job_store.enqueue("a", "b", "c")
    wait = fail(job_store, job_store.claim())
    assert job_store.owner.claim() is None
    assert job_store.owner.due() == 0
    for job in job_store.queries.jobs(jobs):
        assert (job.state, job.reason, job.attempt) == (State.QUEUED, Reason.HOST_WAIT, 0)
        assert job.wait is not None
        assert (job.wait.message, job.wait.code, job.wait.host) == (REFUSED, "network", "h.example")
        assert job.not_before is not None
        assert round(job.not_before.timestamp() * 1e6) == wait.until


def test_another_host_is_not_held(job_store):
    job_store.enqueue("a")
    other = enqueue_for_another_host(job_store, "b")
    fail(job_store, job_store.claim())
    assert job_store.owner.due() == 1
    assert job_store.claim().lease.job == other


def test_when_the_wait_ends_one_job_tries_the_host_and_the_others_wait_on(job_store):
    job_store.enqueue("a", "b", "c")
    fail(job_store, job_store.claim())
    job_store.time.advance(2)
    assert job_store.owner.due() == 1
    probe = job_store.claim()
    assert probe.trial_of_origin == ORIGIN
    assert job_store.owner.claim() is None
    assert job_store.owner.due() == 0


def test_each_try_is_made_by_the_job_that_failed_least(job_store):
    """A file that its host always answers with an error must not keep the host's other jobs from it."""
    jobs = job_store.enqueue("a", "b", "c")
    tried = []
    for _ in range(6):
        run = job_store.claim()
        tried.append(run.lease.job)
        job_store.time.advance(fail(job_store, run).wait_us / 1e6)
    assert tried == jobs * 2


def test_each_failed_try_makes_the_wait_longer_up_to_five_minutes(job_store):
    job_store.enqueue("a", "b")
    waits = []
    for _ in range(11):
        wait = fail(job_store, job_store.claim())
        waits.append(wait.wait_us / 1e6)
        job_store.time.advance(wait.wait_us / 1e6)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_runs_that_lose_their_connections_together_are_one_failure(job_store):
    job_store.enqueue("a", "b", "c")
    runs = [job_store.claim() for _ in range(3)]
    waits = [fail(job_store, run) for run in runs]
    assert {(wait.tries, wait.until) for wait in waits} == {(1, waits[0].until)}


def test_a_host_that_answers_lets_all_its_jobs_continue_at_once(job_store):
    jobs = job_store.enqueue("a", "b", "c")
    fail(job_store, job_store.claim())
    job_store.time.advance(2)
    probe = job_store.claim()
    assert waits_of(job_store).end_wait(ORIGIN) is not None
    assert [job_store.claim().lease.job for _ in range(2)] == [job for job in jobs if job != probe.lease.job]
    assert waits_of(job_store).end_wait(ORIGIN) is None


@pytest.mark.parametrize(("models", "message_end"), [("a", "its 1 job continues."), ("abc", "its 3 jobs continue.")])
def test_the_log_counts_the_job_that_tried_among_those_that_continue(job_store, caplog, models, message_end):
    job_store.enqueue(*models)
    for _ in range(OUTAGE_TRIES):
        job_store.time.advance(fail(job_store, job_store.claim()).wait_us / 1e6)
    job_store.claim()  # it tries the host
    home: Any = SimpleNamespace(engine=job_store.engine, node=job_store.node, clock=job_store.time.clock)
    with caplog.at_level("INFO", "flowhub.hosts"):
        HostOutages(home, HostLimits(), Patience()).reached(ORIGIN)
    assert [message for message in caplog.messages if message.endswith(message_end)], caplog.messages


def test_a_job_that_failed_in_an_outage_starts_with_the_others_whatever_its_own_backoff(job_store):
    jobs = job_store.enqueue("a", "b", "c")
    for _ in jobs:
        run = job_store.claim()
        wait = waits_of(job_store).hold(ORIGIN, run.lease.token, ServerBusy("h.example answers 503."), doubling, 1.0)
        assert wait is not None
        job_store.owner.requeue_held_by_host(run.lease, wait, 250.0, faults=run.faults + 1, no_progress_s=0.0)
        job_store.time.advance(wait.wait_us / 1e6)
    waits_of(job_store).end_wait(ORIGIN)
    assert [job_store.claim().lease.job for _ in range(3)] == jobs


def test_an_error_for_one_file_keeps_its_backoff_when_another_file_is_answered(job_store):
    [bad, good] = job_store.enqueue("bad", "good")
    run = job_store.claim()
    wait = waits_of(job_store).hold(ORIGIN, run.lease.token, ServerBusy("h.example answers 503."), doubling, 1.0)
    assert wait is not None
    job_store.owner.requeue_held_by_host(run.lease, wait, 60.0, faults=1, no_progress_s=0.0)
    job_store.time.advance(3)
    assert job_store.claim().lease.job == good
    waits_of(job_store).end_wait(ORIGIN)
    assert job_store.owner.claim() is None
    job_store.time.advance(60)
    assert job_store.claim().lease.job == bad


def test_a_fault_is_the_jobs_own_while_another_job_gets_bytes_from_the_host(job_store):
    job_store.enqueue("a", "b")
    receiving, failing = job_store.claim(), job_store.claim()
    job_store.owner.progress(receiving.lease, Progress(Stage.DOWNLOAD, 1000, 10, 10, 5, DigestState.RUNNING))
    assert waits_of(job_store).hold(ORIGIN, failing.lease.token, refused(), doubling, 1.0) is None


def test_a_job_that_dies_while_it_tries_the_host_blocks_no_other(job_store):
    job_store.enqueue("a", "b")
    fail(job_store, job_store.claim())
    job_store.time.advance(2)
    probe = job_store.claim()
    assert job_store.rescue("w-1") == [probe.lease.job]
    assert job_store.claim().trial_of_origin == ORIGIN


def test_the_time_without_a_byte_counts_for_every_job_that_could_run_and_for_no_other(job_store):
    able, paused = job_store.enqueue("able", "paused")
    [later] = job_store.enqueue("later", not_before=job_store.time.us_from_now(86_400))
    [probing] = job_store.enqueue("probing", priority=1)
    job_store.commands.pause(paused)
    run = job_store.claim()
    assert run.lease.job == probing
    fail(job_store, run, lambda tries: 100.0)
    assert job_store.row(able)["fruitless_us"] == 101e6
    assert [job_store.row(job)["fruitless_us"] for job in (paused, later)] == [0, 0]


def test_an_outage_leaves_one_event_a_job_and_not_one_for_each_try(job_store):
    [job] = job_store.enqueue("a")
    for _ in range(50):
        job_store.time.advance(fail(job_store, job_store.claim()).wait_us / 1e6)
    assert [event.kind for event in job_store.queries.events(job)] == ["queued", "claimed", "waits"]


def test_a_job_that_is_queued_in_an_outage_waits_with_the_others(job_store):
    job_store.enqueue("a")
    fail(job_store, job_store.claim())
    [late] = job_store.enqueue("late")
    assert job_store.queries.jobs([late])[0].reason is Reason.HOST_WAIT


def test_a_wait_for_a_host_without_jobs_is_dropped(job_store):
    [job] = job_store.enqueue("a")
    fail(job_store, job_store.claim())
    waits_of(job_store).forget_unwanted()
    assert waits_of(job_store).held().waits
    job_store.commands.cancel(job)
    waits_of(job_store).forget_unwanted()
    assert not waits_of(job_store).held().waits


@pytest.mark.parametrize("seconds", [86_400.0, -86_400.0])
def test_a_wait_for_a_host_moves_along_with_the_calendar(job_store, seconds):
    job_store.enqueue("a")
    shift_waits(job_store.engine, job_store.node, job_store.time.clock)
    wait = fail(job_store, job_store.claim())
    job_store.time.shift_calendar(seconds)
    shift_waits(job_store.engine, job_store.node, job_store.time.clock)
    assert waits_of(job_store).held().waits[ORIGIN].until == wait.until + round(seconds * 1e6)


def test_a_drain_stays_for_a_host_until_its_patience_is_over(job_store):
    job_store.enqueue("a")
    wait = fail(job_store, job_store.claim())
    assert job_store.queries.still_to_do()
    assert not job_store.queries.still_to_do([wait.origin])
    assert wait.lasted(0, wait.since + 5) == 5
    assert wait.lasted(wait.since + 3, wait.since + 5) == 2
