"""The database: created and migrated on first use, by one process; a file that is not flowhub's stays as it is."""

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from support.job_store import JobStore
from support.python_process import kill, start_python

from flowhub_jobs.database.engine import migrations_folder, open_database, reading, translated, writing
from flowhub_jobs.database.newest_migration import HEAD
from flowhub_jobs.database.tables import jobs, metadata
from flowhub_jobs.errors import DatabaseNewer, DatabaseReplaced, DatabaseUnusable, HomeUnusable, SettingInvalid


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'flowhub.db'}"


@contextlib.contextmanager
def database(folder: Path):
    engine = open_database(url_of(folder), lock_folder=folder)
    try:
        yield engine
    finally:
        engine.dispose()


def alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    return config


# Migrations ----------------------------------------------------------------------------------------------------------


def test_the_first_use_makes_every_table(tmp_path):
    with database(tmp_path) as engine:
        assert set(sa.inspect(engine).get_table_names()) == {*metadata.tables, "alembic_version"}


# The next test compares those indices.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_the_migrations_make_exactly_the_tables_that_the_code_knows(tmp_path):
    config = alembic()
    with database(tmp_path) as engine, writing(engine) as connection:
        config.attributes["connection"] = connection
        command.check(config)


def test_the_migrations_write_the_same_indices_as_the_code_knows(tmp_path):
    """`alembic check` does not compare the condition of a partial index."""

    def indices(engine: sa.Engine) -> set[str]:
        with reading(engine) as tx:
            rows = tx.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
            return {text.replace('"', "") for text in rows.scalars()}

    plain = sa.create_engine("sqlite://")
    metadata.create_all(plain)
    with database(tmp_path) as engine:
        assert indices(engine) == indices(plain)
    plain.dispose()


def test_the_head_that_the_code_knows_is_the_newest_migration():
    assert ScriptDirectory.from_config(alembic()).get_current_head() == HEAD


def test_all_migrations_can_be_taken_back(tmp_path):
    config = alembic()
    with database(tmp_path) as engine:
        with writing(engine) as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "base")
        assert sa.inspect(engine).get_table_names() == ["alembic_version"]
    with database(tmp_path) as engine:
        assert sa.inspect(engine).has_table("jobs")


OPEN = """
import sys
from pathlib import Path
from flowhub_jobs.home import opened
from flowhub_jobs.settings import load_settings
import alembic.command
print("ready", flush=True)
sys.stdin.readline()
with opened(load_settings({"FLOWHUB_HOME": sys.argv[1]})) as home:
    print(home.node, home.queries.overview())
"""


def test_eight_processes_that_open_an_empty_home_at_once_agree_on_all(tmp_path):
    processes = [start_python(OPEN, tmp_path / "home") for _ in range(8)]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                kill(process)
    assert [error for _, error in answers if error] == []
    assert {process.returncode for process in processes} == {0}
    assert len({answer for answer, _ in answers}) == 1


