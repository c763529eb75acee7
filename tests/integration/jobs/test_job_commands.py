"""The commands of users: enqueue, cancel, pause, resume, retry, in every state of a job."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from support.job_store import JobStore, artifact

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import attempts, job_files, jobs, nodes
from flowhub_jobs.errors import Busy, FlowhubError, NotFound, SourceMissing, WrongState
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.enqueue_rows import Enqueued, EnqueueRequest, EnqueueTerms
from flowhub_jobs.jobs.run_values import Progress
from flowhub_jobs.values.enums import DigestState, Reason, Stage, State
from flowhub_jobs.values.jobs import ANY_NODE

HOUR = 3600


# Every state, every verb ---------------------------------------------------------------------------------------------

REFUSED = "refused"
TABLE = {
    #            cancel       pause        resume       retry
    "queued": ("cancelled", "paused", "queued", "queued"),
    "running": ("running", "running", "running", "running"),
    "paused": ("cancelled", "paused", "queued", "paused"),
    "completed": (REFUSED, REFUSED, REFUSED, REFUSED),
    "failed": (REFUSED, REFUSED, REFUSED, "queued"),
    "cancelled": ("cancelled", REFUSED, REFUSED, "queued"),
}
VERBS = ("cancel", "pause", "resume", "retry")
CELLS = [(state, verb, after) for state, line in TABLE.items() for verb, after in zip(VERBS, line, strict=True)]


def test_the_table_has_every_state():
    assert set(TABLE) == set(State)


@pytest.mark.parametrize(("state", "verb", "after"), CELLS, ids=[f"{state}-{verb}" for state, verb, _ in CELLS])
def test_a_verb_moves_a_job_as_the_table_says_or_changes_nothing(job_store, state, verb, after):
    job = job_store.job_in(State(state))
    before = job_store.row(job)
    if after == REFUSED:
        with pytest.raises(WrongState, match=f"Job {job} is {state}") as raised:
            getattr(job_store.commands, verb)(job)
        assert raised.value.hint
        assert job_store.row(job) == before
    else:
        assert getattr(job_store.commands, verb)(job) == after
        assert job_store.state(job) == after
    if after == state and state != "running":
        assert job_store.row(job) == before


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_job_is_not_found(job_store, verb):
    with pytest.raises(NotFound, match="no job 7") as raised:
        getattr(job_store.commands, verb)(7)
    assert "No job was queued yet" in (raised.value.hint or "")
    job_store.enqueue("tiny")
    with pytest.raises(NotFound) as raised:
        getattr(job_store.commands, verb)(7)
    assert "The last job is 1" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("state", "verb", "after"),
    [
        ("queued", "cancel", "cancelled"),
        ("queued", "pause", "paused"),
        ("paused", "resume", "queued"),
        ("failed", "retry", "queued"),
    ],
)
def test_a_job_of_another_node_is_moved_by_its_number(job_store, state, verb, after):
    job = job_store.job_in(State(state))
    other = JobCommands(job_store.engine, "n-other", job_store.time.clock)
    assert getattr(other, verb)(job) == after
    assert (job_store.row(job)["state"], job_store.row(job)["node"]) == (after, job_store.node)


def test_a_command_of_another_node_waits_for_the_owner_that_moves_the_job(job_store_on_postgresql, tmp_path):
    """Otherwise the pause would find the job neither queued nor running, and leave it as it is."""
    job_store = job_store_on_postgresql
    job = job_store.job_in(State.RUNNING)
    other, lock_requested = JobStore(tmp_path / "other", "n-other", job_store.url), threading.Event()
    sa.event.listen(
        other.engine, "before_cursor_execute", lambda *statement: "FOR UPDATE" in statement[2] and lock_requested.set()
    )
    with ThreadPoolExecutor(1) as pool:
        with writing(job_store.engine) as tx:
            tx.execute(sa.update(jobs).where(jobs.c.id == job).values(state=State.QUEUED, lease_token=None))
            pausing = pool.submit(other.commands.pause, job)
            assert lock_requested.wait(30)
            assert not pausing.done()
        assert pausing.result() is State.PAUSED
    other.close()


def test_commands_of_two_nodes_that_queue_the_same_for_a_third_get_the_same_job(job_store_on_postgresql, tmp_path):
    job_store = job_store_on_postgresql
    with writing(job_store.engine) as tx:
        tx.execute(nodes.insert().values(node="n-third", hostname="h", store="/s", seen_at=0))
    job_stores = [JobStore(tmp_path / name, name, job_store.url) for name in ("n-a", "n-b")]
    barrier = threading.Barrier(2)

    def enqueue_all(node: JobStore) -> list[int]:
        requests = [EnqueueRequest(artifact(f"m{number}"), "/s/m", node="n-third") for number in range(20)]
        barrier.wait()
        return [node.commands.enqueue([request])[0].job for request in requests]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(enqueue_all, job_stores)
    assert first == second
    for node in job_stores:
        node.close()


def test_nothing_is_queued_for_a_node_that_is_not_registered(job_store):
    with pytest.raises(NotFound, match="no node 'n-third'"):
        job_store.commands.enqueue([EnqueueRequest(artifact("m"), "/s/m", node="n-third")])


def test_a_request_for_any_node_is_answered_by_the_live_job_of_one(job_store):
    [own] = job_store.enqueue("m")
    [again] = job_store.commands.enqueue([EnqueueRequest(artifact("m"), "m", node=ANY_NODE)])
    assert (again.job, again.new) == (own, False)
    [first] = job_store.commands.enqueue([EnqueueRequest(artifact("n"), "n", node=ANY_NODE)])
    [second] = job_store.commands.enqueue([EnqueueRequest(artifact("n"), "n", node=ANY_NODE)])
    assert (first.new, second.new, second.job) == (True, False, first.job)
    assert (job_store.row(first.job)["node"], job_store.row(first.job)["any_node"]) == (ANY_NODE, True)


# Requests to a running job -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("requested", "options"), [("cancel", {}), ("purge", {"purge": True})])
def test_a_cancel_of_a_running_job_is_a_request_in_its_row(job_store, requested, options):
    job = job_store.job_in(State.RUNNING)
    before = job_store.row(job)
    assert job_store.commands.cancel(job, **options) is State.RUNNING
    assert job_store.row(job) == before | {"requested": requested}


def test_a_pause_of_a_running_job_is_a_request_that_a_resume_withdraws(job_store):
    job = job_store.job_in(State.RUNNING)
    before = job_store.row(job)
    job_store.commands.pause(job)
    assert job_store.row(job) == before | {"requested": "pause"}
    job_store.commands.resume(job)
    assert job_store.row(job) == before


def test_a_resume_does_not_take_back_a_cancel(job_store):
    job = job_store.job_in(State.RUNNING)
    job_store.commands.cancel(job)
    job_store.commands.resume(job)
    assert job_store.row(job)["requested"] == "cancel"


def test_a_pause_does_not_take_back_a_cancel(job_store):
    job = job_store.job_in(State.RUNNING)
    job_store.commands.cancel(job)
    job_store.commands.pause(job)
    assert job_store.row(job)["requested"] == "cancel"


# Times ---------------------------------------------------------------------------------------------------------------


def test_a_resume_keeps_a_time_that_is_still_ahead_and_its_reason(job_store):
    [job] = job_store.enqueue("tiny", not_before=job_store.time.us_from_now(HOUR))
    job_store.commands.pause(job)
    job_store.commands.resume(job)
    [status] = job_store.queries.jobs([job])
    assert status.reason is Reason.AT
    assert job_store.owner.claim() is None
    job_store.time.advance(HOUR)
    assert job_store.owner.claim() is not None


def test_a_job_that_was_resumed_after_its_time_starts_at_once(job_store):
    [job] = job_store.enqueue("tiny", not_before=job_store.time.us_from_now(HOUR))
    job_store.commands.pause(job)
    job_store.time.advance(HOUR)
    job_store.commands.resume(job)
    assert job_store.claim().lease.job == job


def test_a_retry_keeps_the_users_own_time_if_it_is_still_ahead(job_store):
    [job] = job_store.enqueue("tiny", not_before=job_store.time.us_from_now(HOUR))
    job_store.commands.cancel(job)
    job_store.commands.retry(job)
    assert job_store.queries.jobs([job])[0].reason is Reason.AT
    assert not job_store.queries.still_to_do()
    job_store.commands.cancel(job)
    job_store.time.advance(HOUR)
    job_store.commands.retry(job)
    assert (job_store.row(job)["not_before"], job_store.row(job)["wait_reason"]) == (None, None)


def test_a_retry_does_not_wait_for_what_the_earlier_attempts_waited_for(job_store):
    [job] = job_store.enqueue("tiny")
    later = job_store.time.us_from_now(300)
    job_store.owner.requeue_after(
        job_store.claim().lease, later, Reason.BACKOFF, FlowhubError("It waits."), faults=3, counts_as_attempt=True
    )
    job_store.commands.cancel(job)
    job_store.commands.retry(job)
    assert job_store.claim().lease.job == job


# Retry ---------------------------------------------------------------------------------------------------------------


def test_a_retry_keeps_the_id_the_times_the_attempt_and_the_bytes_and_gets_a_fresh_budget(job_store):
    [job] = job_store.enqueue("tiny")
    claimed = job_store.claim()
    job_store.owner.progress(claimed.lease, Progress(Stage.DOWNLOAD, 1000, 400, 450, None, DigestState.RUNNING))
    job_store.set_row(job, faults=9, rescues=7)
    job_store.time.advance(20)
    job_store.owner.fail(claimed.lease, SourceMissing("It is gone."), mismatch=True)
    before = job_store.row(job)
    assert before["error"]["code"] == "source_missing"
    job_store.time.advance(60)
    job_store.commands.retry(job)
    fresh = {"finished_at": None, "error": None, "faults": 0, "rescues": 0, "sha256_state": "pending"}
    assert job_store.row(job) == before | fresh | {"state": "queued"}
    assert job_store.claim().lease.attempt == 2
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(attempts.c.attempt).order_by(attempts.c.id)).scalars().all() == [1, 2]


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_a_retry_is_refused_while_another_job_works_on_the_same_files(job_store, state):
    old = job_store.job_in(state)
    [new] = job_store.enqueue("tiny")
    assert new != old
    with pytest.raises(Busy, match=f"job {new} is at work on the same files"):
        job_store.commands.retry(old)
    assert job_store.state(old) is state
    job_store.commands.cancel(new)
    assert job_store.commands.retry(old) is State.QUEUED


# The priority --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
def test_a_live_job_takes_another_priority_and_stays_as_it_is(job_store, state):
    job = job_store.job_in(state)
    before = job_store.row(job)
    assert job_store.commands.set_priority(job, 7) is state
    assert job_store.row(job) == before | {"priority": 7}


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED])
def test_a_job_that_has_ended_keeps_its_priority(job_store, state):
    job = job_store.job_in(state)
    with pytest.raises(WrongState, match=f"Job {job} is {state} and cannot be given another priority") as raised:
        job_store.commands.set_priority(job, 7)
    assert raised.value.hint
    assert job_store.row(job)["priority"] == 0


def test_a_priority_is_refused_for_an_unknown_job_and_set_for_that_of_another_node(job_store):
    with pytest.raises(NotFound, match="no job 7"):
        job_store.commands.set_priority(7, 1)
    job = job_store.job_in(State.QUEUED)
    other = JobCommands(job_store.engine, "n-other", job_store.time.clock)
    assert other.set_priority(job, 1) is State.QUEUED
    assert job_store.row(job)["priority"] == 1


# Enqueue -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
@pytest.mark.parametrize("force", [False, True])
def test_a_request_for_the_artifact_of_a_live_job_returns_that_job_unchanged(job_store, state, force):
    job = job_store.job_in(state)
    before = job_store.row(job)
    request = EnqueueRequest(artifact(), "/elsewhere", EnqueueTerms(priority=5, group="night", force=force))
    assert job_store.commands.enqueue([request]) == [Enqueued(job, new=False)]
    assert job_store.row(job) == before


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED])
def test_after_the_end_of_a_job_a_new_one_is_made_where_nothing_is_installed(job_store, state):
    job = job_store.job_in(state)
    assert job_store.commands.enqueue([EnqueueRequest(artifact(), "/store/x")]) == [Enqueued(job + 1, new=True)]
    assert job_store.state(job) is state


def test_a_request_for_an_installed_artifact_returns_the_job_that_installed_it(job_store):
    job = job_store.job_in(State.COMPLETED)
    request = EnqueueRequest(artifact(), "/store/x", installed=True, installed_by=job)
    assert job_store.commands.enqueue([request, request]) == [Enqueued(job, new=False)] * 2


@pytest.mark.parametrize(("sha256", "digest_state"), [("ab" * 32, "verified"), (None, "unpinned")])
def test_an_installed_artifact_without_a_job_gets_a_completed_one(job_store, sha256, digest_state):
    request = EnqueueRequest(
        artifact(sha256=sha256), "/store/x", EnqueueTerms(not_before=job_store.time.us_from_now(60)), installed=True
    )
    [answer] = job_store.commands.enqueue([request])
    [status] = job_store.queries.jobs([answer.job])
    assert (status.state, status.sha256_state, status.attempt, status.not_before) == (
        "completed",
        digest_state,
        0,
        None,
    )
    assert (status.bytes_total, status.bytes_done, status.bytes_fetched) == (1000, 1000, 0)
    assert status.files[0].bytes_done == 1000
    assert status.finished_at == status.created_at
    assert job_store.owner.claim() is None


def test_force_fetches_what_is_installed_again(job_store):
    job = job_store.job_in(State.COMPLETED)
    request = EnqueueRequest(artifact(), "/store/x", EnqueueTerms(force=True), installed=True, installed_by=job)
    [answer] = job_store.commands.enqueue([request])
    assert answer == Enqueued(job + 1, new=True)
    assert job_store.claim().forced


def test_of_two_requests_for_one_installed_artifact_one_that_forces_is_enough(job_store):
    plain = EnqueueRequest(artifact(), "/store/x", installed=True)
    forced = EnqueueRequest(artifact(), "/store/x", EnqueueTerms(force=True), installed=True)
    first, second = job_store.commands.enqueue([plain, forced])
    assert first == Enqueued(second.job, new=False)
    assert second.new
    assert job_store.state(second.job) is State.QUEUED


@pytest.mark.parametrize("installed", [False, True])
def test_the_same_artifact_twice_in_one_call_is_one_job(job_store, installed):
    request = EnqueueRequest(artifact(), "/store/x", installed=installed)
    first, second = job_store.commands.enqueue([request, request])
    assert first.job == second.job
    assert not second.new


def test_the_answers_are_in_the_order_of_the_requests(job_store):
    [b] = job_store.enqueue("b")
    assert job_store.enqueue("a", "b", "c", "a") == [b + 1, b, b + 2, b + 1]


def test_the_same_artifact_on_another_node_is_another_job(job_store):
    [job] = job_store.enqueue("tiny")
    other = JobCommands(job_store.engine, "n-other", job_store.time.clock)
    assert other.enqueue([EnqueueRequest(artifact(), "/store/x")]) == [Enqueued(job + 1, new=True)]


def test_a_request_is_stored_with_its_terms(job_store):
    big = artifact("big", size=None, sha256=None)
    terms = EnqueueTerms(priority=-3, group="night", not_before=job_store.time.us_from_now(60))
    [answer] = job_store.commands.enqueue([EnqueueRequest(big, "/store/big", terms)])
    row = job_store.row(answer.job)
    assert job_store.commands.artifact(answer.job) == big
    expected = {"ref": "big@q4", "target": "/store/big", "priority": -3, "group": "night", "bytes_total": None}
    assert {name: row[name] for name in expected} == expected
    assert row["not_before"] == job_store.time.us_from_now(60)
    with reading(job_store.engine) as tx:
        [file] = tx.execute(sa.select(job_files)).mappings()
    assert (file["path"], file["bytes"], file["sha256"]) == ("big-q4.gguf", None, None)


def test_to_wait_for_a_job_that_is_not_there_is_refused_and_nothing_is_queued(job_store):
    [job] = job_store.enqueue("a")
    with pytest.raises(NotFound, match="no job 2"):
        job_store.enqueue("b", after=(job, job + 1))
    assert [job.id for job in job_store.queries.all()] == [job]


def test_if_one_request_cannot_be_written_none_of_the_call_is(job_store):
    bad = EnqueueRequest(artifact("b"), None)  # type: ignore[arg-type]
    with pytest.raises(sa.exc.IntegrityError):
        job_store.commands.enqueue([EnqueueRequest(artifact("a"), "/store/a"), bad])
    assert job_store.queries.all() == []


def test_ten_thousand_requests_fit_into_one_call(job_store):
    numbers = job_store.enqueue(*(f"m{number}" for number in range(10_000)))
    assert numbers == list(range(1, 10_001))
    assert [job.id for job in job_store.queries.jobs(numbers)] == numbers
    assert job_store.owner.due() == 10_000


def test_the_table_refuses_two_live_jobs_of_one_artifact(job_store):
    """Also if two processes enqueue at once, and neither reads the other's job."""
    [job] = job_store.enqueue("tiny")
    [old] = job_store.enqueue("other")
    job_store.commands.cancel(old)
    with pytest.raises(sa.exc.IntegrityError):
        job_store.set_row(old, artifact_key=job_store.row(job)["artifact_key"], state="paused")


def test_every_move_is_recorded_in_the_jobs_history(job_store):
    [job] = job_store.enqueue("tiny")
    for verb in ("pause", "resume", "cancel", "retry"):
        getattr(job_store.commands, verb)(job)
    kinds = [event.kind for event in job_store.queries.events(job)]
    assert kinds == ["queued", "paused", "resumed", "cancelled", "retried"]


def test_a_purge_is_recorded_for_ended_jobs_only(job_store):
    ended, live = job_store.job_in(State.CANCELLED, "a"), job_store.job_in(State.QUEUED, "b")
    for job in (ended, live):
        job_store.set_row(job, bytes_done=7)
        job_store.commands.purged(job)
    assert (job_store.row(ended)["bytes_done"], job_store.row(live)["bytes_done"]) == (0, 7)
