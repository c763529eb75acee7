"""The calendar set forth and back, and the machine asleep for an hour: no lease, wait or byte is lost by it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.app import App, app_of
from support.fake_clock import ClockFile, FakeClock
from support.faults import Hold
from support.fork_server import Forked, ForkServer
from support.install_cases import InstallCase
from support.origin import Origin
from support.run_fetch import kept_in

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.transfer.options import Cancelled
from flowhub_jobs.values.enums import Reason, State, StopReason
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.heartbeat import Heartbeat

HOUR, DAY = 3600.0, 86_400.0
LONG_LEASE = f"lease={2 * HOUR}"
SET = pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["forth", "back"])


@pytest.fixture
def clock(tmp_path: Path) -> ClockFile:
    return ClockFile(tmp_path / "clock")


def kinds(shop: App, job: int) -> list[str]:
    return [event.kind for event in shop.events(job)]


def faults_of(shop: App, job: int) -> list[str]:
    return [event.text for event in shop.events(job) if event.kind in ("fault", "again", "waits")]


def column(shop: App, job: int, name: str) -> int | None:
    with reading(shop.home.engine) as tx:
        return tx.execute(sa.select(jobs.c[name]).where(jobs.c.id == job)).scalar()


# The calendar is set -------------------------------------------------------------------------------------------------


@SET
def test_a_transfer_does_not_care_when_the_clock_is_set(
    home: Path, origin: Origin, nursery: ForkServer, clock: ClockFile, seconds: float
) -> None:
    wares = InstallCase(origin, "new-file", size=3_000_000)
    with app_of(home, clock=clock.clock) as shop:
        job = wares.shelve(shop)
        origin.limit(total_bps=3_000_000)
        for _ in range(2):  # the other one looks for jobs whose lease has ended
            nursery.worker(shop, harm=f"brisk clock={clock.path}")
        origin.wait_for(lambda: wares.sent() > 500_000)
        clock.set_calendar(seconds)
        seen = []
        shop.until(lambda: seen.append(shop.job(job)) or seen[-1].state is not State.RUNNING, "its end")
        assert all((one.rate_bps or 0) >= 0 and (one.eta_s or 0) >= 0 for one in seen)
        wares.check(shop, job)
        assert kinds(shop, job) == ["queued", "claimed", "completed"]
        assert wares.sent() == wares.total


@SET
def test_a_wait_of_flowhub_is_as_long_as_it_was_meant_when_the_clock_is_set(
    home: Path, origin: Origin, nursery: ForkServer, clock: ClockFile, seconds: float
) -> None:
    """Neither skipped nor endless: its end is moved along with the calendar."""
    wares = InstallCase(origin, "new-file")
    patience = {"FLOWHUB_BACKOFF_BASE_S": "1e6", "FLOWHUB_BACKOFF_CAP_S": "1e6"}
    with app_of(home, clock=clock.clock) as shop:
        job = wares.shelve(shop)
        origin.refuse()
        # Two: the move is made once, not by each.
        for _ in range(2):
            nursery.worker(shop, harm=f"brisk clock={clock.path}", **patience)
        shop.until(lambda: shop.job(job).reason is Reason.HOST_WAIT, "a wait for the host")
        before = shop.job(job).not_before
        assert before is not None
        clock.set_calendar(seconds)
        # Set forth, the old end is in the past until a worker moves it: then no end is shown.
        after = shop.until(lambda: shop.job(job).not_before if shop.job(job).not_before != before else None, "its move")
        assert abs((after - before).total_seconds() - seconds) < 1
        assert shop.job(job).reason is Reason.HOST_WAIT
        assert kinds(shop, job).count("claimed") == 1
        origin.listen_again()
        clock.sleep_for(1e6)
        shop.until_ended(job)
        assert shop.job(job).state is State.COMPLETED
        assert [event for event in kinds(shop, job) if event in ("claimed", "waits", "completed")] == [
            "claimed", "waits", "completed",
        ]  # fmt: skip
        assert wares.sent() == wares.total


@SET
def test_a_time_that_the_person_named_is_the_calendars(
    home: Path, origin: Origin, nursery: ForkServer, clock: ClockFile, seconds: float
) -> None:
    wares = InstallCase(origin, "new-file")
    with app_of(home, clock=clock.clock) as shop:
        shop.offer(wares.entry())
        at = clock.clock.now_us() + round(HOUR * 1e6)
        job = shop.enqueue("m", not_before=at)
        nursery.worker(shop, harm=f"brisk clock={clock.path}")
        shop.until(lambda: "runs" in shop.log(), "its start")
        clock.set_calendar(seconds)
        shop.until(lambda: "System clock changed" in shop.log(), "its notice")
        if seconds < 0:
            assert (shop.job(job).reason, column(shop, job, "not_before")) == (Reason.AT, at)
            clock.set_calendar(HOUR - seconds)
        shop.until_ended(job)
        wares.check(shop, job)


# The machine sleeps --------------------------------------------------------------------------------------------------


@contextmanager
def asleep(worker: Forked, shop: App, clock: ClockFile) -> Iterator[None]:
    """Have the machine sleep for an hour: the process stands still, and the clocks that run through sleep have run."""
    os.kill(worker.pid, signal.SIGSTOP)
    shop.until(worker.is_stopped, "its sleep")
    clock.sleep_for(HOUR)
    yield
    os.kill(worker.pid, signal.SIGCONT)


@pytest.mark.parametrize("kind", ["new-file", "new-folder"])
def test_after_a_long_sleep_the_job_continues_under_a_fresh_lease_with_all_that_was_kept(
    home: Path, origin: Origin, nursery: ForkServer, clock: ClockFile, kind: str
) -> None:
    wares, hold = InstallCase(origin, kind), Hold(after=100_000)
    with app_of(home, clock=clock.clock) as shop:
        job = wares.shelve(shop)
        path = wares.path("model.safetensors" if wares.folder else "m.gguf")
        origin.break_with(hold.once(), path=path)
        worker = nursery.worker(shop, harm=f"brisk clock={clock.path}", FLOWHUB_CONNECTIONS_PER_HOST="1")
        origin.wait_for(lambda: origin.sent(path) == 100_000)
        shop.until(lambda: kept_in(shop.partial("m")) == wares.sent(), "all of it on the disk")
        with asleep(worker, shop, clock):
            pass
        # The line is silent: it is the lease that ends the run, with no fault of the source's.
        done = shop.until_ended(job)
        wares.check(shop, job)
        assert kinds(shop, job) == ["queued", "claimed", "rescued", "claimed", "completed"]
        assert done.bytes_fetched == wares.sent() == wares.total


def test_a_lease_that_ended_while_the_machine_slept_is_not_taken_up_again(home: Path, origin: Origin) -> None:
    """Its run may be on its way out by then: a row renewed by it would have nobody at work for half a minute."""
    wares, clock = InstallCase(origin, "new-file"), FakeClock()
    with app_of(home, clock=clock.clock) as shop:
        job = wares.shelve(shop)
        context = WorkerContext(shop.home, 1)
        claimed = context.leases.claim()
        assert claimed is not None
        run = context.begin(claimed)
        until = column(shop, job, "lease_until")
        clock.turn(HOUR)
        heartbeat = Heartbeat(context)
        heartbeat._beat()
        assert column(shop, job, "lease_until") == until
        assert shop.home.take_back_orphans() == [job]
        heartbeat._beat()
        with pytest.raises(Cancelled, match=StopReason.LEASE_LOST):
            run.control.check()
        context.end(run)
        context.close()


@pytest.mark.parametrize("where", ["before the head", "in the body"])
def test_time_asleep_is_not_held_against_the_host(
    home: Path, origin: Origin, nursery: ForkServer, clock: ClockFile, where: str
) -> None:
    """The lease outlasts the sleep here, and so does the connection: it is used on, and no clock has run meanwhile."""
    wares, hold = InstallCase(origin, "new-file"), Hold(after=100_000 if where == "in the body" else None)
    with app_of(home, clock=clock.clock) as shop:
        job = wares.shelve(shop)
        origin.break_with(hold.once(), path=wares.path("m.gguf"))
        worker = nursery.worker(shop, harm=f"brisk {LONG_LEASE} clock={clock.path}")
        origin.wait_for(lambda: origin.requests(wares.path("m.gguf")))
        shop.until(lambda: kept_in(shop.partial("m")) == (hold.after or 0), "what is to come before it")
        with asleep(worker, shop, clock):
            pass
        hold.event.set()
        shop.until_ended(job)
        wares.check(shop, job)
        assert faults_of(shop, job) == []
        assert len(origin.requests(wares.path("m.gguf"))) == 1
        assert wares.sent() == wares.total


def test_a_connection_that_died_while_the_machine_slept_costs_a_fault_that_the_next_byte_forgives(
    home: Path, origin: Origin, nursery: ForkServer, clock: ClockFile
) -> None:
    """The lease outlasts the sleep; the other end is silent for ever, as behind a router that has forgotten us.

    Twice, where two faults in a row would be the end.
    """
    wares, hold = InstallCase(origin, "new-file"), Hold(after=100_000)
    short = {
        "FLOWHUB_STALL_TIMEOUT_S": "1",
        "FLOWHUB_BACKOFF_BASE_S": "0.01",
        "FLOWHUB_FAULTS_MAX": "2",
        "FLOWHUB_GIVE_UP_AFTER": "0.001",
    }
    with app_of(home, clock=clock.clock) as shop:
        job = wares.shelve(shop)
        origin.break_with(hold.first(2), path=wares.path("m.gguf"))
        worker = nursery.worker(shop, harm=f"brisk {LONG_LEASE} clock={clock.path}", **short)
        shop.until(lambda: kept_in(shop.partial("m")) == 100_000, "a third of it")
        with asleep(worker, shop, clock):
            pass
        shop.until_ended(job)
        wares.check(shop, job)
        faults = faults_of(shop, job)
        assert len(faults) == 2
        assert all("no byte" in fault for fault in faults)
        assert wares.sent() == wares.total
