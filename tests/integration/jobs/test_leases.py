"""What one owner writes, and nobody else: claims, renewals, the fence of the token, and the rescue of orphans."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from support.job_store import JobStore
from support.owner_writes import WRITES, seen

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import attempts, events, job_files, jobs, workers
from flowhub_jobs.errors import FlowhubError, SourceMissing, WorkerLost
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.rescue import rescue
from flowhub_jobs.jobs.run_values import LEASE_S, LeaseLost, Progress
from flowhub_jobs.values.enums import DigestState, Reason, Stage, State

DAY = 86_400.0


def everything(rooms: JobStore) -> list[list[tuple]]:
    with reading(rooms.engine) as tx:
        return [list(map(tuple, tx.execute(sa.select(table)))) for table in (jobs, job_files, attempts, events)]


# Claim ---------------------------------------------------------------------------------------------------------------


def test_two_workers_of_four_threads_claim_each_of_200_jobs_once(rooms):
    numbers = rooms.enqueue(*(f"m{number}" for number in range(200)))
    owners = [rooms.worker("w-1"), rooms.worker("w-2")]
    gate = threading.Barrier(8)

    def take_all(owner: LeaseStore) -> list[int]:
        gate.wait()
        taken = []
        while (claimed := owner.claim()) is not None:
            taken.append(claimed.lease.job)
        return taken

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(take_all, owners * 4))
    assert sorted(job for share in shares for job in share) == numbers
    with reading(rooms.engine) as tx:
        assert tx.execute(sa.select(sa.func.count(sa.distinct(jobs.c.lease_token)))).scalar() == 200


def test_the_highest_priority_goes_first_then_the_lowest_number(rooms):
    plain = rooms.enqueue("a", "b")
    low, high = rooms.enqueue("c", priority=-1), rooms.enqueue("d", "e", priority=7)
    assert [rooms.claim().lease.job for _ in range(5)] == [*high, *plain, *low]


def test_a_job_is_not_claimed_before_its_time(rooms):
    [later] = rooms.enqueue("a", not_before=rooms.time.in_us(60), priority=9)
    [now] = rooms.enqueue("b")
    assert rooms.owner.due() == 1
    assert rooms.claim().lease.job == now
    assert rooms.owner.claim() is None
    rooms.time.turn(60)
    assert rooms.owner.due() == 1
    assert rooms.claim().lease.job == later


def test_a_job_of_another_node_is_not_claimed(rooms):
    rooms.enqueue("a")
    assert LeaseStore(rooms.engine, "n-other", "w-9", rooms.time.clock).claim() is None


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_a_queued_job_is_claimed(rooms, state):
    rooms.job_in(state)
    assert rooms.owner.claim() is None


def test_a_claim_says_what_the_attempt_has_to_know_and_tells_the_history(rooms):
    [job] = rooms.enqueue("a", force=True)
    rooms.set_row(job, bytes_fetched=77, faults=2)
    claimed = rooms.claim()
    assert (claimed.lease.job, claimed.lease.attempt) == (job, 1)
    assert (claimed.forced, claimed.fetched, claimed.faults) == (True, 77, 2)
    assert claimed.artifact == rooms.commands.artifact(job)
    row = rooms.row(job)
    assert (row["state"], row["stage"], row["lease_worker"]) == ("running", "resolve", "w-1")
    assert rooms.queries.events(job)[-1].kind == "claimed"


def test_started_at_is_the_first_claim(rooms):
    [job] = rooms.enqueue("a")
    first = rooms.time.in_us(0)
    rooms.owner.hand_back(rooms.claim().lease)
    rooms.time.turn(5)
    rooms.claim()
    assert rooms.row(job)["started_at"] == first


# The lease and its deadline ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_by", [-DAY, 0.0, DAY])
def test_a_lease_ends_on_the_clock_that_cannot_be_set(rooms, set_by):
    rooms.enqueue("a")
    rooms.time.set_calendar(set_by)
    lease = rooms.claim().lease
    rooms.time.set_calendar(-2 * set_by)
    rooms.time.turn(LEASE_S - 0.1)
    lease.check()
    assert rooms.rescue() == []
    rooms.time.turn(0.2)
    assert not lease.held
    with pytest.raises(LeaseLost):
        lease.check()
    assert rooms.rescue() == [lease.job]


def test_the_owner_stops_before_anybody_may_take_its_job(rooms):
    """At the very end of the lease neither side holds it: a gap, never an overlap."""
    [job] = rooms.enqueue("a")
    lease = rooms.claim().lease
    assert lease._deadline <= rooms.row(job)["lease_until"]
    rooms.time.turn(LEASE_S)
    assert not lease.held
    assert rooms.rescue() == []


def test_a_renewal_carries_the_lease_on(rooms):
    [job] = rooms.enqueue("a")
    lease = rooms.claim().lease
    for _ in range(5):
        rooms.time.turn(LEASE_S - 1)
        rooms.owner.renew({job: lease})
    lease.check()
    assert rooms.rescue() == []


def test_a_renewal_extends_only_the_leases_that_the_worker_still_holds(rooms):
    lost, kept = rooms.enqueue("a", "b")
    leases = {claimed.lease.job: claimed.lease for claimed in (rooms.claim(), rooms.claim())}
    rooms.set_row(lost, lease_boot="before")
    assert rooms.rescue() == [lost]
    other = rooms.worker("w-2").claim()
    theirs = rooms.row(lost)
    rooms.time.turn(10)
    rooms.owner.renew(leases)
    assert not leases[lost].held
    assert rooms.row(lost) == theirs
    rooms.time.turn(LEASE_S - 5)
    assert leases[kept].held
    assert not other.lease.held


def test_one_worker_does_not_renew_the_leases_of_another(rooms):
    [job] = rooms.enqueue("a")
    lease = rooms.claim().lease
    before = rooms.row(job)
    rooms.time.turn(1)
    rooms.worker("w-2").renew({})
    rooms.owner.renew({})
    assert rooms.row(job) == before
    assert lease.held


def test_a_revoked_lease_stays_revoked(rooms):
    rooms.enqueue("a")
    lease = rooms.claim().lease
    lease.revoke()
    lease.extend(rooms.time.awake_s + 100)
    assert not lease.held


# The fence -----------------------------------------------------------------------------------------------------------


EACH_WRITE = pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))


@EACH_WRITE
def test_a_run_whose_job_another_has_writes_nothing(rooms, write):
    rooms.enqueue("a")
    stale = rooms.claim()
    rooms.time.turn(LEASE_S + 1)
    rooms.rescue()
    assert rooms.worker("w-2").claim() is not None
    stale.lease.extend(rooms.time.awake_s + 100)  # as if its own clock had not told it
    before = everything(rooms)
    with pytest.raises(LeaseLost):
        write(rooms, stale)
    assert everything(rooms) == before


@EACH_WRITE
def test_a_run_whose_job_was_taken_and_not_yet_claimed_writes_nothing(rooms, write):
    rooms.enqueue("a")
    stale = rooms.claim()
    assert rooms.rescue("w-1") != []
    before = everything(rooms)
    with pytest.raises(LeaseLost):
        write(rooms, stale)
    assert everything(rooms) == before


@EACH_WRITE
def test_a_run_past_its_deadline_writes_nothing_though_no_worker_took_its_job(rooms, write):
    rooms.enqueue("a")
    late = rooms.claim()
    rooms.time.turn(LEASE_S + 1)
    before = everything(rooms)
    with pytest.raises(LeaseLost):
        write(rooms, late)
    assert everything(rooms) == before


@EACH_WRITE
def test_a_run_that_holds_its_lease_writes(rooms, write):
    rooms.enqueue("a")
    claimed = rooms.claim()
    before = everything(rooms)
    write(rooms, claimed)
    assert everything(rooms) != before


# The ends of an attempt ----------------------------------------------------------------------------------------------


ENDS = {
    "complete": ("completed", 1, "completed"),
    "fail": ("failed", 1, "failed"),
    "wait": ("queued", 1, "waits"),
    "hand_back": ("queued", 0, "handed_back"),
    "obey": ("queued", 1, "handed_back"),  # the wish was taken back meanwhile
}


@pytest.mark.parametrize(("end", "state", "attempt", "outcome"), [(end, *after) for end, after in ENDS.items()])
def test_each_end_frees_the_lease_and_leaves_the_row_calm(rooms, end, state, attempt, outcome):
    [job] = rooms.enqueue("a")
    claimed = rooms.claim()
    rooms.owner.progress(claimed.lease, Progress(Stage.DOWNLOAD, 1000, 10, 10, 5, DigestState.RUNNING))
    rooms.time.turn(3)
    WRITES[end](rooms, claimed)
    row = rooms.row(job)
    assert (row["state"], row["attempt"]) == (state, attempt)
    free = ("lease_token", "lease_worker", "lease_boot", "lease_until", "stage", "rate_bps", "requested")
    assert {row[name] for name in free} == {None}
    final = state in ("completed", "failed", "cancelled")
    assert row["finished_at"] == (rooms.time.in_us(0) if final else None)
    with reading(rooms.engine) as tx:
        [told] = tx.execute(sa.select(attempts)).mappings()
    assert (told["outcome"], told["finished_at"], told["token"]) == (outcome, rooms.time.in_us(0), claimed.lease.token)


def test_a_wait_that_costs_nothing_gives_the_attempt_back(rooms):
    [job] = rooms.enqueue("a")
    rooms.owner.wait(
        rooms.claim().lease, rooms.time.in_us(15), Reason.DISK, FlowhubError("Full."), faults=4, cost=False
    )
    row = rooms.row(job)
    assert (row["attempt"], row["faults"], row["wait_reason"], row["wait_text"]) == (0, 4, "disk", "Full.")
    assert rooms.owner.claim() is None


@pytest.mark.parametrize(("end", "attempt"), [("hand_back", 0), ("obey", 1), ("wait", 1)])
@pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled"), ("purge", "cancelled")])
def test_a_request_is_carried_out_however_the_worker_releases_the_job(rooms, wish, state, end, attempt):
    """As it stands by then: the worker may have stopped for another word."""
    [job] = rooms.enqueue("a")
    claimed = rooms.claim()
    rooms.set_row(job, requested=wish)
    WRITES[end](rooms, claimed)
    row = rooms.row(job)
    assert (row["state"], row["attempt"], row["requested"]) == (state, attempt, None)
    assert (row["not_before"], row["wait_reason"]) == (None, None)
    assert (row["finished_at"] is not None) == (state == "cancelled")


@pytest.mark.parametrize("wish", ["cancel", "purge"])
def test_a_job_that_fails_when_it_was_cancelled_is_cancelled(rooms, wish):
    [job] = rooms.enqueue("a")
    claimed = rooms.claim()
    rooms.set_row(job, requested=wish)
    assert rooms.owner.fail(claimed.lease, SourceMissing("Gone.")) == wish
    row = rooms.row(job)
    assert (row["state"], row["requested"], row["error"]) == ("cancelled", None, None)


def test_a_job_that_fails_when_it_was_to_pause_tells_why(rooms):
    [job] = rooms.enqueue("a")
    claimed = rooms.claim()
    rooms.set_row(job, requested="pause")
    assert rooms.owner.fail(claimed.lease, SourceMissing("Gone.")) is None
    row = rooms.row(job)
    assert (row["state"], row["requested"], row["error"]["code"]) == ("failed", None, "source_missing")


@pytest.mark.parametrize("wish", [None, "pause", "cancel", "purge"])
def test_a_job_with_another_request_records_no_intent(rooms, wish):
    [job] = rooms.enqueue("a")
    claimed = rooms.claim()
    rooms.set_row(job, requested=wish)
    assert rooms.owner.record_intent(claimed.lease, {"name": "a.gguf"}) == wish
    assert rooms.row(job)["intent"] == (None if wish else {"name": "a.gguf"})


def test_completing_writes_what_came_of_each_file(rooms):
    [job] = rooms.enqueue("a")
    rooms.complete(rooms.claim())
    [done] = rooms.queries.jobs([job])
    assert (done.bytes_done, done.bytes_total, done.sha256_state) == (1000, 1000, "verified")
    assert done.target == "/store/there"
    assert done.files[0].bytes_done == 1000


def test_the_requests_are_those_of_this_workers_running_jobs(rooms):
    first, second = rooms.enqueue("a", "b")
    mine, theirs = rooms.claim(), rooms.worker("w-2").claim()
    assert theirs is not None
    rooms.commands.pause(first)
    rooms.commands.cancel(second)
    assert rooms.owner.requested_actions() == {mine.lease.token: "pause"}
    rooms.owner.release_as_requested(mine.lease)
    assert rooms.owner.requested_actions() == {}


# Rescue --------------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_known_to_be_dead_loses_its_jobs_at_once(rooms):
    [job] = rooms.enqueue("a")
    rooms.claim()
    assert rooms.rescue("w-1") == [job]
    row = rooms.row(job)
    assert (row["state"], row["attempt"], row["lease_token"], row["stage"]) == ("queued", 0, None, None)
    assert rooms.rescue("w-1") == []


def test_a_worker_that_lives_keeps_its_jobs(rooms):
    rooms.enqueue("a")
    rooms.claim()
    before = everything(rooms)
    assert rooms.rescue("w-2") == []
    assert everything(rooms) == before


def test_a_lease_of_another_boot_has_no_owner(rooms):
    [job] = rooms.enqueue("a")
    rooms.claim()
    rooms.set_row(job, lease_boot="before", lease_until=rooms.time.awake_s + DAY)
    assert rooms.rescue() == [job]


def test_a_lease_that_is_renewed_during_a_rescue_stays(rooms):
    """Else its owner, who knows of nothing, and the next one would write into one partial."""
    [job] = rooms.enqueue("a")
    lease = rooms.claim().lease
    rooms.time.turn(LEASE_S + 1)

    def renewed_meanwhile(worker: str) -> bool | None:
        rooms.owner.renew({job: lease})
        return None

    assert rescue(rooms.engine, rooms.node, rooms.time.clock, renewed_meanwhile) == {}
    lease.check()
    assert rooms.state(job) is State.RUNNING


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_no_worker_rescues_a_job_that_does_not_run(rooms, state):
    rooms.job_in(state)
    rooms.time.turn(DAY)
    before = everything(rooms)
    assert rooms.rescue("w-1") == []
    assert everything(rooms) == before


@pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled"), ("purge", "cancelled")])
def test_a_request_is_carried_out_on_rescue(rooms, wish, state):
    [job] = rooms.enqueue("a")
    rooms.claim()
    rooms.set_row(job, requested=wish)
    rooms.rescue("w-1")
    row = rooms.row(job)
    assert (row["state"], row["requested"]) == (state, None)
    assert (row["finished_at"] is not None) == (state == "cancelled")


def test_ten_rescues_in_a_row_without_progress_fail_the_job(rooms):
    [job] = rooms.enqueue("a")
    for _ in range(10):
        assert rooms.state(job) is State.QUEUED
        rooms.owner.progress(rooms.claim().lease, seen(Stage.RESOLVE))
        rooms.rescue("w-1")
    [lost] = rooms.queries.jobs([job])
    assert (lost.state, lost.finished_at is not None) == (State.FAILED, True)
    assert lost.error is not None
    assert lost.error["code"] == WorkerLost.code
    assert "10 times in a row" in lost.error["message"]


@pytest.mark.parametrize("progress", [seen(fetched=1), seen(Stage.VERIFY)], ids=["a byte", "a stage"])
def test_progress_between_two_rescues_resets_the_count(rooms, progress):
    [job] = rooms.enqueue("a")
    rooms.set_row(job, rescues=9)
    rooms.owner.progress(rooms.claim().lease, progress)
    rooms.rescue("w-1")
    assert (rooms.state(job), rooms.row(job)["rescues"]) == (State.QUEUED, 0)


def test_new_bytes_are_progress_also_in_a_stage_that_was_reached_before(rooms):
    [job] = rooms.enqueue("a")
    for fetched in (5, 6):
        rooms.set_row(job, rescues=9)
        rooms.owner.progress(rooms.claim().lease, seen(Stage.DOWNLOAD, fetched=fetched))
        rooms.rescue("w-1")
        assert rooms.state(job) is State.QUEUED


def test_the_same_byte_or_stage_again_is_no_progress(rooms):
    [job] = rooms.enqueue("a")
    for _ in range(2):
        lease = rooms.claim().lease
        rooms.owner.progress(lease, seen(Stage.DOWNLOAD, fetched=5))
        rooms.rescue("w-1")
    assert rooms.row(job)["rescues"] == 1


def test_progress_of_an_attempt_that_ended_by_itself_counts_for_the_next_rescue(rooms):
    """What counts is what happened since the last rescue, not since the last claim."""
    [job] = rooms.enqueue("a")
    rooms.set_row(job, rescues=9)
    lease = rooms.claim().lease
    rooms.owner.progress(lease, seen(fetched=100))
    rooms.owner.hand_back(lease)
    rooms.claim()
    rooms.rescue("w-1")
    assert (rooms.state(job), rooms.row(job)["rescues"]) == (State.QUEUED, 0)
    rooms.claim()
    rooms.rescue("w-1")
    assert rooms.row(job)["rescues"] == 1


# This worker among the others ----------------------------------------------------------------------------------------


def test_a_worker_is_listed_from_its_start_to_its_end(rooms):
    rooms.owner.register(4711, 3)
    assert rooms.queries.workers() == ["w-1"]
    rooms.time.turn(10)
    rooms.owner.renew({})
    with reading(rooms.engine) as tx:
        [row] = tx.execute(sa.select(workers)).mappings()
    assert row["slots"] == 3
    if rooms.engine.dialect.name == "sqlite":  # PostgreSQL's clock is not turned
        assert row["seen_at"] - row["started_at"] == 10_000_000
    assert row["seen_at"] > row["started_at"]
    rooms.owner.unregister()
    assert rooms.queries.workers() == []


def test_an_attempt_that_was_given_back_continues_and_does_not_begin_twice(rooms):
    [job] = rooms.enqueue("tiny")
    rooms.owner.hand_back(rooms.claim().lease)
    rooms.claim()
    claims = [event.text for event in rooms.queries.events(job) if event.kind == "claimed"]
    assert claims == ["Attempt 1 began.", "Attempt 1 continued."]
