"""Nodes: a machine registers under a name that no other may use, and is alive as long as its workers say so."""

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
from flowhub_jobs.jobs.any_node import give_to_any, take_from_gone_nodes
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.node_registry import NodeRegistry, owner_of
from flowhub_jobs.jobs.node_removal import Removed, remove
from flowhub_jobs.jobs.node_rows import NodeStatus, nodes_in
from flowhub_jobs.jobs.run_values import LEASE_S, LeaseLost
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.jobs.subscriptions.subscription_rows import SubscriptionRows
from flowhub_jobs.jobs.subscriptions.subscription_values import SubscriptionKind, Terms
from flowhub_jobs.values.enums import EventKind, RequestedAction, State
from flowhub_jobs.values.jobs import ANY_NODE, Note


def worker_of(job_store: JobStore, name: str, home: str = "/home-a") -> LeaseStore:
    registry = NodeRegistry(job_store.engine, job_store.node, f"alpha/1 {home}", job_store.time.clock)
    return LeaseStore(job_store.engine, job_store.node, name, job_store.time.clock, registry=registry)


def listed(job_store: JobStore) -> list[NodeStatus]:
    with job_store.database.reading() as snapshot:
        return nodes_in(snapshot, job_store.time.clock.now_us())


def grow_old(job_store: JobStore, seconds: float = LEASE_S + 1) -> None:
    """Let so much time pass on every clock: PostgreSQL's own is not turned, so the rows are."""
    job_store.time.advance(seconds)
    if job_store.engine.dialect.name == "postgresql":
        with job_store.engine.begin() as tx:
            for table in (workers, nodes):
                tx.execute(sa.update(table).values(seen_at=table.c.seen_at - round(seconds * 1e6)))


