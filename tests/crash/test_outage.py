"""A source that is away for a minute or for hours: every job completes, with few requests during the outage."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.app import App, app_of
from support.fake_clock import ClockFile
from support.faults import Status
from support.fork_server import ForkServer
from support.models import gguf, gguf_pattern, one_file_model
from support.origin import Origin

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import attempts
from flowhub_jobs.jobs.held_hosts import HostWait
from flowhub_jobs.jobs.host_waits import HostWaits
from flowhub_jobs.values.enums import Reason, State

JOBS = 30
MINUTE, HOUR = 60.0, 3600.0
RUNNING = 6  # two workers of three slots; each run tries a few times before it releases its slot
TRIES_INSIDE = 8


class Outage:
    """One home with thirty jobs and two workers, whose clocks the test advances."""

    def __init__(self, app: App, fork_server: ForkServer, clock: ClockFile) -> None:
        self.app, self._fork_server, self._clock = app, fork_server, clock
        self._waits = HostWaits(app.home.engine, app.home.node, clock.clock)
        self.elapsed = 0.0

    def start_workers(self) -> None:
        # Leases of a year: no change of the clocks may end one.
        for _ in range(2):
            self._fork_server.start_worker(self.app, failpoints=f"fast_maintenance lease=3e7 clock={self._clock.path}")

    def wait(self) -> HostWait | None:
        """Return the wait for the host if all jobs wait for it and none runs; else None."""
        waits = self._waits.held().waits
        now = self._clock.clock.now_us()
        idle = not self.app.home.queries.in_state((State.RUNNING,))
        return next((wait for wait in waits.values() if idle and wait.until > now), None)

    def advance(self, seconds: float) -> None:
        """Advance the clocks by `seconds` in all, from one try to the next."""
        end = self.elapsed + seconds
        while self.elapsed < end:
            wait = self.app.until(self.wait, "a wait for the host")
            self._advance(min(end - self.elapsed, self._left(wait)))

    def advance_to_next_try(self) -> None:
        self._advance(self._left(self.app.until(self.wait, "a wait for the host")))

    def tries(self) -> int:
        with reading(self.app.home.engine) as tx:
            return tx.execute(sa.select(sa.func.count()).select_from(attempts)).scalar_one()

    def _left(self, wait: HostWait) -> float:
        return max(0.0, (wait.until - self._clock.clock.now_us()) / 1e6) + 0.001

    def _advance(self, seconds: float) -> None:
        self._clock.sleep_for(seconds)
        self.elapsed += seconds


StartOutage = Callable[[Origin], Callable[[], None]]


def refuse(origin: Origin) -> Callable[[], None]:
    """Close the port of the source; return a function that opens it again."""
    origin.refuse()
    origin.drop_connections()
    return origin.listen_again


def answer_503(origin: Origin) -> Callable[[], None]:
    """Make the source answer all requests with 503; return a function that ends this."""

    def answer(*faults: Status) -> None:
        for number in range(JOBS):
            origin.break_with(*faults, path=f"/m{number}.gguf")

    answer(Status(503))
    return answer


@pytest.mark.parametrize(
    ("start_outage", "seconds"),
    [(refuse, MINUTE), (refuse, 6 * HOUR), (answer_503, 20 * MINUTE)],
    ids=["refuses for a minute", "refuses for 6 hours", "answers 503 for 20 minutes"],
)
def test_an_outage_costs_no_job_and_few_requests(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, seconds: float, start_outage: StartOutage
) -> None:
    clock = ClockFile(tmp_path / "clock")
    contents = {f"m{number}": gguf(20_000, number) for number in range(JOBS)}
    models = [
        one_file_model(name, origin.serve(f"/{name}.gguf", content), content) for name, content in contents.items()
    ]
    with app_of(home, *models, clock=clock.clock) as app:
        outage = Outage(app, fork_server, clock)
        end = start_outage(origin)
        jobs = [app.enqueue(name) for name in contents]
        outage.start_workers()
        outage.advance(seconds / 2)
        [first, second] = app.workers
        first.kill()
        second.send_signal(signal.SIGTERM)
        assert second.wait() == 0
        outage.start_workers()
        outage.advance(seconds / 2)

        waiting = [app.job(job) for job in jobs]
        assert {(job.state, job.reason, job.error) for job in waiting} == {(State.QUEUED, Reason.HOST_WAIT, None)}
        assert all(job.wait is not None and f"//{job.wait.host}" in origin.url("") for job in waiting)
        assert outage.tries() <= 2 * RUNNING + seconds / 60 + 15
        assert len(origin.requests()) <= 2 * RUNNING * TRIES_INSIDE + seconds / 60 + 15
        log = app.log()
        assert log.count(" starts: ") <= 4 * RUNNING
        assert log.count("until it answers") == 1
        assert log.count("the next try is at") <= 4, "each of four workers logs it once"

        assert all(len(app.events(job)) <= 3 + TRIES_INSIDE for job in jobs)

        end()
        if start_outage is answer_503:
            outage.advance_to_next_try()
        # From here on the clocks do not advance: a job that waits for them would never end.
        assert {app.until_ended(job).state for job in jobs} == {State.COMPLETED}
        assert all((app.store / f"{name}.gguf").read_bytes() == content for name, content in contents.items())


def test_a_drain_leaves_the_jobs_of_a_host_that_is_away_for_longer_than_its_patience(
    home: Path, origin: Origin, fork_server: ForkServer
) -> None:
    content = gguf(20_000, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        origin.refuse()
        job = app.enqueue("m")
        assert fork_server.start_worker(app, "--drain", "--patience", "1s").wait() == 10
        assert app.job(job).state is State.QUEUED
        assert "could not be reached for 1 s; its jobs stay queued." in app.log()
        origin.listen_again()
        assert fork_server.drain(app) == 0
        assert app.job(job).state is State.COMPLETED


def test_a_source_that_goes_away_in_mid_transfer_is_asked_with_pauses_and_found_when_it_is_back(
    home: Path, origin: Origin, fork_server: ForkServer
) -> None:
    """One of several connections is always being opened; it must not count as one that receives bytes."""
    content = gguf_pattern(8_000_000, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        job = app.enqueue("m")
        origin.limit(per_connection_bps=300_000)
        fork_server.start_worker(app)
        origin.wait_for(lambda: origin.open_connections > 4)
        origin.refuse()
        origin.drop_connections()
        app.until_state(job, State.QUEUED)
        kept = app.job(job).bytes_done
        events = app.events(job)
        assert len(events) <= 2 * TRIES_INSIDE
        assert sum("dropped the connection" in event.text for event in events) <= 2, "they were dropped together"
        origin.limit(per_connection_bps=None)
        origin.listen_again()
        assert app.until_ended(job).state is State.COMPLETED
        assert kept
        assert app.job(job).bytes_fetched <= content.size + 8 * 64_000, "kept bytes are not fetched again"
