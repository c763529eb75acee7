"""The calendar moved forward and back, and the machine asleep for an hour: no lease, wait or byte is lost."""

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
from support.fork_server import ForkedProcess, ForkServer
from support.install_cases import InstallCase
from support.origin import Origin
from support.run_fetch import journaled_bytes

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.transfer.options import Cancelled
from flowhub_jobs.values.enums import Reason, State, StopReason
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.heartbeat import Heartbeat

HOUR, DAY = 3600.0, 86_400.0
LONG_LEASE = f"lease={2 * HOUR}"
CLOCK_CHANGES = pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["forward", "back"])


@pytest.fixture
def clock(tmp_path: Path) -> ClockFile:
    return ClockFile(tmp_path / "clock")


def kinds(app: App, job: int) -> list[str]:
    return [event.kind for event in app.events(job)]


def faults_of(app: App, job: int) -> list[str]:
    return [event.text for event in app.events(job) if event.kind in ("fault", "again", "waits")]


def column(app: App, job: int, name: str) -> int | None:
    with reading(app.home.engine) as tx:
        return tx.execute(sa.select(jobs.c[name]).where(jobs.c.id == job)).scalar()


# The calendar is set -------------------------------------------------------------------------------------------------


@CLOCK_CHANGES
def test_a_transfer_does_not_care_when_the_clock_is_set(
    home: Path, origin: Origin, fork_server: ForkServer, clock: ClockFile, seconds: float
) -> None:
    case = InstallCase(origin, "new-file", size=3_000_000)
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        origin.limit(total_bps=3_000_000)
        for _ in range(2):  # the second worker looks for expired leases
            fork_server.start_worker(app, failpoints=f"fast_maintenance clock={clock.path}")
        origin.wait_for(lambda: case.sent() > 500_000)
        clock.shift_calendar(seconds)
        snapshots = []
        app.until(
            lambda: snapshots.append(app.job(job)) or snapshots[-1].state is not State.RUNNING,
            "the end of the transfer",
        )
        assert all((snapshot.rate_bps or 0) >= 0 and (snapshot.eta_s or 0) >= 0 for snapshot in snapshots)
        case.check(app, job)
        assert kinds(app, job) == ["queued", "claimed", "completed"]
        assert case.sent() == case.total


@CLOCK_CHANGES
def test_a_wait_of_flowhub_is_as_long_as_it_was_meant_when_the_clock_is_set(
    home: Path, origin: Origin, fork_server: ForkServer, clock: ClockFile, seconds: float
) -> None:
    """The wait is neither skipped nor endless: its end moves with the calendar."""
    case = InstallCase(origin, "new-file")
    patience = {"FLOWHUB_BACKOFF_BASE_S": "1e6", "FLOWHUB_BACKOFF_CAP_S": "1e6"}
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        origin.refuse()
        # Two workers: only one of them moves the end.
        for _ in range(2):
            fork_server.start_worker(app, failpoints=f"fast_maintenance clock={clock.path}", **patience)
        app.until(lambda: app.job(job).reason is Reason.HOST_WAIT, "a wait for the host")
        before = app.job(job).not_before
        assert before is not None
        clock.shift_calendar(seconds)
        # After a move forward the old end is in the past, and not shown, until a worker moves it.
        after = app.until(
            lambda: app.job(job).not_before if app.job(job).not_before != before else None, "the moved end of the wait"
        )
        assert abs((after - before).total_seconds() - seconds) < 1
        assert app.job(job).reason is Reason.HOST_WAIT
        assert kinds(app, job).count("claimed") == 1
        origin.listen_again()
        clock.sleep_for(1e6)
        app.until_ended(job)
        assert app.job(job).state is State.COMPLETED
        assert [event for event in kinds(app, job) if event in ("claimed", "waits", "completed")] == [
            "claimed", "waits", "completed",
        ]  # fmt: skip
        assert case.sent() == case.total


@CLOCK_CHANGES
def test_a_time_that_a_user_names_is_on_the_calendar(
    home: Path, origin: Origin, fork_server: ForkServer, clock: ClockFile, seconds: float
) -> None:
    case = InstallCase(origin, "new-file")
    with app_of(home, clock=clock.clock) as app:
        app.set_models(case.entry())
        at = clock.clock.now_us() + round(HOUR * 1e6)
        job = app.enqueue("m", not_before=at)
        fork_server.start_worker(app, failpoints=f"fast_maintenance clock={clock.path}")
        app.until(lambda: "runs" in app.log(), "its start")
        clock.shift_calendar(seconds)
        app.until(lambda: "System clock changed" in app.log(), "its notice")
        if seconds < 0:
            assert (app.job(job).reason, column(app, job, "not_before")) == (Reason.AT, at)
            clock.shift_calendar(HOUR - seconds)
        app.until_ended(job)
        case.check(app, job)


# The machine sleeps --------------------------------------------------------------------------------------------------


