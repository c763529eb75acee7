"""The upkeep that a worker has to do besides its jobs, read by one query."""

from dataclasses import asdict

import pytest
import sqlalchemy as sa
from support.job_store import JobStore

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import host_waits, placements, subscriptions, workers
from flowhub_jobs.jobs.pending_upkeep_query import pending_upkeep
from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import ANY_NODE

WORKER = "w-1"  # JobStore's


def pending_kinds(job_store, worker=WORKER):
    """Return the kinds of upkeep that are due."""
    upkeep = pending_upkeep(job_store.database, job_store.node, worker, job_store.time.clock)
    return {kind for kind, due in asdict(upkeep).items() if due}


def insert(job_store, table, **values):
    with writing(job_store.engine) as tx:
        tx.execute(table.insert().values(**({"node": job_store.node} | values)))


def test_an_idle_node_has_nothing_to_do(job_store):
    job_store.job_in(State.COMPLETED)
    job_store.job_in(State.PAUSED, "other")
    assert pending_kinds(job_store) == set()


def test_a_queued_job_is_due_when_its_time_has_come(job_store):
    [job] = job_store.enqueue("tiny", not_before=job_store.time.clock.now_us() + 5_000_000)
    assert pending_kinds(job_store) == set()
    job_store.time.advance(5)
    assert pending_kinds(job_store) == {"due_jobs"}
    job_store.set_row(job, node="n-other")
    assert pending_kinds(job_store) == set()
    job_store.set_row(job, node=ANY_NODE)
    assert pending_kinds(job_store) == {"due_jobs"}


def test_a_running_job_of_this_worker_is_no_upkeep_while_its_lease_holds(job_store):
    job_store.enqueue("tiny")
    job_store.claim()
    assert pending_kinds(job_store) == set()
    assert pending_kinds(job_store, "w-2") == {"other_workers"}
    job_store.time.advance(40)
    assert pending_kinds(job_store) == {"other_workers"}


@pytest.mark.parametrize("damage", [{"lease_token": None}, {"lease_boot": "of another boot"}, {"lease_until": None}])
def test_a_lease_that_no_worker_can_hold_is_upkeep(job_store, damage):
    [job] = job_store.enqueue("tiny")
    job_store.claim()
    job_store.set_row(job, **damage)
    assert pending_kinds(job_store) == {"other_workers"}


def test_a_lease_without_a_number_is_upkeep(tmp_path):
    job_store = JobStore(tmp_path)  # SQLite alone stores text in a column of numbers
    [job] = job_store.enqueue("tiny")
    job_store.claim()
    with writing(job_store.engine) as tx:
        tx.execute(sa.text("UPDATE jobs SET lease_until = 'soon' WHERE id = :job"), {"job": job})
    assert pending_kinds(job_store) == {"other_workers"}
    job_store.close()


def test_the_row_of_another_worker_is_upkeep(job_store):
    job_store.owner.register(1, 1)
    assert pending_kinds(job_store) == set()
    insert(job_store, workers, worker="w-2", pid=2, slots=1, started_at=1, seen_at=1)
    assert pending_kinds(job_store) == {"other_workers"}


@pytest.mark.parametrize("reason", [Reason.DISK, Reason.STORE_OFFLINE])
def test_a_job_that_waits_for_the_disk_is_upkeep(job_store, reason):
    [job] = job_store.enqueue("tiny")
    job_store.set_row(job, wait_reason=reason, not_before=job_store.time.clock.now_us() + 60_000_000)
    assert pending_kinds(job_store) == {"disk_waits"}


def test_a_host_that_is_waited_for_is_upkeep(job_store):
    wait = {"since": 1, "until": 2, "wait_us": 1, "tries": 1, "code": "network_down", "text": "It is away."}
    insert(job_store, host_waits, origin="https://models.example", **wait)
    assert pending_kinds(job_store) == {"host_waits"}


def test_an_unfinished_placement_is_upkeep(job_store):
    columns = {"store_id": "s", "name": "tiny.gguf", "artifact_key": "k", "claim": "tiny@q4", "app": "llamacpp"}
    insert(job_store, placements, **columns, root="/apps", state="placed", token="t", created_at=1)
    assert pending_kinds(job_store) == set()
    with writing(job_store.engine) as tx:
        tx.execute(sa.update(placements).values(state="wanted"))
    assert pending_kinds(job_store) == {"placements"}


def test_a_subscription_is_upkeep_when_its_check_is_due(job_store):
    now = job_store.time.clock.now_us()
    columns = {"kind": "model", "ref": "tiny@q4", "include": [], "every_us": 1, "place": [], "created_at": 1}
    insert(job_store, subscriptions, **columns, next_at=now + 1_000_000, failures=0, version=1)
    assert pending_kinds(job_store) == set()
    job_store.time.advance(1)
    assert pending_kinds(job_store) == {"subscriptions"}
