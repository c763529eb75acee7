"""Makes databases of one revision, fills their tables, and writes them as SQL."""

import argparse
import contextlib
import sqlite3
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from support.postgres import Server, binary

from flowhub_jobs.database.engine import migrations_folder
from flowhub_jobs.database.newest_migration import HEAD
from lib.env import TOP
from lib.schema_dump.rows import rows_of

FOLDER = TOP / "tests" / "data" / "schemas"
# Lines of pg_dump that differ between its versions, or set defaults of a connection.
_NOT_KEPT = ("--", "SET ", "\\", "SELECT pg_catalog.set_config(")


def main(text: str | None) -> None:
    """Write the dumps of the revisions in the command line, or of the newest one."""
    warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="*", default=[HEAD], metavar="REVISION")
    FOLDER.mkdir(exist_ok=True)
    with contextlib.closing(Server()) as server:
        for revision in parser.parse_args().revisions:
            for database, dump in (("sqlite", _sqlite(revision)), ("postgresql", _postgresql(server, revision))):
                path = FOLDER / f"{revision}.{database}.sql"
                path.write_text(dump)
                print(path.relative_to(TOP))


def _sqlite(revision: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump.db"
        _fill(f"sqlite:///{path}", revision)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return "".join(f"{line}\n" for line in connection.iterdump())


def _postgresql(server: Server, revision: str) -> str:
    name = server.create()
    url = server.url(name)
    _fill(url.replace("postgresql://", "postgresql+psycopg://"), revision)
    program = [binary("pg_dump") or "pg_dump", "--no-owner", "--no-privileges", "--column-inserts", url]
    dump = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    server.drop(name)
    return "".join(_kept(dump))


def _kept(dump: str) -> Iterator[str]:
    for line in dump.splitlines(keepends=True):
        if line.strip() and not line.startswith(_NOT_KEPT):
            yield line


def _fill(url: str, revision: str) -> None:
    """Migrate an empty database to a revision, and write rows into all of its tables."""
    engine = sa.create_engine(url)
    config, metadata = Config(), sa.MetaData()
    config.set_main_option("script_location", str(migrations_folder()))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    with engine.begin() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name == "alembic_version" or table.name.startswith("wakeup_"):
                continue
            connection.execute(table.insert(), rows := rows_of(table))
            if engine.dialect.name == "postgresql" and "id" in table.columns:
                connection.execute(sa.select(sa.func.setval(f"{table.name}_id_seq", len(rows))))
    engine.dispose()