@contextmanager
def machine_asleep(worker: ForkedProcess, app: App, clock: ClockFile) -> Iterator[None]:
    """Pretend that the machine slept for an hour: the process is stopped, and the clocks that include sleep advance."""
    os.kill(worker.pid, signal.SIGSTOP)
    app.until(worker.is_stopped, "its sleep")
    clock.sleep_for(HOUR)
    yield
    os.kill(worker.pid, signal.SIGCONT)


@pytest.mark.parametrize("kind", ["new-file", "new-folder"])
def test_after_a_long_sleep_the_job_continues_under_a_fresh_lease_with_all_that_was_kept(
    home: Path, origin: Origin, fork_server: ForkServer, clock: ClockFile, kind: str
) -> None:
    case, hold = InstallCase(origin, kind), Hold(after=100_000)
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        path = case.path("model.safetensors" if case.folder else "m.gguf")
        origin.break_with(hold.once(), path=path)
        worker = fork_server.start_worker(
            app, failpoints=f"fast_maintenance clock={clock.path}", FLOWHUB_CONNECTIONS_PER_HOST="1"
        )
        origin.wait_for(lambda: origin.sent(path) == 100_000)
        app.until(lambda: journaled_bytes(app.partial("m")) == case.sent(), "all received bytes on the disk")
        with machine_asleep(worker, app, clock):
            pass
        # The connection is silent: the expired lease ends the run, without a fault of the source.
        completed = app.until_ended(job)
        case.check(app, job)
        assert kinds(app, job) == ["queued", "claimed", "rescued", "claimed", "completed"]
        assert completed.bytes_fetched == case.sent() == case.total


def test_a_lease_that_ended_while_the_machine_slept_is_not_taken_up_again(home: Path, origin: Origin) -> None:
    """The old run may be ending: if it renewed the row, no worker would run the job for half a minute."""
    case, clock = InstallCase(origin, "new-file"), FakeClock()
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        context = WorkerContext(app.home, 1)
        claimed = context.leases.claim()
        assert claimed is not None
        run = context.begin(claimed)
        until = column(app, job, "lease_until")
        clock.advance(HOUR)
        heartbeat = Heartbeat(context)
        heartbeat._beat()
        assert column(app, job, "lease_until") == until
        assert app.home.take_back_orphans() == [job]
        heartbeat._beat()
        with pytest.raises(Cancelled, match=StopReason.LEASE_LOST):
            run.cancel.check()
        context.end(run)
        context.close()


@pytest.mark.parametrize("where", ["before the head", "in the body"])
def test_time_asleep_does_not_count_as_silence_of_the_host(
    home: Path, origin: Origin, fork_server: ForkServer, clock: ClockFile, where: str
) -> None:
    """The lease and the connection outlast the sleep: the connection continues, and no timeout has expired."""
    case, hold = InstallCase(origin, "new-file"), Hold(after=100_000 if where == "in the body" else None)
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        origin.break_with(hold.once(), path=case.path("m.gguf"))
        worker = fork_server.start_worker(app, failpoints=f"fast_maintenance {LONG_LEASE} clock={clock.path}")
        origin.wait_for(lambda: origin.requests(case.path("m.gguf")))
        app.until(lambda: journaled_bytes(app.partial("m")) == (hold.after or 0), "the bytes before the pause")
        with machine_asleep(worker, app, clock):
            pass
        hold.event.set()
        app.until_ended(job)
        case.check(app, job)
        assert faults_of(app, job) == []
        assert len(origin.requests(case.path("m.gguf"))) == 1
        assert case.sent() == case.total


def test_a_connection_that_died_while_the_machine_slept_costs_a_fault_that_the_next_byte_forgives(
    home: Path, origin: Origin, fork_server: ForkServer, clock: ClockFile
) -> None:
    """The lease outlasts the sleep. The host stays silent, as behind a router that has dropped the connection.

    This happens twice, and two faults in a row would end the job.
    """
    case, hold = InstallCase(origin, "new-file"), Hold(after=100_000)
    settings = {
        "FLOWHUB_STALL_TIMEOUT_S": "1",
        "FLOWHUB_BACKOFF_BASE_S": "0.01",
        "FLOWHUB_FAULTS_MAX": "2",
        "FLOWHUB_GIVE_UP_AFTER": "0.001",
    }
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        origin.break_with(hold.first(2), path=case.path("m.gguf"))
        worker = fork_server.start_worker(
            app, failpoints=f"fast_maintenance {LONG_LEASE} clock={clock.path}", **settings
        )
        app.until(lambda: journaled_bytes(app.partial("m")) == 100_000, "a third of the file")
        with machine_asleep(worker, app, clock):
            pass
        app.until_ended(job)
        case.check(app, job)
        faults = faults_of(app, job)
        assert len(faults) == 2
        assert all("no byte" in fault for fault in faults)
        assert case.sent() == case.total
