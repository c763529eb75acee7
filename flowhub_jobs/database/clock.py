"""The time that several machines compare: PostgreSQL's own clock, because the clocks of machines differ."""

import sqlalchemy as sa

from flowhub_jobs.database.lazy import POSTGRESQL_NOW

# clock_timestamp() moves within a transaction; now() is its begin.
_POSTGRESQL_NOW = sa.literal_column(POSTGRESQL_NOW, sa.BigInteger)


def shared_now_us(tx: sa.Connection, now: int) -> int | sa.ColumnElement[int]:
    """Return the time to write into a row: on PostgreSQL SQL for its microseconds since 1970, on SQLite `now`."""
    return _POSTGRESQL_NOW if tx.dialect.name == "postgresql" else now
