"""Real workers over PostgreSQL: few connections, and jobs that survive outages of the database."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from support.app import LONG_TIMEOUTS, App, app_of
from support.models import gguf_pattern, one_file_model
from support.origin import Origin
from support.pooler import TransactionPooler
from support.postgres import USER, Server, Standby

from flowhub_jobs.operations.convert_unexpected_errors import as_flowhub_error
from flowhub_jobs.values.enums import EventKind, State
from flowhub_jobs.values.jobs import Job

MIB = 1 << 20
CONNECTIONS_MAX = 3  # the documented number for each worker process
FULL_HINT = "Free some space on the server's disk, then try again. Nothing is lost."
STOP_TIMEOUT_S = 60  # more than the documented 5 s, for a busy machine


@pytest.fixture
def home(home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a PostgreSQL database."""
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    return home


@pytest.fixture
def database(postgres_url: str) -> str:
    return postgres_url.rpartition("/")[2]


def pids(server: Server, database: str) -> list[int]:
    """Return the process ids of the server's sessions of flowhub."""
    query = "SELECT pid, application_name FROM pg_stat_activity WHERE datname = %s AND application_name = 'flowhub'"
    return [row[0] for row in server.sql(query, database)]


def models(origin: Origin, count: int, size: int) -> list[dict]:
    contents = [gguf_pattern(size, number) for number in range(count)]
    return [
        one_file_model(f"m{number}", origin.serve(f"/{number}.gguf", content), content)
        for number, content in enumerate(contents)
    ]


@contextmanager
def mid_transfer(home: Path, origin: Origin, size: int) -> Iterator[tuple[App, int, subprocess.Popen[bytes]]]:
    """Yield an app, the job of a slow model of `size` bytes, and a worker that has fetched a MiB of it."""
    content = gguf_pattern(size, 1)
    model = one_file_model("m", origin.serve("/m.gguf", content), content)
    origin.limit(total_bps=4 * MIB)
    with app_of(home, model) as app:
        job, worker = app.enqueue("m"), app.start_worker()
        origin.wait_for(lambda: origin.sent("/m.gguf") > MIB)
        yield app, job, worker


def completed_once(app: App, jobs: list[int]) -> bool:
    """Return whether each job was completed exactly once."""
    completions = [[event.kind for event in app.events(job)].count(EventKind.COMPLETED) for job in jobs]
    return completions == [1] * len(jobs)


def run_job_in_waiting_worker(app: App) -> Job:
    """Start a worker, queue a job once it runs, and return the job after its end."""
    app.start_worker()
    app.until(lambda: "runs" in app.log(), "the start of the worker")
    return app.until_ended(app.enqueue("m"))


