"""A process whose database a newer flowhub migrates: it writes nothing more, and its error names both versions."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from flowhub_jobs.database.engine import _migrating, translated, writing
from flowhub_jobs.database.newest_migration import HEAD
from flowhub_jobs.errors import DatabaseNewer, DatabaseUnusable
from flowhub_jobs.jobs.run_values import FileCounts, Progress
from flowhub_jobs.values.enums import DigestState, Stage, State

RENAME = "ALTER TABLE jobs RENAME COLUMN {} TO {}"


def migrate(job_store, *statements, version="9999"):
    with _migrating(job_store.engine) as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)
        tx.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")


@contextmanager
def migrated_by_a_newer_flowhub(job_store):
    """Migrate, and migrate back at the end: the next test may use the same database."""
    migrate(job_store, RENAME.format("rate_bps", "speed_bps"))
    yield
    migrate(job_store, RENAME.format("speed_bps", "rate_bps"), version=HEAD)


def test_no_write_reaches_a_newer_schema(job_store):
    [job] = job_store.enqueue("a")
    with migrated_by_a_newer_flowhub(job_store):
        with pytest.raises(DatabaseNewer, match=rf"9999.*{HEAD}"):
            job_store.commands.cancel(job)
        with pytest.raises(DatabaseNewer):
            job_store.claim()
    assert job_store.state(job) is State.QUEUED


@pytest.mark.parametrize(
    "files", [(), (FileCounts(0, 1000, 400, "d", None, DigestState.RUNNING),)], ids=["job", "file"]
)
def test_no_progress_reaches_a_newer_schema_whose_tables_are_the_same(job_store, files):
    [job] = job_store.enqueue("a")
    lease = job_store.claim().lease
    migrate(job_store)
    with pytest.raises(DatabaseNewer, match=rf"9999.*{HEAD}"):
        job_store.owner.progress(lease, Progress(Stage.DOWNLOAD, 1000, 400, 400, 7, DigestState.RUNNING, files))
    migrate(job_store, version=HEAD)
    assert (job_store.row(job)["bytes_done"], job_store.queries.jobs([job])[0].files[0].bytes_done) == (0, 0)


def test_a_read_that_fails_on_a_newer_schema_names_both_versions(job_store):
    [job] = job_store.enqueue("a")
    with migrated_by_a_newer_flowhub(job_store):
        for _ in range(2):
            with pytest.raises(DatabaseNewer, match=rf"9999.*{HEAD}"):
                job_store.queries.jobs([job])


def test_a_migration_waits_for_the_write_that_began_before_it(job_store):
    migration_began = threading.Event()

    def migrate_and_signal():
        with _migrating(job_store.engine) as tx:
            migration_began.set()
            tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with ThreadPoolExecutor(1) as pool:
        with writing(job_store.engine) as tx:
            migration = pool.submit(migrate_and_signal)
            assert not migration_began.wait(0.3)
            tx.exec_driver_sql("DELETE FROM controls")
        migration.result()
    with pytest.raises(DatabaseNewer), writing(job_store.engine):
        pytest.fail("a write began in a newer schema")
    migrate(job_store, version=HEAD)


def test_a_migration_that_a_backup_keeps_waiting_gives_up_with_a_hint(job_store_on_postgresql, monkeypatch):
    """Otherwise every write would wait behind it, and leases would end."""
    monkeypatch.setattr("flowhub_jobs.database.postgresql.MIGRATION_LOCK_TIMEOUT_S", 1)
    job_store = job_store_on_postgresql
    with job_store.engine.connect() as backup:
        backup.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS SHARE MODE")
        with pytest.raises(DatabaseUnusable, match="lock timeout") as raised, translated(job_store.url):
            migrate(job_store)
    assert "pg_dump" in (raised.value.hint or "")
    job_store.enqueue("a")