def test_a_worker_registers_its_machine(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    [node] = listed(job_store)
    assert (node.node, node.state, node.workers, node.slots, node.store) == (NODE, "alive", 1, 3, "/store")
    assert node.hostname
    assert node.version


def test_the_slots_of_a_node_are_those_of_all_its_workers(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    worker_of(job_store, "w-b").register(2, 2, "/store")
    [node] = listed(job_store)
    assert (node.workers, node.slots) == (2, 5)


def test_a_node_whose_workers_do_not_renew_their_leases_is_gone(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    grow_old(job_store)
    [node] = listed(job_store)
    assert (node.state, node.workers, node.slots) == ("gone", 0, 0)


def test_a_node_that_renews_its_leases_stays_alive(job_store):
    worker = worker_of(job_store, "w-a")
    worker.register(1, 3, "/store")
    grow_old(job_store)
    worker.renew({})
    [node] = listed(job_store)
    assert node.state == "alive"


def test_a_claim_renews_the_time_at_which_a_worker_was_seen(job_store):
    """By this time alone other machines know when the lease ends."""
    worker = worker_of(job_store, "w-a")
    worker.register(1, 3, "/store")
    job_store.enqueue("m")
    grow_old(job_store)
    assert worker.claim()
    assert listed(job_store)[0].state == "alive"


def test_a_second_machine_with_the_name_is_refused_and_both_are_named(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    with pytest.raises(NodeTaken, match=r"alpha \(home /home-a\).*alpha \(home /home-b\)") as caught:
        worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    assert "FLOWHUB_NODE" in (caught.value.hint or "")
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(workers.c.worker)).scalars().all() == ["w-a"]


def test_a_second_worker_of_the_same_home_is_not_refused(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    worker_of(job_store, "w-b").register(2, 3, "/store")
    assert listed(job_store)[0].workers == 2


def test_the_name_of_a_machine_that_stopped_is_free_at_once(job_store):
    first = worker_of(job_store, "w-a")
    first.register(1, 3, "/store")
    first.unregister()
    worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    assert listed(job_store)[0].state == "alive"


def test_the_name_of_a_machine_that_died_is_free_after_the_length_of_a_lease(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    grow_old(job_store)
    worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    assert listed(job_store)[0].state == "alive"


def test_a_worker_that_wakes_after_another_machine_took_its_name_renews_nothing(job_store):
    sleeper = worker_of(job_store, "w-a")
    sleeper.register(1, 3, "/store")
    [job] = job_store.enqueue("m")
    claimed = sleeper.claim()
    grow_old(job_store)
    worker_of(job_store, "w-b", "/home-b").register(2, 3, "/store")
    before = job_store.row(job)["lease_until"]
    with pytest.raises(NodeTaken, match="/home-b"):
        sleeper.renew({job: claimed.lease})
    assert job_store.row(job)["lease_until"] == before


def test_commands_of_a_second_home_take_no_jobs_of_the_first_back(job_store):
    """The locks of the first home's workers are not seen there."""
    worker_of(job_store, "w-a").register(1, 3, "/store")
    elsewhere = NodeRegistry(job_store.engine, job_store.node, "beta/1 /home-b", job_store.time.clock)
    assert elsewhere.is_elsewhere()
    grow_old(job_store)
    assert not elsewhere.is_elsewhere()


def test_the_owner_names_the_home_whatever_path_leads_to_it(tmp_path: Path):
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    assert owner_of(tmp_path / "home") == owner_of(tmp_path / "link")


def test_what_a_machine_is_stands_in_its_row(job_store):
    worker_of(job_store, "w-a").register(1, 3, "/store")
    registry = NodeRegistry(job_store.engine, job_store.node, "alpha/1 /home-a", job_store.time.clock)
    gpu = {"name": "RTX", "vendor": "NVIDIA", "vram_total_bytes": 24_000_000_000}
    registry.describe({"ram": 64_000_000_000, "gpus": [gpu, gpu], "disk_free": 7})
    [node] = listed(job_store)
    assert (node.ram, node.gpus, node.vram, node.disk_free) == (64_000_000_000, (gpu, gpu), 48_000_000_000, 7)


def test_a_command_that_runs_a_job_itself_renews_its_lease_without_registering(job_store):
    command = worker_of(job_store, "w-a")
    [job] = job_store.enqueue("m")
    claimed = command.claim(only=job)
    before = job_store.row(job)["lease_until"]
    job_store.time.advance(1)
    command.renew({job: claimed.lease})
    assert job_store.row(job)["lease_until"] > before
    assert listed(job_store) == []


# Removal -------------------------------------------------------------------------------------------------------------


def remove_it(job_store: JobStore, action: str | None, *, force: bool = False) -> Removed:
    return remove(job_store.engine, listed(job_store)[0], job_store.time.clock, action, force=force)


def registered_and_gone(job_store: JobStore) -> LeaseStore:
    worker = worker_of(job_store, "w-a")
    worker.register(1, 3, "/store")
    return worker


def test_a_node_that_is_alive_is_removed_only_by_force(job_store):
    registered_and_gone(job_store)
    with pytest.raises(Busy, match="alive"):
        remove_it(job_store, None)
    assert len(listed(job_store)) == 1
    remove_it(job_store, None, force=True)
    assert listed(job_store) == []


def test_a_node_with_jobs_is_removed_only_with_an_option_for_its_jobs(job_store):
    registered_and_gone(job_store)
    job_store.enqueue("a", "b")
    grow_old(job_store)
    with pytest.raises(UsageInvalid, match="2 unfinished jobs"):
        remove_it(job_store, None)
    assert len(listed(job_store)) == 1


def test_the_jobs_of_a_removed_node_go_to_any_node(job_store):
    worker = registered_and_gone(job_store)
    queued, running, paused = job_store.enqueue("a", "b", "c")
    job_store.commands.pause(paused)
    claimed = worker.claim(only=running)
    grow_old(job_store)
    assert remove_it(job_store, "requeue") == Removed(NODE, requeued=[queued, running, paused])
    assert [job_store.row(job)["node"] for job in (queued, running, paused)] == [ANY_NODE] * 3
    assert [job_store.state(job) for job in (queued, running, paused)] == [State.QUEUED, State.QUEUED, State.PAUSED]
    assert job_store.row(running)["target"] == "b"
    with pytest.raises(LeaseLost):
        worker.fail(claimed.lease, SourceMissing("It is gone."))


def test_the_jobs_of_a_removed_node_are_cancelled(job_store):
    worker = registered_and_gone(job_store)
    queued, running = job_store.enqueue("a", "b")
    worker.claim(only=running)
    grow_old(job_store)
    assert remove_it(job_store, "cancel") == Removed(NODE, cancelled=[queued, running])
    assert {job_store.state(job) for job in (queued, running)} == {State.CANCELLED}
    assert job_store.row(running)["lease_token"] is None


def test_of_two_jobs_for_one_artifact_one_is_enough_for_any_node(job_store):
    registered_and_gone(job_store)
    [first] = job_store.enqueue("a")
    job_store.set_row(first, node=ANY_NODE)
    [second] = job_store.enqueue("a")
    grow_old(job_store)
    assert remove_it(job_store, "requeue") == Removed(NODE, cancelled=[second])


def test_a_worker_of_a_node_that_was_removed_by_force_stops(job_store):
    worker = registered_and_gone(job_store)
    remove_it(job_store, None, force=True)
    with pytest.raises(NodeTaken, match="removed"):
        worker.renew({})


# Jobs for any node, of a node that is gone ---------------------------------------------------------------------------


def job_of_a_node_that_is(job_store: JobStore, *, any_node: bool = True, running: bool = True) -> int:
    worker = registered_and_gone(job_store)
    [job] = job_store.enqueue("a")
    job_store.set_row(job, any_node=any_node, not_before=None)
    if running:
        assert worker.claim()
    return job


@pytest.mark.parametrize("running", [True, False])
def test_a_job_for_any_node_is_given_back_when_its_node_is_gone(job_store, running):
    job = job_of_a_node_that_is(job_store, running=running)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == []
    grow_old(job_store)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == [job]
    row = job_store.row(job)
    assert (row["node"], row["state"], row["lease_token"], row["attempt"]) == (ANY_NODE, "queued", None, 0)


def test_a_job_of_a_node_by_name_waits_for_it_however_long_it_is_gone(job_store):
    job = job_of_a_node_that_is(job_store, any_node=False)
    grow_old(job_store, 86_400)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == []
    assert job_store.row(job)["node"] == NODE


def test_a_paused_job_for_any_node_stays_where_it_is_until_it_is_resumed(job_store):
    job = job_of_a_node_that_is(job_store, running=False)
    job_store.commands.pause(job)
    grow_old(job_store)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == []
    job_store.commands.resume(job)
    assert take_from_gone_nodes(job_store.engine, "n-other", job_store.time.clock) == [job]


def test_an_owner_that_renewed_after_it_was_judged_keeps_its_job(job_store):
    worker = registered_and_gone(job_store)
    [job] = job_store.enqueue("a")
    job_store.set_row(job, any_node=True)
    claimed = worker.claim()
    judged = job_store.row(job)
    job_store.time.advance(1)
    worker.renew({job: claimed.lease})
    with writing(job_store.engine) as tx:
        assert not give_to_any(tx, judged, 0, Note(EventKind.RESCUED, "late"))
    assert job_store.row(job)["lease_token"] == claimed.lease.token


# Claims of jobs for any node -----------------------------------------------------------------------------------------


@pytest.fixture
def nodes_of(tmp_path: Path, postgres_url: str) -> Iterator[Callable[..., JobStore]]:
    """Makes the job stores of several nodes over one PostgreSQL database."""
    with contextlib.ExitStack() as closing:

        def make(*names: str) -> list[JobStore]:
            made = [JobStore(tmp_path / name, name, postgres_url) for name in names]
            for job_store in made:
                closing.callback(job_store.close)
            return made

        yield make


def taker(job_store: JobStore, room: int | None = 10**9) -> LeaseStore:
    """Return a registered worker that takes jobs for any node of so many bytes."""
    registry = NodeRegistry(job_store.engine, job_store.node, f"{job_store.node}/1 /home", job_store.time.clock)
    name = f"w-{job_store.node}"
    worker = LeaseStore(
        job_store.engine, job_store.node, name, job_store.time.clock, registry=registry, any_room=lambda: room
    )
    worker.register(1, 3, f"/{job_store.node}")
    return worker


def queued_for_any(job_store: JobStore, *models: str, **terms: Any) -> list[int]:
    numbers = job_store.enqueue(*models, **terms)
    for job in numbers:
        job_store.set_row(job, node=ANY_NODE, any_node=True, target="m.gguf")
    return numbers


def test_the_first_node_takes_a_job_for_any_and_no_other(nodes_of):
    a, b = nodes_of("a", "b")
    [job] = queued_for_any(a, "m")
    first, second = taker(b), taker(a)
    assert first.claim().lease.job == job
    assert second.claim() is None
    row = a.row(job)
    assert (row["node"], row["target"], row["any_node"]) == ("b", "/b/m.gguf", True)


def test_of_nodes_that_claim_at_once_each_takes_another_job(nodes_of):
    """Forty claims of twenty jobs by four nodes: none is taken twice, and none is left."""
    job_store = nodes_of("a", "b", "c", "d")
    queued = queued_for_any(job_store[0], *(f"m{number}" for number in range(20)))
    workers_of_all, gate = [taker(each) for each in job_store], threading.Barrier(4)

    def claim_all(worker: LeaseStore) -> list[int]:
        gate.wait()
        claims = [worker.claim() for _ in range(10)]
        return [claimed.lease.job for claimed in claims if claimed]

    with ThreadPoolExecutor(4) as pool:
        taken = [job for found in pool.map(claim_all, workers_of_all) for job in found]
    assert len(taken) == len(set(taken))
    while (claimed := workers_of_all[0].claim()) is not None:
        taken.append(claimed.lease.job)
    assert sorted(taken) == queued


def test_a_row_that_another_node_claims_is_passed_over(nodes_of):
    """A second claim that is decided while the first is not yet committed."""
    a, b = nodes_of("a", "b")
    job, other = queued_for_any(a, "m", "n")
    worker = taker(b)
    with writing(a.engine) as tx:
        taken = sa.update(jobs).where(jobs.c.id == job).values(node="a", state=State.RUNNING)
        tx.execute(taken)
        assert worker.claim().lease.job == other
    assert a.row(job)["node"] == "a"


def test_a_node_without_room_leaves_a_job_to_the_others(nodes_of):
    a, b = nodes_of("a", "b")
    [job] = queued_for_any(a, "m")  # of 1000 bytes
    assert taker(a, 999).claim() is None
    assert taker(b, 1000).claim().lease.job == job


def test_a_worker_that_takes_none_for_any_node_claims_its_own_alone(nodes_of):
    [a] = nodes_of("a")
    queued_for_any(a, "m")
    [own] = a.enqueue("n")
    worker = taker(a, None)
    assert worker.claim().lease.job == own
    assert worker.claim() is None
    assert worker.due() == 0


def test_the_job_of_the_higher_priority_goes_first_on_any_node(nodes_of):
    [a] = nodes_of("a")
    [low] = queued_for_any(a, "low")
    [own] = a.enqueue("own", priority=1)
    [high] = queued_for_any(a, "high", priority=2)
    worker = taker(a)
    assert worker.due() == 3
    assert [worker.claim().lease.job for _ in range(3)] == [high, own, low]


def test_a_node_with_a_job_for_the_same_artifact_does_not_take_it(nodes_of):
    a, b = nodes_of("a", "b")
    [job] = queued_for_any(a, "m")
    [own] = a.enqueue("m")
    worker = taker(a)
    assert worker.claim().lease.job == own
    assert worker.claim() is None
    assert taker(b).claim().lease.job == job


def test_a_job_for_any_node_that_has_no_room_goes_to_another(nodes_of):
    a, b = nodes_of("a", "b")
    [job] = queued_for_any(a, "m")
    full = taker(a)
    claimed = full.claim()
    assert full.give_to_any(claimed.lease, DiskFull("It is full."))
    assert (a.row(job)["node"], a.row(job)["attempt"], a.row(job)["target"]) == (ANY_NODE, 0, "m.gguf")
    with pytest.raises(LeaseLost):
        full.fail(claimed.lease, SourceMissing("It is gone."))
    assert taker(b).claim().lease.job == job


def test_a_job_that_its_user_cancels_does_not_go_to_another(nodes_of):
    [a] = nodes_of("a")
    [job] = queued_for_any(a, "m")
    full = taker(a)
    claimed = full.claim()
    a.commands.cancel(job)
    assert not full.give_to_any(claimed.lease, DiskFull("It is full."))
    assert full.release_as_requested(claimed.lease) is RequestedAction.CANCEL


def test_a_cancel_of_another_node_is_not_lost_to_a_rescue(nodes_of):
    """The rescue reads the row while the request is not yet committed."""
    a, b = nodes_of("a", "b")
    [job] = a.enqueue("m")
    assert a.claim()
    asked = threading.Event()
    sa.event.listen(a.engine, "before_cursor_execute", lambda *said: "FOR UPDATE" in said[2] and asked.set())
    with ThreadPoolExecutor(1) as pool:
        with writing(b.engine) as tx:
            tx.execute(sa.update(jobs).where(jobs.c.id == job).values(requested=RequestedAction.CANCEL))
            rescuing = pool.submit(a.rescue, "w-1")
            assert asked.wait(30)
        assert rescuing.result() == [job]
    assert a.state(job) is State.CANCELLED


def test_a_removed_node_leaves_no_subscription(job_store):
    worker_of(job_store, "w-a").register(1, 1, "/store")
    rows = SubscriptionRows(job_store.engine, job_store.node, job_store.time.clock)
    rows.add(SubscriptionKind.REFERENCE, "tiny@q4", Terms(), job_store.time.in_us(60))
    elsewhere = SubscriptionRows(job_store.engine, "n-other", job_store.time.clock)
    elsewhere.add(SubscriptionKind.REFERENCE, "tiny@q4", Terms(), job_store.time.in_us(60))
    remove(job_store.engine, listed(job_store)[0], job_store.time.clock, None, force=True)
    assert SubscriptionQueries(job_store.database, job_store.node).all() == []
    assert len(SubscriptionQueries(job_store.database, "n-other").all()) == 1