def test_a_job_is_woken_and_done_without_a_file_in_the_home_for_it(home, origin, postgres, database):
    content = gguf_pattern(100_000, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        assert run_job_in_waiting_worker(app).state is State.COMPLETED
        assert not app.settings.queue_path.exists()
        assert not (home / "flowhub.db").exists()


def test_a_worker_of_many_jobs_has_three_connections_at_most(home, origin, postgres, database):
    entries = models(origin, 8, 4 * MIB)
    origin.limit(total_bps=8 * MIB)
    with app_of(home, *entries) as app:
        jobs = [app.enqueue(f"m{number}") for number in range(8)]
        app.home.database.close()  # the connection of this process
        worker = app.start_worker("--jobs", "8")
        most = 0

        def all_ended() -> bool:
            nonlocal most
            most = max(most, len(pids(postgres, database)))
            query = "SELECT count(*) FROM jobs WHERE state <> 'completed'"
            return postgres.sql(query, database=database) == [(0,)]

        app.until(all_ended, "the end of all jobs")
        assert 0 < most <= CONNECTIONS_MAX
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
        assert completed_once(app, jobs)


@pytest.mark.parametrize("blow", ["terminate", "restart"])
def test_jobs_continue_through_the_loss_of_all_connections(home, origin, postgres, database, blow):
    entries = models(origin, 4, 8 * MIB)
    origin.limit(total_bps=4 * MIB)
    with app_of(home, *entries) as app:
        jobs = [app.enqueue(f"m{number}") for number in range(4)]
        app.start_worker("--jobs", "2")
        origin.wait_for(lambda: origin.sent("/0.gguf") > MIB)
        if blow == "terminate":
            assert postgres.terminate_all(database) > 0
        else:
            postgres.restart()
        origin.limit(total_bps=None)
        for job in jobs:
            assert app.until_ended(job).state is State.COMPLETED
        assert completed_once(app, jobs)


def test_a_transfer_continues_while_the_server_is_down_and_its_attempt_is_the_only_one(home, origin, postgres):
    with mid_transfer(home, origin, 32 * MIB) as (app, job, _):
        postgres.stop()
        try:
            sent = origin.sent("/m.gguf")
            origin.wait_for(lambda: origin.sent("/m.gguf") > sent + 6 * MIB)
            app.until(lambda: "The database does not answer" in app.log(), "the log of the outage")
        finally:
            postgres.start()
        app.until(lambda: "The database answers again" in app.log(), "the log of the end")
        origin.limit(total_bps=None)
        completed_job = app.until_ended(job)
        assert (completed_job.state, completed_job.attempt, completed_job.bytes_fetched) == (
            State.COMPLETED,
            1,
            32 * MIB,
        )
        assert EventKind.RESCUED not in [event.kind for event in app.events(job)]
        assert app.log().count("The database does not answer") == 1


def test_a_worker_that_is_stopped_while_the_server_is_down_goes_and_the_job_continues_later(home, origin, postgres):
    with mid_transfer(home, origin, 16 * MIB) as (app, job, worker):
        postgres.stop()
        try:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=STOP_TIMEOUT_S) == 0
        finally:
            postgres.start()
        origin.limit(total_bps=None)
        assert app.drain() == 0
        assert app.job(job).state is State.COMPLETED
        assert completed_once(app, [job])


def test_a_read_only_server_stops_no_transfer(home, origin, postgres, database):
    """As a standby, or a server whose disk is nearly full."""
    with mid_transfer(home, origin, 16 * MIB) as (app, job, _):
        postgres.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        try:
            postgres.terminate_all(database)
            app.until(lambda: "The database is read-only" in app.log(), "the log of the outage")
            sent = origin.sent("/m.gguf")
            origin.wait_for(lambda: origin.sent("/m.gguf") > sent + 4 * MIB)
        finally:
            postgres.sql(f"ALTER DATABASE {database} RESET default_transaction_read_only")
        # The worker's sessions remain read-only until it opens new ones.
        app.until(lambda: "The database answers again" in app.log(), "the log of the end")
        origin.limit(total_bps=None)
        completed_job = app.until_ended(job)
        assert (completed_job.state, completed_job.attempt) == (State.COMPLETED, 1)
        assert app.log().count("The database is read-only") == 1


