"""Leases: claims, renewals, the fence of the token, the ends of an attempt, and the rescue of orphans."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from support.job_store import JobStore
from support.owner_writes import WRITES, progress_of

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import attempts, events, job_files, jobs, workers
from flowhub_jobs.errors import FlowhubError, SourceMissing, WorkerLost
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.rescue import rescue
from flowhub_jobs.jobs.run_values import LEASE_S, LeaseLost, Progress
from flowhub_jobs.values.enums import DigestState, Reason, Stage, State

DAY = 86_400.0


def all_rows(job_store: JobStore) -> list[list[tuple]]:
    with reading(job_store.engine) as tx:
        return [list(map(tuple, tx.execute(sa.select(table)))) for table in (jobs, job_files, attempts, events)]


# Claim ---------------------------------------------------------------------------------------------------------------


def test_two_workers_of_four_threads_claim_each_of_200_jobs_once(job_store):
    numbers = job_store.enqueue(*(f"m{number}" for number in range(200)))
    owners = [job_store.worker("w-1"), job_store.worker("w-2")]
    barrier = threading.Barrier(8)

    def claim_all(owner: LeaseStore) -> list[int]:
        barrier.wait()
        claimed_jobs = []
        while (claimed := owner.claim()) is not None:
            claimed_jobs.append(claimed.lease.job)
        return claimed_jobs

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(claim_all, owners * 4))
    assert sorted(job for share in shares for job in share) == numbers
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(sa.func.count(sa.distinct(jobs.c.lease_token)))).scalar() == 200


def test_the_highest_priority_goes_first_then_the_lowest_number(job_store):
    plain = job_store.enqueue("a", "b")
    low, high = job_store.enqueue("c", priority=-1), job_store.enqueue("d", "e", priority=7)
    assert [job_store.claim().lease.job for _ in range(5)] == [*high, *plain, *low]


def test_a_job_is_not_claimed_before_its_time(job_store):
    [later] = job_store.enqueue("a", not_before=job_store.time.us_from_now(60), priority=9)
    [now] = job_store.enqueue("b")
    assert job_store.owner.due() == 1
    assert job_store.claim().lease.job == now
    assert job_store.owner.claim() is None
    job_store.time.advance(60)
    assert job_store.owner.due() == 1
    assert job_store.claim().lease.job == later


def test_a_job_of_another_node_is_not_claimed(job_store):
    job_store.enqueue("a")
    assert LeaseStore(job_store.engine, "n-other", "w-9", job_store.time.clock).claim() is None


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_a_queued_job_is_claimed(job_store, state):
    job_store.job_in(state)
    assert job_store.owner.claim() is None


def test_a_claim_returns_what_the_attempt_needs_and_records_an_event(job_store):
    [job] = job_store.enqueue("a", force=True)
    job_store.set_row(job, bytes_fetched=77, faults=2)
    claimed = job_store.claim()
    assert (claimed.lease.job, claimed.lease.attempt) == (job, 1)
    assert (claimed.forced, claimed.fetched, claimed.faults) == (True, 77, 2)
    assert claimed.artifact == job_store.commands.artifact(job)
    row = job_store.row(job)
    assert (row["state"], row["stage"], row["lease_worker"]) == ("running", "resolve", "w-1")
    assert job_store.queries.events(job)[-1].kind == "claimed"


def test_started_at_is_the_first_claim(job_store):
    [job] = job_store.enqueue("a")
    first = job_store.time.us_from_now(0)
    job_store.owner.hand_back(job_store.claim().lease)
    job_store.time.advance(5)
    job_store.claim()
    assert job_store.row(job)["started_at"] == first


# The lease and its deadline ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_by", [-DAY, 0.0, DAY])
def test_a_lease_ends_on_the_clock_that_cannot_be_set(job_store, set_by):
    job_store.enqueue("a")
    job_store.time.shift_calendar(set_by)
    lease = job_store.claim().lease
    job_store.time.shift_calendar(-2 * set_by)
    job_store.time.advance(LEASE_S - 0.1)
    lease.check()
    assert job_store.rescue() == []
    job_store.time.advance(0.2)
    assert not lease.held
    with pytest.raises(LeaseLost):
        lease.check()
    assert job_store.rescue() == [lease.job]


def test_the_owner_stops_before_another_worker_may_take_its_job(job_store):
    """At the very end of the lease neither holds the job: a gap, never an overlap."""
    [job] = job_store.enqueue("a")
    lease = job_store.claim().lease
    assert lease._deadline <= job_store.row(job)["lease_until"]
    job_store.time.advance(LEASE_S)
    assert not lease.held
    assert job_store.rescue() == []


def test_a_renewal_extends_the_lease(job_store):
    [job] = job_store.enqueue("a")
    lease = job_store.claim().lease
    for _ in range(5):
        job_store.time.advance(LEASE_S - 1)
        job_store.owner.renew({job: lease})
    lease.check()
    assert job_store.rescue() == []


def test_a_renewal_extends_only_the_leases_that_the_worker_still_holds(job_store):
    lost, kept = job_store.enqueue("a", "b")
    leases = {claimed.lease.job: claimed.lease for claimed in (job_store.claim(), job_store.claim())}
    job_store.set_row(lost, lease_boot="before")
    assert job_store.rescue() == [lost]
    other = job_store.worker("w-2").claim()
    row_of_other = job_store.row(lost)
    job_store.time.advance(10)
    job_store.owner.renew(leases)
    assert not leases[lost].held
    assert job_store.row(lost) == row_of_other
    job_store.time.advance(LEASE_S - 5)
    assert leases[kept].held
    assert not other.lease.held


def test_one_worker_does_not_renew_the_leases_of_another(job_store):
    [job] = job_store.enqueue("a")
    lease = job_store.claim().lease
    before = job_store.row(job)
    job_store.time.advance(1)
    job_store.worker("w-2").renew({})
    job_store.owner.renew({})
    assert job_store.row(job) == before
    assert lease.held


def test_a_revoked_lease_stays_revoked(job_store):
    job_store.enqueue("a")
    lease = job_store.claim().lease
    lease.revoke()
    lease.extend(job_store.time.awake_s + 100)
    assert not lease.held


# The fence -----------------------------------------------------------------------------------------------------------


EACH_WRITE = pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))


@EACH_WRITE
def test_a_run_whose_job_another_worker_holds_writes_nothing(job_store, write):
    job_store.enqueue("a")
    stale = job_store.claim()
    job_store.time.advance(LEASE_S + 1)
    job_store.rescue()
    assert job_store.worker("w-2").claim() is not None
    stale.lease.extend(job_store.time.awake_s + 100)  # as if its own clock had not shown that it ended
    before = all_rows(job_store)
    with pytest.raises(LeaseLost):
        write(job_store, stale)
    assert all_rows(job_store) == before


@EACH_WRITE
def test_a_run_whose_job_was_taken_and_not_yet_claimed_writes_nothing(job_store, write):
    job_store.enqueue("a")
    stale = job_store.claim()
    assert job_store.rescue("w-1") != []
    before = all_rows(job_store)
    with pytest.raises(LeaseLost):
        write(job_store, stale)
    assert all_rows(job_store) == before


@EACH_WRITE
def test_a_run_past_its_deadline_writes_nothing_though_no_worker_took_its_job(job_store, write):
    job_store.enqueue("a")
    late = job_store.claim()
    job_store.time.advance(LEASE_S + 1)
    before = all_rows(job_store)
    with pytest.raises(LeaseLost):
        write(job_store, late)
    assert all_rows(job_store) == before


@EACH_WRITE
def test_a_run_that_holds_its_lease_writes(job_store, write):
    job_store.enqueue("a")
    claimed = job_store.claim()
    before = all_rows(job_store)
    write(job_store, claimed)
    assert all_rows(job_store) != before


# The ends of an attempt ----------------------------------------------------------------------------------------------


ENDS = {
    "complete": ("completed", 1, "completed"),
    "fail": ("failed", 1, "failed"),
    "wait": ("queued", 1, "waits"),
    "hand_back": ("queued", 0, "handed_back"),
    "obey": ("queued", 1, "handed_back"),  # no request: it was withdrawn before the worker read it
}


@pytest.mark.parametrize(("end", "state", "attempt", "outcome"), [(end, *after) for end, after in ENDS.items()])
def test_each_end_frees_the_lease_and_clears_what_a_run_sets(job_store, end, state, attempt, outcome):
    [job] = job_store.enqueue("a")
    claimed = job_store.claim()
    job_store.owner.progress(claimed.lease, Progress(Stage.DOWNLOAD, 1000, 10, 10, 5, DigestState.RUNNING))
    job_store.time.advance(3)
    WRITES[end](job_store, claimed)
    row = job_store.row(job)
    assert (row["state"], row["attempt"]) == (state, attempt)
    cleared = ("lease_token", "lease_worker", "lease_boot", "lease_until", "stage", "rate_bps", "requested")
    assert {row[name] for name in cleared} == {None}
    final = state in ("completed", "failed", "cancelled")
    assert row["finished_at"] == (job_store.time.us_from_now(0) if final else None)
    with reading(job_store.engine) as tx:
        [attempt_row] = tx.execute(sa.select(attempts)).mappings()
    assert (attempt_row["outcome"], attempt_row["finished_at"], attempt_row["token"]) == (
        outcome,
        job_store.time.us_from_now(0),
        claimed.lease.token,
    )


def test_a_wait_that_costs_nothing_gives_the_attempt_back(job_store):
    [job] = job_store.enqueue("a")
    job_store.owner.requeue_after(
        job_store.claim().lease,
        job_store.time.us_from_now(15),
        Reason.DISK,
        FlowhubError("Full."),
        faults=4,
        counts_as_attempt=False,
    )
    row = job_store.row(job)
    assert (row["attempt"], row["faults"], row["wait_reason"], row["wait_text"]) == (0, 4, "disk", "Full.")
    assert job_store.owner.claim() is None


@pytest.mark.parametrize(("end", "attempt"), [("hand_back", 0), ("obey", 1), ("wait", 1)])
@pytest.mark.parametrize(("requested", "state"), [("pause", "paused"), ("cancel", "cancelled"), ("purge", "cancelled")])
def test_a_request_is_carried_out_however_the_worker_releases_the_job(job_store, requested, state, end, attempt):
    """The request that is in the row by then counts: the worker may have stopped for another reason."""
    [job] = job_store.enqueue("a")
    claimed = job_store.claim()
    job_store.set_row(job, requested=requested)
    WRITES[end](job_store, claimed)
    row = job_store.row(job)
    assert (row["state"], row["attempt"], row["requested"]) == (state, attempt, None)
    assert (row["not_before"], row["wait_reason"]) == (None, None)
    assert (row["finished_at"] is not None) == (state == "cancelled")


@pytest.mark.parametrize("requested", ["cancel", "purge"])
def test_a_job_that_fails_despite_a_cancel_request_is_cancelled(job_store, requested):
    [job] = job_store.enqueue("a")
    claimed = job_store.claim()
    job_store.set_row(job, requested=requested)
    assert job_store.owner.fail(claimed.lease, SourceMissing("Gone.")) == requested
    row = job_store.row(job)
    assert (row["state"], row["requested"], row["error"]) == ("cancelled", None, None)


def test_a_job_that_fails_despite_a_pause_request_keeps_its_error(job_store):
    [job] = job_store.enqueue("a")
    claimed = job_store.claim()
    job_store.set_row(job, requested="pause")
    assert job_store.owner.fail(claimed.lease, SourceMissing("Gone.")) is None
    row = job_store.row(job)
    assert (row["state"], row["requested"], row["error"]["code"]) == ("failed", None, "source_missing")


@pytest.mark.parametrize("requested", [None, "pause", "cancel", "purge"])
def test_a_job_with_another_request_records_no_intent(job_store, requested):
    [job] = job_store.enqueue("a")
    claimed = job_store.claim()
    job_store.set_row(job, requested=requested)
    assert job_store.owner.record_intent(claimed.lease, {"name": "a.gguf"}) == requested
    assert job_store.row(job)["intent"] == (None if requested else {"name": "a.gguf"})


def test_completing_writes_the_result_of_each_file(job_store):
    [job] = job_store.enqueue("a")
    job_store.complete(job_store.claim())
    [status] = job_store.queries.jobs([job])
    assert (status.bytes_done, status.bytes_total, status.sha256_state) == (1000, 1000, "verified")
    assert status.target == "/store/there"
    assert status.files[0].bytes_done == 1000


def test_the_requests_are_those_of_this_workers_running_jobs(job_store):
    first, second = job_store.enqueue("a", "b")
    own, other = job_store.claim(), job_store.worker("w-2").claim()
    assert other is not None
    job_store.commands.pause(first)
    job_store.commands.cancel(second)
    assert job_store.owner.requested_actions() == {own.lease.token: "pause"}
    job_store.owner.release_as_requested(own.lease)
    assert job_store.owner.requested_actions() == {}


# Rescue --------------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_known_to_be_dead_loses_its_jobs_at_once(job_store):
    [job] = job_store.enqueue("a")
    job_store.claim()
    assert job_store.rescue("w-1") == [job]
    row = job_store.row(job)
    assert (row["state"], row["attempt"], row["lease_token"], row["stage"]) == ("queued", 0, None, None)
    assert job_store.rescue("w-1") == []


def test_a_worker_that_lives_keeps_its_jobs(job_store):
    job_store.enqueue("a")
    job_store.claim()
    before = all_rows(job_store)
    assert job_store.rescue("w-2") == []
    assert all_rows(job_store) == before


def test_a_lease_of_another_boot_has_no_owner(job_store):
    [job] = job_store.enqueue("a")
    job_store.claim()
    job_store.set_row(job, lease_boot="before", lease_until=job_store.time.awake_s + DAY)
    assert job_store.rescue() == [job]


def test_a_lease_that_is_renewed_during_a_rescue_stays(job_store):
    """Otherwise its owner, which does not know of the rescue, and the next one would write to one partial."""
    [job] = job_store.enqueue("a")
    lease = job_store.claim().lease
    job_store.time.advance(LEASE_S + 1)

    def renew_during_rescue(worker: str) -> bool | None:
        job_store.owner.renew({job: lease})
        return None

    assert rescue(job_store.engine, job_store.node, job_store.time.clock, renew_during_rescue) == {}
    lease.check()
    assert job_store.state(job) is State.RUNNING


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_no_worker_rescues_a_job_that_does_not_run(job_store, state):
    job_store.job_in(state)
    job_store.time.advance(DAY)
    before = all_rows(job_store)
    assert job_store.rescue("w-1") == []
    assert all_rows(job_store) == before


@pytest.mark.parametrize(("requested", "state"), [("pause", "paused"), ("cancel", "cancelled"), ("purge", "cancelled")])
def test_a_request_is_carried_out_on_rescue(job_store, requested, state):
    [job] = job_store.enqueue("a")
    job_store.claim()
    job_store.set_row(job, requested=requested)
    job_store.rescue("w-1")
    row = job_store.row(job)
    assert (row["state"], row["requested"]) == (state, None)
    assert (row["finished_at"] is not None) == (state == "cancelled")
    assert job_store.queries.events(job)[-1].text == f"Its worker was gone; the job was {state}."


def test_ten_rescues_in_a_row_without_progress_fail_the_job(job_store):
    [job] = job_store.enqueue("a")
    for _ in range(10):
        assert job_store.state(job) is State.QUEUED
        job_store.owner.progress(job_store.claim().lease, progress_of(Stage.RESOLVE))
        job_store.rescue("w-1")
    [status] = job_store.queries.jobs([job])
    assert (status.state, status.finished_at is not None) == (State.FAILED, True)
    assert status.error is not None
    assert status.error["code"] == WorkerLost.code
    assert "10 times in a row" in status.error["message"]
    assert [event.text for event in job_store.queries.events(job) if event.kind == "rescued"] == [
        *["Its worker was gone; the job was queued again."] * 9,
        "Its worker was gone; the job failed.",
    ]


@pytest.mark.parametrize("progress", [progress_of(fetched=1), progress_of(Stage.VERIFY)], ids=["a byte", "a stage"])
def test_progress_between_two_rescues_resets_the_count(job_store, progress):
    [job] = job_store.enqueue("a")
    job_store.set_row(job, rescues=9)
    job_store.owner.progress(job_store.claim().lease, progress)
    job_store.rescue("w-1")
    assert (job_store.state(job), job_store.row(job)["rescues"]) == (State.QUEUED, 0)


def test_new_bytes_are_progress_also_in_a_stage_that_was_reached_before(job_store):
    [job] = job_store.enqueue("a")
    for fetched in (5, 6):
        job_store.set_row(job, rescues=9)
        job_store.owner.progress(job_store.claim().lease, progress_of(Stage.DOWNLOAD, fetched=fetched))
        job_store.rescue("w-1")
        assert job_store.state(job) is State.QUEUED


def test_the_same_byte_or_stage_again_is_no_progress(job_store):
    [job] = job_store.enqueue("a")
    for _ in range(2):
        lease = job_store.claim().lease
        job_store.owner.progress(lease, progress_of(Stage.DOWNLOAD, fetched=5))
        job_store.rescue("w-1")
    assert job_store.row(job)["rescues"] == 1


def test_progress_of_an_attempt_that_ended_by_itself_counts_for_the_next_rescue(job_store):
    """Progress counts from the last rescue on, not from the last claim on."""
    [job] = job_store.enqueue("a")
    job_store.set_row(job, rescues=9)
    lease = job_store.claim().lease
    job_store.owner.progress(lease, progress_of(fetched=100))
    job_store.owner.hand_back(lease)
    job_store.claim()
    job_store.rescue("w-1")
    assert (job_store.state(job), job_store.row(job)["rescues"]) == (State.QUEUED, 0)
    job_store.claim()
    job_store.rescue("w-1")
    assert job_store.row(job)["rescues"] == 1


# The row of a worker -------------------------------------------------------------------------------------------------


def test_a_worker_is_listed_from_its_start_to_its_end(job_store):
    job_store.owner.register(4711, 3)
    assert job_store.queries.workers() == ["w-1"]
    job_store.time.advance(10)
    job_store.owner.renew({})
    with reading(job_store.engine) as tx:
        [row] = tx.execute(sa.select(workers)).mappings()
    assert row["slots"] == 3
    if job_store.engine.dialect.name == "sqlite":  # the test cannot advance PostgreSQL's clock
        assert row["seen_at"] - row["started_at"] == 10_000_000
    assert row["seen_at"] > row["started_at"]
    job_store.owner.unregister()
    assert job_store.queries.workers() == []


def test_an_attempt_that_was_given_back_continues_and_does_not_begin_twice(job_store):
    [job] = job_store.enqueue("tiny")
    job_store.owner.hand_back(job_store.claim().lease)
    job_store.claim()
    claims = [event.text for event in job_store.queries.events(job) if event.kind == "claimed"]
    assert claims == ["Attempt 1 began.", "Attempt 1 continued."]
