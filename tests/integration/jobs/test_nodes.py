"""Nodes: a machine registers under a name that no other may use, and is alive while its workers renew their leases."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.job_store import NODE, JobStore

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import jobs, nodes, workers
from flowhub_jobs.errors import Busy, DiskFull, NodeTaken, SourceMissing, UsageInvalid
from flowhub_jobs.jobs.any_node import offer_to_any_node, take_from_gone_nodes
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.node_registry import NodeRegistry, owner_of
from flowhub_jobs.jobs.node_removal import Removed, remove
from flowhub_jobs.jobs.node_rows import NodeStatus, nodes_in
from flowhub_jobs.jobs.run_values import LEASE_S, LeaseLost
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.jobs.subscriptions.subscription_rows import SubscriptionRows
from flowhub_jobs.jobs.subscriptions.subscription_values import SubscriptionKind, Terms
from flowhub_jobs.values.enums import EventKind, RequestedAction, State
from flowhub_jobs.values.jobs import ANY_NODE, NewEvent


def worker_of(job_store: JobStore, name: str, home: str = "/home-a") -> LeaseStore:
    registry = NodeRegistry(job_store.engine, job_store.node, f"alpha/1 {home}", job_store.time.clock)
    return LeaseStore(job_store.engine, job_store.node, name, job_store.time.clock, registry=registry)


def all_nodes(job_store: JobStore) -> list[NodeStatus]:
    with job_store.database.reading() as snapshot:
        return nodes_in(snapshot, job_store.time.clock.now_us())


def advance_all_clocks(job_store: JobStore, seconds: float = LEASE_S + 1) -> None:
    """Let time pass on every clock. PostgreSQL's own cannot be advanced, so its rows are set back."""
    job_store.time.advance(seconds)
    if job_store.engine.dialect.name == "postgresql":
        with job_store.engine.begin() as tx:
            for table in (workers, nodes):
                tx.execute(sa.update(table).values(seen_at=table.c.seen_at - round(seconds * 1e6)))