DISK_FULL_FUNCTION = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
"""
EACH_TABLE = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


@contextmanager
def full_disk(server: Server, database: str) -> Iterator[None]:
    """Make every write of a database fail as on a server with a full disk."""
    tables = [name for (name,) in server.sql(EACH_TABLE, database=database)]
    event = "BEFORE INSERT OR UPDATE ON"
    triggers = "".join(f"CREATE TRIGGER full_disk {event} {name} EXECUTE FUNCTION full_disk();" for name in tables)
    server.sql(f"{DISK_FULL_FUNCTION} {triggers}", database=database)
    try:
        yield
    finally:
        server.sql("DROP FUNCTION full_disk CASCADE", database=database)


def test_jobs_continue_after_the_servers_disk_was_full_when_their_transfer_ended(home, origin, postgres, database):
    with mid_transfer(home, origin, 16 * MIB) as (app, job, _):
        with full_disk(postgres, database):
            app.until(lambda: "The database has no space left on its disk" in app.log(), "the log of the outage")
            with pytest.raises(DBAPIError) as raised:
                app.home.commands.set_priority(job, 5)
            error = as_flowhub_error(raised.value)
            assert (error.code, error.hint) == ("database_unusable", FULL_HINT)
            origin.limit(total_bps=None)
            app.until(lambda: "could not be written" in app.log(), "the log of the unwritten end")
        completed_job = app.until_ended(job)
        assert (completed_job.state, completed_job.bytes_fetched) == (State.COMPLETED, 16 * MIB)
        assert completed_once(app, [job])
        assert app.log().count("The database has no space left") == 1
        assert "The database answers again" in app.log()


def test_jobs_continue_while_every_connection_ends_again_and_again(home, origin, postgres, database):
    entries = models(origin, 4, 4 * MIB)
    origin.limit(total_bps=2 * MIB)
    with app_of(home, *entries) as app:
        jobs = [app.enqueue(f"m{number}") for number in range(4)]
        app.start_worker(
            "--jobs", "2", **LONG_TIMEOUTS
        )  # no connection is replaced: its buffered bytes would come twice
        for number in range(4):
            for step in range(1, 4):
                origin.wait_for(lambda: origin.sent(f"/{number}.gguf") >= step * MIB)  # noqa: B023, at once
                postgres.terminate_all(database)
        origin.limit(total_bps=None)
        assert [app.until_ended(job).state for job in jobs] == [State.COMPLETED] * 4
        assert completed_once(app, jobs)
        assert all(origin.sent(f"/{number}.gguf") < 5 * MIB for number in range(4)), app.log()


def test_jobs_continue_on_a_standby_that_takes_the_place_of_the_primary(home, origin, monkeypatch):
    with contextlib.closing(Server()) as primary, contextlib.closing(Standby(primary)) as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://{USER}@{hosts}/{primary.create()}?target_session_attrs=read-write"
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", url)
        with mid_transfer(home, origin, 16 * MIB) as (app, job, _):
            primary.stop("immediate")
            app.until(lambda: "The database does not answer" in app.log(), "the log of the outage")
            sent = origin.sent("/m.gguf")
            origin.wait_for(lambda: origin.sent("/m.gguf") > sent + MIB)
            standby.promote()
            app.until(lambda: "The database answers again" in app.log(), "the log of the end")
            origin.limit(total_bps=None)
            completed_job = app.until_ended(job)
            assert (completed_job.state, completed_job.bytes_fetched) == (State.COMPLETED, 16 * MIB), app.log()
            assert completed_once(app, [job])


def test_a_worker_without_listen_finds_new_jobs(home, origin, monkeypatch, postgres, database):
    monkeypatch.setenv("FLOWHUB_DATABASE_LISTEN", "false")
    content = gguf_pattern(100_000, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        assert run_job_in_waiting_worker(app).state is State.COMPLETED
        app.home.database.close()
        assert len(pids(postgres, database)) <= CONNECTIONS_MAX - 1


@pytest.mark.parametrize("listen", ["false", "true"])
def test_jobs_are_done_behind_a_pooler_in_transaction_mode(home, origin, monkeypatch, postgres_url, listen):
    """The worker gets no notification, and loses a session's prepared statements with the next transaction."""
    with TransactionPooler(postgres_url) as pooler:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", pooler.url)
        monkeypatch.setenv("FLOWHUB_DATABASE_LISTEN", listen)
        with mid_transfer(home, origin, 8 * MIB) as (app, job, worker):
            origin.limit(total_bps=None)
            assert app.until_ended(job).state is State.COMPLETED
            second = app.enqueue("m", force=True)
            assert app.until_ended(second).state is State.COMPLETED
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=STOP_TIMEOUT_S) == 0
            assert completed_once(app, [job, second])
            assert "prepared statement" not in app.log()
        assert pooler.transactions > 20


def test_a_killed_workers_jobs_are_done_by_another_without_a_second_download(home, origin):
    content = gguf_pattern(16 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=4 * MIB)
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        worker = app.start_worker()
        app.until(lambda: app.job(job).bytes_done > 4 * MIB, "some bytes")
        kept = app.job(job).bytes_done
        worker.kill()
        worker.wait()
        sent = origin.sent("/m.gguf")
        origin.limit(total_bps=None)
        assert app.drain() == 0
        assert app.job(job).state is State.COMPLETED
        assert origin.sent("/m.gguf") - sent <= content.size - kept + MIB
        assert completed_once(app, [job])
