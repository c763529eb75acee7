"""Real workers over PostgreSQL: few connections, and jobs that outlive the database's."""

import signal
from pathlib import Path

import pytest
from support.app import App, app_of
from support.models import gguf_pattern, one_file_model
from support.origin import Origin
from support.postgres import Server

from flowhub_jobs.values.enums import EventKind, State

MIB = 1 << 20
CONNECTIONS_MAX = 3  # the contract's, a worker process


@pytest.fixture
def home(home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose database is PostgreSQL's."""
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    return home


@pytest.fixture
def database(postgres_url: str) -> str:
    return postgres_url.rpartition("/")[2]


def pids(server: Server, database: str) -> list[int]:
    """Return the connections of other processes than this one."""
    query = "SELECT pid, application_name FROM pg_stat_activity WHERE datname = %s AND application_name = 'flowhub'"
    return [row[0] for row in server.sql(query, database)]


def models(origin: Origin, count: int, size: int) -> list[dict]:
    contents = [gguf_pattern(size, number) for number in range(count)]
    return [
        one_file_model(f"m{number}", origin.serve(f"/{number}.gguf", content), content)
        for number, content in enumerate(contents)
    ]


def completed_once(shop: App, jobs: list[int]) -> bool:
    """Return whether each job was completed, and once."""
    said = [[event.kind for event in shop.events(job)].count(EventKind.COMPLETED) for job in jobs]
    return said == [1] * len(jobs)


def test_a_job_is_woken_and_done_without_a_file_in_the_home_for_it(home, origin, postgres, database):
    content = gguf_pattern(100_000, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as shop:
        shop.worker()
        shop.until(lambda: "runs" in shop.log(), "its start")
        job = shop.enqueue("m")
        assert shop.until_ended(job).state is State.COMPLETED
        assert not shop.settings.queue_path.exists()
        assert not (home / "flowhub.db").exists()


def test_a_worker_of_many_jobs_has_three_connections_at_most(home, origin, postgres, database):
    wares = models(origin, 8, 4 * MIB)
    origin.limit(total_bps=8 * MIB)
    with app_of(home, *wares) as shop:
        jobs = [shop.enqueue(f"m{number}") for number in range(8)]
        shop.home.database.close()  # this process's own
        worker = shop.worker("--jobs", "8")
        most = 0

        def all_ended() -> bool:
            nonlocal most
            most = max(most, len(pids(postgres, database)))
            query = "SELECT count(*) FROM jobs WHERE state <> 'completed'"
            return postgres.sql(query, database=database) == [(0,)]

        shop.until(all_ended, "the end of all jobs")
        assert 0 < most <= CONNECTIONS_MAX
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=20) == 0
        assert completed_once(shop, jobs)


@pytest.mark.parametrize("blow", ["terminate", "restart"])
def test_jobs_continue_through_the_loss_of_all_connections(home, origin, postgres, database, blow):
    wares = models(origin, 4, 8 * MIB)
    origin.limit(total_bps=4 * MIB)
    with app_of(home, *wares) as shop:
        jobs = [shop.enqueue(f"m{number}") for number in range(4)]
        shop.worker("--jobs", "2")
        origin.wait_for(lambda: origin.sent("/0.gguf") > MIB)
        if blow == "terminate":
            assert postgres.terminate_all(database) > 0
        else:
            postgres.restart()
        origin.limit(total_bps=None)
        for job in jobs:
            assert shop.until_ended(job).state is State.COMPLETED
        assert completed_once(shop, jobs)
        assert "database" in shop.log()
