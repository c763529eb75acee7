"""The database under a running worker: replaced, removed, emptied, restored, damaged. The worker notices and says so.

It continues on the file that is there, without the leases of the other, or ends with an exit status and a sentence.
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
    """Queue a model as another process does, on whichever file is there now."""
    said = run_command("enqueue", ref, "--json")
    assert said.status == 0, said.err
    return said.jobs[0]["id"]


def row_of(app, job):
    """Return a job's state and bytes in whichever file is there now; it is asked often, and a verb takes long."""
    uri = f"{(app.path / 'flowhub.db').as_uri()}?mode=rw"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        row = database.execute("SELECT state, bytes_done FROM jobs WHERE id = ?", (job,)).fetchone()
        return row or (None, 0)
    return None, 0


def until_completed(app, job):
    app.until(lambda: row_of(app, job)[0] == "completed", f"job {job} completed")
    said = run_command("status", str(job), "--json")
    assert (said.status, said.jobs[0]["state"]) == (0, "completed")


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


def delete_all_of_it(app):
    for suffix in ("", "-wal", "-shm"):
        (app.path / f"flowhub.db{suffix}").unlink(missing_ok=True)


def delete_log(app):
    (app.path / "flowhub.db-wal").unlink()


def empty(app):
    (app.path / "flowhub.db").write_bytes(b"")


def move_away(app):
    (app.path / "flowhub.db").replace(app.path / "elsewhere.db")


LOSSES = [move_backup, delete, delete_all_of_it, delete_log, empty, move_away]


def working_on(app, ref):
    """Return a worker that has begun with a model."""
    app.close_home()
    job = enqueue(ref)
    worker = app.worker("--limit-rate", "200K")
    app.until(lambda: row_of(app, job)[0] == "running" and row_of(app, job)[1], "its first bytes")
    return worker


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_worker_whose_database_is_lost_works_on_in_the_file_that_is_there(app, lose):
    worker = working_on(app, "slow")
    lose(app)
    app.until(lambda: "starts again" in app.log(), "the worker's word")
    until_completed(app, enqueue("quick"))
    assert "Traceback" not in app.log()
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_a_backup_copied_over_the_file_is_noticed_by_the_missing_worker(app):
    """The file stays the same; what it knows of is another time, before this worker began.

    SQLite promises nothing for a file that is overwritten while it is open: what it has in memory may spoil a page.
    Then the worker ends, and says what to do.
    """
    app.close_home()
    before = enqueue("quick")
    old = backup(app)
    worker = working_on(app, "slow")
    shutil.copyfile(old, app.path / "flowhub.db")
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


def test_a_home_that_was_removed_and_made_again_is_worked_in(app):
    worker = working_on(app, "slow")
    catalog, log = app.catalog.read_bytes(), app.path / "worker.log"
    aside = app.path.with_name("log")
    log.rename(aside)
    shutil.rmtree(app.path, ignore_errors=True)
    app.path.mkdir(exist_ok=True)
    app.catalog.write_bytes(catalog)
    job = enqueue("quick")
    app.until(lambda: "starts again" in aside.read_text(), "the worker's word")
    until_completed(app, job)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_a_home_that_was_removed_ends_the_worker_with_a_sentence(app):
    worker = working_on(app, "slow")
    aside = app.path.with_name("log")
    (app.path / "worker.log").rename(aside)
    app.path.rename(app.path.with_name("away"))  # at one moment: a half-emptied folder is a home
    assert worker.wait(timeout=60) == 1
    assert "was removed while the worker ran" in aside.read_text()
    assert not app.path.exists()


def damage_a_page_of(app, table):
    """Turn the first page of a table into noise, on the disk and in no log."""
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        [size] = database.execute("PRAGMA page_size").fetchone()
    with (app.path / "flowhub.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize("table", ["jobs", "workers", "events", "job_files", "uq_jobs_live"])
def test_a_damaged_page_ends_the_worker_with_what_to_do(app, table):
    app.close_home()
    enqueue("quick")
    damage_a_page_of(app, table)
    assert app.drain() == 1
    said = app.log()
    assert "is damaged" in said
    assert ".recover" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("table", ["jobs", "workers", "events"])
def test_a_page_that_is_damaged_under_a_worker_ends_it_when_it_is_read(app, table):
    worker = working_on(app, "slow")
    damage_a_page_of(app, table)
    run_command("enqueue", "quick")  # whether it can be written or not
    assert worker.wait(timeout=60) == 1
    assert "is damaged" in app.log()
    assert "Traceback" not in app.log()


@pytest.mark.parametrize("revision", ["'xyz'", "''", "x'ff'", None])
def test_a_schema_that_names_no_version_is_called_damaged(app, revision):
    app.close_home()
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        database.execute("DELETE FROM alembic_version")
        if revision is not None:
            database.execute(f"INSERT INTO alembic_version VALUES ({revision})")
        database.commit()
    said = run_command("status", "--json")
    assert said.error["code"] == "database_damaged"
    assert "full" not in said.error["hint"]
