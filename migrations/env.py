"""Alembic's entry: brings a database to the tables of flowhub_jobs.database.tables.

flowhub runs it by itself (database/engine.py) with a connection of its own. For `alembic revision --autogenerate`
and `alembic check`, name a database: `alembic -x url=sqlite:////tmp/x.db check`.
"""

from alembic import context
from sqlalchemy import Connection, create_engine

from flowhub_jobs.database.tables import metadata, speak_postgresql

speak_postgresql()


def is_of_flowhub(name: str | None, kind: str, _parents: object) -> bool:
    """Return whether autogenerate compares a thing: not the tables of Huey's queue, which Huey describes."""
    return kind != "table" or not (name or "").startswith("wakeup_")


def is_comparable(_thing: object, name: str | None, kind: str, _reflected: bool, _compared_to: object) -> bool:
    """Return whether autogenerate can compare a thing: not an index on an expression, which PostgreSQL rewrites."""
    return kind != "index" or name not in ("ix_jobs_smallest", "ix_jobs_nearly_done")


def run(connection: Connection) -> None:
    # SQLite can alter almost nothing in place: batch mode copies the table.
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        include_name=is_of_flowhub,
        include_object=is_comparable,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.get_x_argument(as_dictionary=True).get("url", "sqlite://")
    engine = create_engine(url)
    with engine.begin() as connection:
        run(connection)
    engine.dispose()
