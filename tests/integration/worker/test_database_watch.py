"""The database under a running worker: replaced, removed, emptied, restored, damaged. The worker notices and says so.

It continues on the file that is there, without the leases of the other, or ends with an exit status and a sentence.
"""

import contextlib
import shutil
import signal
import sqlite3

import pytest
from support.app import app_of
from support.cli import process
from support.models import gguf, one_file_model

CONTENT = gguf(50_000, 1)
SLOW = gguf(20_000_000, 2)


@pytest.fixture
def shop(home, origin, monkeypatch):
    quick = one_file_model("quick", origin.serve("/quick.gguf", CONTENT), CONTENT)
    slow = one_file_model("slow", origin.serve("/slow.gguf", SLOW), SLOW)
    with app_of(home, quick, slow) as shop:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(shop.catalog))
        yield shop


def enqueue(ref):
    """Queue a model as another process does, on whichever file is there now."""
    said = process("enqueue", ref, "--json")
    assert said.status == 0, said.err
    return said.jobs[0]["id"]


def row_of(shop, job):
    """Return a job's state and bytes in whichever file is there now; it is asked often, and a verb takes long."""
    uri = f"{(shop.path / 'flowhub.db').as_uri()}?mode=rw"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        row = database.execute("SELECT state, bytes_done FROM jobs WHERE id = ?", (job,)).fetchone()
        return row or (None, 0)
    return None, 0


def until_completed(shop, job):
    shop.until(lambda: row_of(shop, job)[0] == "completed", f"job {job} completed")
    said = process("status", str(job), "--json")
    assert (said.status, said.jobs[0]["state"]) == (0, "completed")


def backup(shop):
    """Return a copy of the database as `sqlite3 flowhub.db .backup` makes it."""
    path = shop.path / "backup.db"
    with (
        contextlib.closing(sqlite3.connect(shop.path / "flowhub.db")) as database,
        contextlib.closing(sqlite3.connect(path)) as copy,
    ):
        database.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    return path


def move_backup(shop):
    backup(shop).replace(shop.path / "flowhub.db")


def copy_backup(shop):
    shutil.copyfile(backup(shop), shop.path / "flowhub.db")


def delete(shop):
    (shop.path / "flowhub.db").unlink()


def delete_all_of_it(shop):
    for suffix in ("", "-wal", "-shm"):
        (shop.path / f"flowhub.db{suffix}").unlink(missing_ok=True)


def delete_log(shop):
    (shop.path / "flowhub.db-wal").unlink()


def empty(shop):
    (shop.path / "flowhub.db").write_bytes(b"")


def move_away(shop):
    (shop.path / "flowhub.db").replace(shop.path / "elsewhere.db")


LOSSES = [move_backup, delete, delete_all_of_it, delete_log, empty, move_away]


def working_on(shop, ref):
    """Return a worker that has begun with a model."""
    shop.close_home()
    job = enqueue(ref)
    worker = shop.worker("--limit-rate", "200K")
    shop.until(lambda: row_of(shop, job)[0] == "running" and row_of(shop, job)[1], "its first bytes")
    return worker


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_worker_whose_database_is_lost_works_on_in_the_file_that_is_there(shop, lose):
    worker = working_on(shop, "slow")
    lose(shop)
    shop.until(lambda: "starts again" in shop.log(), "the worker's word")
    until_completed(shop, enqueue("quick"))
    assert "Traceback" not in shop.log()
    with contextlib.closing(sqlite3.connect(shop.path / "flowhub.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_a_backup_copied_over_the_file_is_noticed_by_the_missing_worker(shop):
    """The file stays the same; what it knows of is another time, before this worker began.

    SQLite promises nothing for a file that is overwritten while it is open: what it has in memory may spoil a page.
    Then the worker ends, and says what to do.
    """
    shop.close_home()
    before = enqueue("quick")
    old = backup(shop)
    worker = working_on(shop, "slow")
    shutil.copyfile(old, shop.path / "flowhub.db")
    shop.until(
        lambda: worker.poll() is not None or row_of(shop, before)[0] == "completed", "the worker's end, or the job's"
    )
    assert "Traceback" not in shop.log()
    if worker.poll() is not None:
        assert "is damaged" in shop.log()
        assert "restore a backup" in shop.log()
        return
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=60)
    with contextlib.closing(sqlite3.connect(shop.path / "flowhub.db")) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_home_that_was_removed_and_made_again_is_worked_in(shop):
    worker = working_on(shop, "slow")
    catalog, log = shop.catalog.read_bytes(), shop.path / "worker.log"
    aside = shop.path.with_name("log")
    log.rename(aside)
    shutil.rmtree(shop.path, ignore_errors=True)
    shop.path.mkdir(exist_ok=True)
    shop.catalog.write_bytes(catalog)
    job = enqueue("quick")
    shop.until(lambda: "starts again" in aside.read_text(), "the worker's word")
    until_completed(shop, job)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_a_home_that_was_removed_ends_the_worker_with_a_sentence(shop):
    worker = working_on(shop, "slow")
    aside = shop.path.with_name("log")
    (shop.path / "worker.log").rename(aside)
    shop.path.rename(shop.path.with_name("away"))  # at one moment: a half-emptied folder is a home
    assert worker.wait(timeout=60) == 1
    assert "was removed while the worker ran" in aside.read_text()
    assert not shop.path.exists()


def damage_a_page_of(shop, table):
    """Turn the first page of a table into noise, on the disk and in no log."""
    with contextlib.closing(sqlite3.connect(shop.path / "flowhub.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        [size] = database.execute("PRAGMA page_size").fetchone()
    with (shop.path / "flowhub.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize("table", ["jobs", "workers", "events", "job_files", "uq_jobs_live"])
def test_a_damaged_page_ends_the_worker_with_what_to_do(shop, table):
    shop.close_home()
    enqueue("quick")
    damage_a_page_of(shop, table)
    assert shop.drain() == 1
    said = shop.log()
    assert "is damaged" in said
    assert ".recover" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("table", ["jobs", "workers", "events"])
def test_a_page_that_is_damaged_under_a_worker_ends_it_when_it_is_read(shop, table):
    worker = working_on(shop, "slow")
    damage_a_page_of(shop, table)
    process("enqueue", "quick")  # whether it can be written or not
    assert worker.wait(timeout=60) == 1
    assert "is damaged" in shop.log()
    assert "Traceback" not in shop.log()


@pytest.mark.parametrize("revision", ["'xyz'", "''", "x'ff'", None])
def test_a_schema_that_names_no_version_is_called_damaged(shop, revision):
    shop.close_home()
    with contextlib.closing(sqlite3.connect(shop.path / "flowhub.db")) as database:
        database.execute("DELETE FROM alembic_version")
        if revision is not None:
            database.execute(f"INSERT INTO alembic_version VALUES ({revision})")
        database.commit()
    said = process("status", "--json")
    assert said.error["code"] == "database_damaged"
    assert "full" not in said.error["hint"]
