"""Migrations of every older schema, with rows in all tables, to the newest one, over both databases.

The dumps are made by scripts/schema-dump. A released one is never changed.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from lib.schema_dump.rows import NODE
from support.fake_clock import FakeClock
from support.postgres import Server

from flowhub_jobs.database.engine import migrations_folder, open_database, reading, writing
from flowhub_jobs.database.lazy import Database
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.queries import JobQueries
from flowhub_jobs.store.layout import Store
from flowhub_jobs.store.library import Library
from flowhub_jobs.values.enums import State

DUMPS = Path(__file__).parents[2] / "data" / "schemas"
# Columns that a later schema renamed.
RENAMED = {("jobs", "wish"): "requested"}
MOVED = {("nodes", "store_id")}  # to the table `stores`
REVISIONS = sorted({path.name.partition(".")[0] for path in DUMPS.glob("*.sql")})

Tables = dict[str, list[dict[str, Any]]]
Load = Callable[[str], str]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Load]:
    """A function that makes a database of a dumped revision, and returns its URL."""
    if request.param == "sqlite":
        yield lambda revision: _sqlite(tmp_path / "flowhub.db", _text(revision, "sqlite"))
        return
    server: Server = request.getfixturevalue("postgres")
    name = server.create()
    yield lambda revision: _postgresql(server, name, _text(revision, "postgresql"))
    server.drop(name)


def _text(revision: str, database: str) -> str:
    return (DUMPS / f"{revision}.{database}.sql").read_text()


def _sqlite(path: Path, dump: str) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump)
    return f"sqlite:///{path}"


def _postgresql(server: Server, name: str, dump: str) -> str:
    server.sql(dump, database=name)
    return server.url(name)


def alembic(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["connection"] = connection
    return config


def contents(url: str) -> Tables:
    """Return the rows of all tables."""
    engine, metadata = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://")), sa.MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        tables = {
            name: [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
            for name, table in metadata.tables.items()
            if name != "alembic_version" and not name.startswith("wakeup_")
        }
    engine.dispose()
    return tables


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_older_schema_becomes_the_newest_one_with_every_row(load, tmp_path, revision):
    url = load(revision)
    before = contents(url)
    assert all(before.values()), "a table of the dump is empty"
    engine = open_database(url, lock_folder=tmp_path)
    with writing(engine) as tx:
        command.check(alembic(tx))
        if engine.dialect.name == "sqlite":
            assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    engine.dispose()
    after = contents(url)
    stores = {(row["node"], row["store"], row["store_id"]) for row in before["nodes"] if row.get("store_id")}
    assert stores <= {(row["node"], row["path"], row["store_id"]) for row in after["stores"]}
    for table, rows in before.items():
        migrated = [_columns_of(table, row, new) for row, new in zip(rows, after[table], strict=True)]
        assert migrated == [_renamed(table, row) for row in rows], table


def _renamed(table: str, row: dict[str, Any]) -> dict[str, Any]:
    return {RENAMED.get((table, name), name): value for name, value in row.items() if (table, name) not in MOVED}


def _columns_of(table: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {name: new[name] for name in _renamed(table, old)}


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_jobs_and_models_of_an_older_schema_are_there_and_work(load, tmp_path, revision):
    engine = open_database(load(revision), lock_folder=tmp_path, node=NODE)
    database, clock = Database.of(engine), FakeClock().clock
    queries = JobQueries(database, NODE, clock)
    assert {job.id: job.state for job in queries.all()} == {1: State.COMPLETED, 2: State.FAILED, 3: State.QUEUED}
    library = Library(database, NODE, Store(tmp_path / "llms"))
    assert [(entry.name, list(entry.files)) for entry in library.entries()] == [
        ("model-1.gguf", ["model-1.gguf"]),
        ("other.gguf", ["other.gguf"]),
    ]
    JobCommands(engine, NODE, clock).retry(2)
    claimed = LeaseStore(engine, NODE, "w-1", clock).claim()
    assert claimed is not None
    assert claimed.artifact.model in ("model-2", "model-3")
    engine.dispose()


@pytest.mark.parametrize("revision", ["0001"])
def test_many_new_processes_that_meet_an_old_schema_at_once_migrate_it_once(load, tmp_path, revision):
    url = load(revision)
    before = len(contents(url)["jobs"])

    def start(number: int) -> int:
        engine = open_database(url, lock_folder=tmp_path, node=f"n-{number}")
        with reading(engine) as tx:
            count = tx.exec_driver_sql("SELECT count(*) FROM jobs").scalar()
        engine.dispose()
        return int(count or 0)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, range(4))) == [before] * 4


def test_each_older_schema_has_a_dump_of_both_databases():
    known = sorted(script.revision for script in ScriptDirectory.from_config(alembic()).walk_revisions())
    assert known[:-1] == REVISIONS[: len(known) - 1], "run scripts/schema-dump with the revision that is missing"
    assert {f"{revision}.{database}.sql" for revision in REVISIONS for database in ("sqlite", "postgresql")} == {
        path.name for path in DUMPS.iterdir()
    }