def test_a_worker_registers_its_machine(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    [node] = all_nodes(job_store)
    assert (node.node, node.state, node.workers, node.slots, node.store) == (NODE, "alive", 1, 3, "/store")
    assert node.hostname
    assert node.version


def test_the_slots_of_a_node_are_those_of_all_its_workers(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    worker_of(job_store, "w-b").register(2, 2, "/store")
    [node] = all_nodes(job_store)
    assert (node.workers, node.slots) == (2, 5)


def test_a_node_whose_workers_do_not_renew_their_leases_is_gone(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    advance_all_clocks(job_store)
    [node] = all_nodes(job_store)
    assert (node.state, node.workers, node.slots) == ("gone", 0, 0)


def test_a_node_that_renews_its_leases_stays_alive(job_store):
    worker = worker_of(job_store, "w-a")
    worker.register(1, 3, "/store")
    advance_all_clocks(job_store)
    worker.renew({})
    [node] = all_nodes(job_store)
    assert node.state == "alive"


def test_a_claim_renews_the_time_at_which_a_worker_was_seen(job_store):
    """Other machines know from this time alone when the lease ends."""
    worker = worker_of(job_store, "w-a")
    worker.register(1, 3, "/store")
    job_store.enqueue("m")
    advance_all_clocks(job_store)
    assert worker.claim()
    assert all_nodes(job_store)[0].state == "alive"


def test_a_second_machine_with_the_name_is_refused_and_both_are_named(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    with pytest.raises(NodeTaken, match=r"alpha \(home /home-a\).*alpha \(home /home-b\)") as raised:
        worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    assert "FLOWHUB_NODE" in (raised.value.hint or "")
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(workers.c.worker)).scalars().all() == ["w-a"]


def test_a_second_worker_of_the_same_home_is_not_refused(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    worker_of(job_store, "w-b").register(2, 3, "/store")
    assert all_nodes(job_store)[0].workers == 2


def test_the_name_of_a_machine_that_stopped_is_free_at_once(job_store):
    first = worker_of(job_store, "w-a")
    first.register(1, 3, "/store")
    first.unregister()
    worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    assert all_nodes(job_store)[0].state == "alive"


def test_the_name_of_a_machine_that_died_is_free_after_the_length_of_a_lease(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    advance_all_clocks(job_store)
    worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    assert all_nodes(job_store)[0].state == "alive"


def test_a_worker_that_wakes_after_another_machine_took_its_name_renews_nothing(job_store):
    sleeper = worker_of(job_store, "w-a")
    sleeper.register(1, 3, "/store")
    [job] = job_store.enqueue("m")
    claimed = sleeper.claim()
    advance_all_clocks(job_store)
    worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    before = job_store.row(job)["lease_until"]
    with pytest.raises(NodeTaken, match="/home-b"):
        sleeper.renew({job: claimed.lease})
    assert job_store.row(job)["lease_until"] == before


def test_commands_of_a_second_home_take_no_jobs_of_the_first_back(job_store):
    """The locks of the first home's workers are not seen there."""
    worker_of(job_store, "w-a").register(1, 3, "/store")
    other_home = NodeRegistry(job_store.engine, job_store.node, "beta/1 /home-b", job_store.time.clock)
    assert other_home.is_elsewhere()
    advance_all_clocks(job_store)
    assert not other_home.is_elsewhere()


def test_the_owner_names_the_same_home_by_every_path_to_it(tmp_path: Path):
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    assert owner_of(tmp_path / "home") == owner_of(tmp_path / "link")


def test_the_description_of_a_machine_is_in_its_row(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    registry = NodeRegistry(job_store.engine, job_store.node, "alpha/1 /home-a", job_store.time.clock)
    gpu = {"name": "RTX", "vendor": "NVIDIA", "vram_total_bytes": 24_000_000_000}
    registry.describe({"ram": 64_000_000_000, "gpus": [gpu, gpu], "disk_free": 7})
    [node] = all_nodes(job_store)
    assert (node.ram, node.gpus, node.vram, node.disk_free) == (64_000_000_000, (gpu, gpu), 48_000_000_000, 7)


def test_a_command_that_runs_a_job_itself_renews_its_lease_without_registering(job_store):
    command = worker_of(job_store, "w-a")
    [job] = job_store.enqueue("m")
    claimed = command.claim(only=job)
    before = job_store.row(job)["lease_until"]
    job_store.time.advance(1)
    command.renew({job: claimed.lease})
    assert job_store.row(job)["lease_until"] > before
    assert all_nodes(job_store) == []


# Removal -------------------------------------------------------------------------------------------------------------


def remove_only_node(job_store: JobStore, action: str | None, *, force: bool = False) -> Removed:
    return remove(job_store.engine, all_nodes(job_store)[0], job_store.time.clock, action, force=force)


def registered_worker(job_store: JobStore) -> LeaseStore:
    worker = worker_of(job_store, "w-a")
    worker.register(1, 3, "/store")
    return worker


def test_a_node_that_is_alive_is_removed_only_by_force(job_store):
    registered_worker(job_store)
    with pytest.raises(Busy, match="alive"):
        remove_only_node(job_store, None)
    assert len(all_nodes(job_store)) == 1
    remove_only_node(job_store, None, force=True)
    assert all_nodes(job_store) == []


def test_a_node_with_jobs_is_removed_only_with_an_option_for_its_jobs(job_store):
    registered_worker(job_store)
    job_store.enqueue("a", "b")
    advance_all_clocks(job_store)
    with pytest.raises(UsageInvalid, match="2 unfinished jobs"):
        remove_only_node(job_store, None)
    assert len(all_nodes(job_store)) == 1


def test_the_jobs_of_a_removed_node_go_to_any_node(job_store):
    worker = registered_worker(job_store)
    queued, running, paused = job_store.enqueue("a", "b", "c")
    job_store.commands.pause(paused)
    claimed = worker.claim(only=running)
    advance_all_clocks(job_store)
    assert remove_only_node(job_store, "requeue") == Removed(NODE, requeued=[queued, running, paused])
    assert [job_store.row(job)["node"] for job in (queued, running, paused)] == [ANY_NODE] * 3
    assert [job_store.state(job) for job in (queued, running, paused)] == [State.QUEUED, State.QUEUED, State.PAUSED]
    assert job_store.row(running)["target"] == "b"
    with pytest.raises(LeaseLost):
        worker.fail(claimed.lease, SourceMissing("It is gone."))


def test_the_jobs_of_a_removed_node_are_cancelled(job_store):
    worker = registered_worker(job_store)
    queued, running = job_store.enqueue("a", "b")
    worker.claim(only=running)
    advance_all_clocks(job_store)
    assert remove_only_node(job_store, "cancel") == Removed(NODE, cancelled=[queued, running])
    assert {job_store.state(job) for job in (queued, running)} == {State.CANCELLED}
    assert job_store.row(running)["lease_token"] is None


def test_of_two_jobs_for_one_artifact_only_one_goes_to_any_node(job_store):
    registered_worker(job_store)
    [first] = job_store.enqueue("a")
    job_store.set_row(first, node=ANY_NODE)
    [second] = job_store.enqueue("a")
    advance_all_clocks(job_store)
    assert remove_only_node(job_store, "requeue") == Removed(NODE, cancelled=[second])


def test_a_worker_of_a_node_that_was_removed_by_force_stops(job_store):
    worker = registered_worker(job_store)
    remove_only_node(job_store, None, force=True)
    with pytest.raises(NodeTaken, match="removed"):
        worker.renew({})


# Jobs for any node, of a node that is gone ---------------------------------------------------------------------------


def job_of_registered_node(job_store: JobStore, *, any_node: bool = True, running: bool = True) -> int:
    worker = registered_worker(job_store)
    [job] = job_store.enqueue("a")
    job_store.set_row(job, any_node=any_node, not_before=None)
    if running:
        assert worker.claim()
    return job


@pytest.mark.parametrize("running", [True, False])
def test_a_job_for_any_node_is_given_back_when_its_node_is_gone(job_store, running):
    job = job_of_registered_node(job_store, running=running)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == []
    advance_all_clocks(job_store)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == [job]
    row = job_store.row(job)
    assert (row["node"], row["state"], row["lease_token"], row["attempt"]) == (ANY_NODE, "queued", None, 0)


def test_a_job_for_one_node_waits_for_it_however_long_it_is_gone(job_store):
    job = job_of_registered_node(job_store, any_node=False)
    advance_all_clocks(job_store, 86_400)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == []
    assert job_store.row(job)["node"] == NODE


def test_a_paused_job_for_any_node_stays_where_it_is_until_it_is_resumed(job_store):
    job = job_of_registered_node(job_store, running=False)
    job_store.commands.pause(job)
    advance_all_clocks(job_store)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == []
    job_store.commands.resume(job)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == [job]


def test_an_owner_that_renewed_after_it_was_judged_keeps_its_job(job_store):
    worker = registered_worker(job_store)
    [job] = job_store.enqueue("a")
    job_store.set_row(job, any_node=True)
    claimed = worker.claim()
    judged = job_store.row(job)
    job_store.time.advance(1)
    worker.renew({job: claimed.lease})
    with writing(job_store.engine) as tx:
        assert not offer_to_any_node(tx, judged, 0, NewEvent(EventKind.RESCUED, "late"))
    assert job_store.row(job)["lease_token"] == claimed.lease.token


# Claims of jobs for any node -----------------------------------------------------------------------------------------


@pytest.fixture
def make_nodes(tmp_path: Path, postgres_url: str) -> Iterator[Callable[..., JobStore]]:
    """A function that makes the job stores of several nodes over one PostgreSQL database."""
    with contextlib.ExitStack() as closing:

        def make(*names: str) -> list[JobStore]:
            job_stores = [JobStore(tmp_path / name, name, postgres_url) for name in names]
            for job_store in job_stores:
                closing.callback(job_store.close)
            return job_stores

        yield make


def worker_for_any(job_store: JobStore, room: int | None = 10**9) -> LeaseStore:
    """Return a registered worker that takes jobs for any node of at most `room` bytes; None: no such jobs."""
    registry = NodeRegistry(job_store.engine, job_store.node, f"{job_store.node}/1 /home", job_store.time.clock)
    name = f"w-{job_store.node}"
    worker = LeaseStore(
        job_store.engine, job_store.node, name, job_store.time.clock, registry=registry, any_node_room=lambda: room
    )
    worker.register(1, 3, f"/{job_store.node}")
    return worker


def enqueue_for_any(job_store: JobStore, *models: str, **terms: Any) -> list[int]:
    numbers = job_store.enqueue(*models, **terms)
    for job in numbers:
        job_store.set_row(job, node=ANY_NODE, any_node=True, target="m.gguf")
    return numbers


def test_the_first_node_takes_a_job_for_any_node_and_no_other(make_nodes):
    a, b = make_nodes("a", "b")
    [job] = enqueue_for_any(a, "m")
    first, second = worker_for_any(b), worker_for_any(a)
    assert first.claim().lease.job == job
    assert second.claim() is None
    row = a.row(job)
    assert (row["node"], row["target"], row["any_node"]) == ("b", "/b/m.gguf", True)


def test_of_nodes_that_claim_at_once_each_takes_another_job(make_nodes):
    """Forty claims of twenty jobs by four nodes: none is taken twice, and none is left."""
    job_stores = make_nodes("a", "b", "c", "d")
    queued = enqueue_for_any(job_stores[0], *(f"m{number}" for number in range(20)))
    all_workers, barrier = [worker_for_any(job_store) for job_store in job_stores], threading.Barrier(4)

    def claim_all(worker: LeaseStore) -> list[int]:
        barrier.wait()
        claims = [worker.claim() for _ in range(10)]
        return [claimed.lease.job for claimed in claims if claimed]

    with ThreadPoolExecutor(4) as pool:
        taken = [job for claimed_jobs in pool.map(claim_all, all_workers) for job in claimed_jobs]
    assert len(taken) == len(set(taken))
    while (claimed := all_workers[0].claim()) is not None:
        taken.append(claimed.lease.job)
    assert sorted(taken) == queued


def test_a_row_that_another_node_claims_is_passed_over(make_nodes):
    """A second claim while the first one is not committed."""
    a, b = make_nodes("a", "b")
    job, other = enqueue_for_any(a, "m", "n")
    worker = worker_for_any(b)
    with writing(a.engine) as tx:
        uncommitted = sa.update(jobs).where(jobs.c.id == job).values(node="a", state=State.RUNNING)
        tx.execute(uncommitted)
        assert worker.claim().lease.job == other
    assert a.row(job)["node"] == "a"


def test_a_node_without_room_leaves_a_job_to_the_others(make_nodes):
    a, b = make_nodes("a", "b")
    [job] = enqueue_for_any(a, "m")  # of 1000 bytes
    assert worker_for_any(a, 999).claim() is None
    assert worker_for_any(b, 1000).claim().lease.job == job


def test_a_worker_that_takes_none_for_any_node_claims_its_own_alone(make_nodes):
    [a] = make_nodes("a")
    enqueue_for_any(a, "m")
    [own] = a.enqueue("n")
    worker = worker_for_any(a, None)
    assert worker.claim().lease.job == own
    assert worker.claim() is None
    assert worker.due() == 0


def test_the_job_of_the_higher_priority_goes_first_on_any_node(make_nodes):
    [a] = make_nodes("a")
    [low] = enqueue_for_any(a, "low")
    [own] = a.enqueue("own", priority=1)
    [high] = enqueue_for_any(a, "high", priority=2)
    worker = worker_for_any(a)
    assert worker.due() == 3
    assert [worker.claim().lease.job for _ in range(3)] == [high, own, low]


def test_a_node_with_a_job_for_the_same_artifact_does_not_take_it(make_nodes):
    a, b = make_nodes("a", "b")
    [job] = enqueue_for_any(a, "m")
    [own] = a.enqueue("m")
    worker = worker_for_any(a)
    assert worker.claim().lease.job == own
    assert worker.claim() is None
    assert worker_for_any(b).claim().lease.job == job


def test_a_job_for_any_node_that_has_no_room_goes_to_another(make_nodes):
    a, b = make_nodes("a", "b")
    [job] = enqueue_for_any(a, "m")
    full = worker_for_any(a)
    claimed = full.claim()
    assert full.offer_to_any_node(claimed.lease, DiskFull("It is full."))
    assert (a.row(job)["node"], a.row(job)["attempt"], a.row(job)["target"]) == (ANY_NODE, 0, "m.gguf")
    with pytest.raises(LeaseLost):
        full.fail(claimed.lease, SourceMissing("It is gone."))
    assert worker_for_any(b).claim().lease.job == job


def test_a_job_that_its_user_cancels_does_not_go_to_another(make_nodes):
    [a] = make_nodes("a")
    [job] = enqueue_for_any(a, "m")
    full = worker_for_any(a)
    claimed = full.claim()
    a.commands.cancel(job)
    assert not full.offer_to_any_node(claimed.lease, DiskFull("It is full."))
    assert full.release_as_requested(claimed.lease) is RequestedAction.CANCEL


def test_a_cancel_of_another_node_is_not_lost_to_a_rescue(make_nodes):
    """The rescue reads the row while the request is not committed."""
    a, b = make_nodes("a", "b")
    [job] = a.enqueue("m")
    assert a.claim()
    lock_requested = threading.Event()
    sa.event.listen(
        a.engine, "before_cursor_execute", lambda *statement: "FOR UPDATE" in statement[2] and lock_requested.set()
    )
    with ThreadPoolExecutor(1) as pool:
        with writing(b.engine) as tx:
            tx.execute(sa.update(jobs).where(jobs.c.id == job).values(requested=RequestedAction.CANCEL))
            rescuing = pool.submit(a.rescue, "w-1")
            assert lock_requested.wait(30)
        assert rescuing.result() == [job]
    assert a.state(job) is State.CANCELLED


def test_a_removed_node_leaves_no_subscription(job_store):
    worker_of(job_store, "w-a").register(1, 1, "/store")
    rows = SubscriptionRows(job_store.engine, job_store.node, job_store.time.clock)
    rows.add(SubscriptionKind.REFERENCE, "tiny@q4", Terms(), job_store.time.us_from_now(60))
    other_rows = SubscriptionRows(job_store.engine, "n-other", job_store.time.clock)
    other_rows.add(SubscriptionKind.REFERENCE, "tiny@q4", Terms(), job_store.time.us_from_now(60))
    remove(job_store.engine, all_nodes(job_store)[0], job_store.time.clock, None, force=True)
    assert SubscriptionQueries(job_store.database, job_store.node).all() == []
    assert len(SubscriptionQueries(job_store.database, "n-other").all()) == 1