def test_only_one_of_many_that_open_at_once_migrates(tmp_path, monkeypatch):
    from flowhub_jobs.database import engine as module

    upgrades, upgrade = [], module._upgrade
    monkeypatch.setattr(module, "_upgrade", lambda engine: (upgrades.append(1), upgrade(engine)))
    engines: list[sa.Engine] = []
    barrier = threading.Barrier(4)

    def open_at_once() -> None:
        barrier.wait()
        engines.append(open_database(url_of(tmp_path), lock_folder=tmp_path))

    threads = [threading.Thread(target=open_at_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert (len(engines), len(upgrades)) == (4, 1)


# Durability and concurrency ------------------------------------------------------------------------------------------


def test_a_commit_survives_power_loss_and_readers_do_not_wait(tmp_path):
    with database(tmp_path) as engine, reading(engine) as tx:
        pragmas = {name: tx.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_removed_home_is_an_error_also_when_no_connection_is_open(tmp_path):
    """A pool without connections opens new ones, which find no folder: a retry would not help."""
    (tmp_path / "home").mkdir()
    with database(tmp_path / "home") as engine:
        engine.dispose()
        (tmp_path / "home").rename(tmp_path / "away")
        for _ in range(2):
            with pytest.raises(DatabaseReplaced, match="was removed while it was open"), reading(engine) as tx:
                tx.execute(sa.select(jobs.c.id))


def test_a_write_that_reads_first_waits_for_other_writers(tmp_path):
    """A transaction that reads, and writes after another has written, would fail at once."""
    with database(tmp_path) as engine:
        with writing(engine) as tx:
            tx.exec_driver_sql("CREATE TABLE counter (n INTEGER)")
            tx.exec_driver_sql("INSERT INTO counter VALUES (0)")

        def increment() -> None:
            for _ in range(25):
                with writing(engine) as tx:
                    number = tx.exec_driver_sql("SELECT n FROM counter").scalar_one()
                    tx.exec_driver_sql(f"UPDATE counter SET n = {number + 1}")

        threads = [threading.Thread(target=increment) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with reading(engine) as tx:
            assert tx.exec_driver_sql("SELECT n FROM counter").scalar_one() == 100


def test_an_error_inside_a_write_rolls_it_back(tmp_path):
    job_store = JobStore(tmp_path)
    [job] = job_store.enqueue("tiny")

    def write_and_fail() -> None:
        with writing(job_store.engine) as tx:
            tx.execute(sa.update(jobs).values(priority=9))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert job_store.row(job)["priority"] == 0
    job_store.close()


def test_a_job_number_is_never_given_twice_even_after_the_last_row_was_deleted(tmp_path):
    job_store = JobStore(tmp_path)
    assert job_store.enqueue("a", "b", "c") == [1, 2, 3]
    with writing(job_store.engine) as tx:
        tx.execute(sa.delete(jobs))
    assert job_store.enqueue("a") == [4]
    job_store.close()


# Files that are not a database of flowhub ----------------------------------------------------------------------------


def test_the_database_of_a_newer_flowhub_is_refused_and_not_touched(tmp_path):
    with database(tmp_path) as engine, writing(engine) as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = (tmp_path / "flowhub.db").read_bytes()
    with pytest.raises(DatabaseNewer, match=rf"9999.*{HEAD}"):
        open_database(url_of(tmp_path), lock_folder=tmp_path)
    assert (tmp_path / "flowhub.db").read_bytes() == before


def test_a_text_file_is_refused_and_not_touched(tmp_path):
    text = "Dear diary, " * 1000
    (tmp_path / "flowhub.db").write_text(text)
    with pytest.raises(DatabaseUnusable, match="is not a database of flowhub's") as raised:
        open_database(url_of(tmp_path), lock_folder=tmp_path)
    assert str(tmp_path / "flowhub.db") in raised.value.message
    assert (tmp_path / "flowhub.db").read_text() == text


def test_a_damaged_database_is_refused(tmp_path):
    with database(tmp_path):
        pass
    path = tmp_path / "flowhub.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\x5a" * (path.stat().st_size - 4096))
    with pytest.raises(DatabaseUnusable):
        open_database(url_of(tmp_path), lock_folder=tmp_path)


def test_a_database_of_another_program_is_refused_and_not_touched(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "flowhub.db")) as other:
        other.execute("CREATE TABLE jobs (what TEXT)")
        other.commit()
    with pytest.raises(DatabaseUnusable):
        open_database(url_of(tmp_path), lock_folder=tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "flowhub.db")) as other:
        assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["jobs"]


def test_a_path_where_no_file_can_be_is_an_unusable_home(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable, match="cannot be opened"):
        open_database(url_of(tmp_path / "file"), lock_folder=tmp_path)


@pytest.mark.parametrize("url", ["nonsense", "", "nosuchthing://h/db", "sqlite+nosuchdriver:////tmp/x"])
def test_the_error_of_a_url_without_a_database_names_its_setting(tmp_path, url):
    with pytest.raises(SettingInvalid, match="FLOWHUB_DATABASE_URL"):
        open_database(url, lock_folder=tmp_path)


@pytest.mark.parametrize("fault", [sa.exc.OperationalError, sa.exc.DatabaseError])
def test_the_password_of_a_database_is_never_shown(fault):
    with pytest.raises(DatabaseUnusable) as raised, translated("postgresql+psycopg://me:s3cret@h.example/flow"):
        raise fault("SELECT 1", {}, Exception("no answer"))
    assert "h.example" in raised.value.message
    assert "s3cret" not in raised.value.message
