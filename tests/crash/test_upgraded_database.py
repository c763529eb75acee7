"""A newer flowhub migrates the database under a running worker: the worker ends, and its job continues later."""

import pytest
import sqlalchemy as sa
from support.app import app_of
from support.models import gguf_pattern, one_file_model

from flowhub_jobs.database.engine import _migrating
from flowhub_jobs.database.newest_migration import HEAD
from flowhub_jobs.database.tables import attempts, events, jobs, workers
from flowhub_jobs.values.enums import EventKind, State

MIB = 1 << 20
HANGS_S = 120

FORTH = ("ALTER TABLE jobs RENAME COLUMN bytes_done TO kept", "UPDATE alembic_version SET version_num = '9999'")
BACK = ("ALTER TABLE jobs RENAME COLUMN kept TO bytes_done", f"UPDATE alembic_version SET version_num = '{HEAD}'")


@pytest.fixture(params=["sqlite", "postgresql"])
def home(home, request, monkeypatch):
    """A home with SQLite, then one with PostgreSQL."""
    if request.param == "postgresql":
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", request.getfixturevalue("postgres_url"))
    return home


def migrate(engine, statements):
    with _migrating(engine) as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)
        return contents(tx)


def contents(tx):
    """Return the rows that workers change."""
    tables = (table.name for table in (jobs, attempts, events, workers))
    return {name: tx.exec_driver_sql(f"SELECT * FROM {name} ORDER BY 1").all() for name in tables}


def test_a_worker_of_the_old_version_ends_and_writes_nothing_and_its_job_continues(home, origin):
    content = gguf_pattern(16 * MIB, 1)
    origin.limit(total_bps=4 * MIB)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        job, worker = app.enqueue("m"), app.start_worker()
        app.until(lambda: app.job(job).bytes_done > MIB, "some bytes")
        migrated = migrate(app.home.engine, FORTH)
        assert worker.wait(timeout=HANGS_S) == 1
        log = app.log()
        assert "9999" in log
        assert HEAD in log
        assert "start its worker again" in log
        assert "Traceback" not in log
        with sa.Connection(app.home.engine) as tx:
            assert contents(tx) == migrated
        refused = app.start_worker("--drain")
        assert refused.wait(timeout=HANGS_S) == 1
        migrate(app.home.engine, BACK)
        origin.limit(total_bps=None)
        sent = origin.sent("/m.gguf")
        assert app.drain() == 0
        assert app.job(job).state is State.COMPLETED
        assert [event.kind for event in app.events(job)].count(EventKind.COMPLETED) == 1
        assert origin.sent("/m.gguf") - sent < content.size
