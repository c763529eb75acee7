"""Tests of a database that is replaced, removed, emptied, restored or damaged under a running worker.

The worker continues with the file that it finds, without the leases of the former one, or ends with an error message.
"""

import contextlib
import shutil
import signal
import sqlite3

import pytest
from support.app import app_of
from support.cli import run_command
from support.models import gguf, one_file_model

CONTENT = gguf(50_000, 1)
SLOW = gguf(20_000_000, 2)


@pytest.fixture
def app(home, origin, monkeypatch):
    quick = one_file_model("quick", origin.serve("/quick.gguf", CONTENT), CONTENT)
    slow = one_file_model("slow", origin.serve("/slow.gguf", SLOW), SLOW)
    with app_of(home, quick, slow) as app:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
        yield app


def enqueue(ref):
    """Queue a model from another process, in the file that is at the path now."""
    result = run_command("enqueue", ref, "--json")
    assert result.status == 0, result.err
    return result.jobs[0]["id"]


def row_of(app, job):
    """Return a job's state and bytes from the file that is at the path now: by SQL, as a command is slow to poll."""
    uri = f"{(app.path / 'flowhub.db').as_uri()}?mode=rw"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        row = database.execute("SELECT state, bytes_done FROM jobs WHERE id = ?", (job,)).fetchone()
        return row or (None, 0)
    return None, 0


def until_completed(app, job):
    app.until(lambda: row_of(app, job)[0] == "completed", f"job {job} completed")
    result = run_command("status", str(job), "--json")
    assert (result.status, result.jobs[0]["state"]) == (0, "completed")


def backup(app):
    """Return a copy of the database as `sqlite3 flowhub.db .backup` makes it."""
    path = app.path / "backup.db"
    with (
        contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database,
        contextlib.closing(sqlite3.connect(path)) as copy,
    ):
        database.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    return path


def move_backup(app):
    backup(app).replace(app.path / "flowhub.db")


def copy_backup(app):
    shutil.copyfile(backup(app), app.path / "flowhub.db")


def delete(app):
    (app.path / "flowhub.db").unlink()


def delete_with_log(app):
    for suffix in ("", "-wal", "-shm"):
        (app.path / f"flowhub.db{suffix}").unlink(missing_ok=True)


def delete_log(app):
    (app.path / "flowhub.db-wal").unlink()


def empty(app):
    (app.path / "flowhub.db").write_bytes(b"")


def move_away(app):
    (app.path / "flowhub.db").replace(app.path / "moved.db")


LOSSES = [move_backup, delete, delete_with_log, delete_log, empty, move_away]


def start_worker_on(app, ref):
    """Return a worker that has received the first bytes of a model."""
    app.close_home()
    job = enqueue(ref)
    worker = app.start_worker("--limit-rate", "200K")
    app.until(lambda: row_of(app, job)[0] == "running" and row_of(app, job)[1], "its first bytes")
    return worker


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_worker_whose_database_is_lost_continues_with_the_file_at_its_path(app, lose):
    worker = start_worker_on(app, "slow")
    lose(app)
    app.until(lambda: "starts again" in app.log(), "the worker's log entry")
    until_completed(app, enqueue("quick"))
    assert "Traceback" not in app.log()
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_a_backup_copied_over_the_file_is_noticed_by_the_workers_missing_row(app):
    """The inode stays the same, and the content is older than this worker, so that its row is missing.

    SQLite guarantees nothing for a file that is overwritten while it is open: its cached pages may damage the file.
    Then the worker ends, and its message says what to do.
    """
    app.close_home()
    before = enqueue("quick")
    copy = backup(app)
    worker = start_worker_on(app, "slow")
    shutil.copyfile(copy, app.path / "flowhub.db")
    app.until(
        lambda: worker.poll() is not None or row_of(app, before)[0] == "completed", "the worker's end, or the job's"
    )
    assert "Traceback" not in app.log()
    if worker.poll() is not None:
        assert "is damaged" in app.log()
        assert "restore a backup" in app.log()
        return
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=60)
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_worker_continues_in_a_home_that_was_removed_and_made_again(app):
    worker = start_worker_on(app, "slow")
    catalog, log = app.catalog.read_bytes(), app.path / "worker.log"
    moved_log = app.path.with_name("log")
    log.rename(moved_log)
    shutil.rmtree(app.path, ignore_errors=True)
    app.path.mkdir(exist_ok=True)
    app.catalog.write_bytes(catalog)
    job = enqueue("quick")
    app.until(lambda: "starts again" in moved_log.read_text(), "the worker's log entry")
    until_completed(app, job)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_a_home_that_was_removed_ends_the_worker_with_a_message(app):
    worker = start_worker_on(app, "slow")
    moved_log = app.path.with_name("log")
    (app.path / "worker.log").rename(moved_log)
    app.path.rename(app.path.with_name("away"))  # atomically: a partly emptied folder is still a home
    assert worker.wait(timeout=60) == 1
    assert "was removed while the worker ran" in moved_log.read_text()
    assert not app.path.exists()


def damage_page_of(app, table):
    """Overwrite the first page of a table in the file itself, past the write-ahead log."""
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        [size] = database.execute("PRAGMA page_size").fetchone()
    with (app.path / "flowhub.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize("table", ["jobs", "workers", "events", "job_files", "uq_jobs_live"])
def test_a_damaged_page_ends_the_worker_with_a_remedy(app, table):
    app.close_home()
    enqueue("quick")
    damage_page_of(app, table)
    assert app.drain() == 1
    log = app.log()
    assert "is damaged" in log
    assert ".recover" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("table", ["jobs", "workers", "events"])
def test_a_page_that_is_damaged_under_a_worker_ends_it_when_it_is_read(app, table):
    worker = start_worker_on(app, "slow")
    damage_page_of(app, table)
    run_command("enqueue", "quick")  # may fail: the damaged page may be read first
    assert worker.wait(timeout=60) == 1
    assert "is damaged" in app.log()
    assert "Traceback" not in app.log()


@pytest.mark.parametrize("revision", ["'xyz'", "''", "x'ff'", None])
def test_a_schema_without_a_known_version_is_an_error_of_damage(app, revision):
    app.close_home()
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        database.execute("DELETE FROM alembic_version")
        if revision is not None:
            database.execute(f"INSERT INTO alembic_version VALUES ({revision})")
        database.commit()
    result = run_command("status", "--json")
    assert result.error["code"] == "database_damaged"
    assert "full" not in result.error["hint"]
