"""The log of a database outage: each kind of error once and again after five minutes, then the end."""

import logging

import psycopg
import sqlalchemy as sa

from flowhub_jobs.worker.database_outage_log import REPEAT_S, DatabaseOutage

GONE = psycopg.OperationalError("the connection is lost")
READ_ONLY = psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE")
FULL = psycopg.errors.DiskFull("could not extend file")


def failure(cause: psycopg.Error) -> sa.exc.DBAPIError:
    return sa.exc.DBAPIError("UPDATE", {}, cause)


def test_errors_that_alternate_are_logged_once_each(caplog):
    caplog.set_level(logging.INFO, "flowhub.worker")
    outage = DatabaseOutage(lambda: 100.0)
    for _ in range(3):
        for cause in (GONE, READ_ONLY, FULL):
            outage.failed(failure(cause))
    assert [line.partition(";")[0] for line in caplog.messages] == [
        "The database does not answer",
        "The database is read-only",
        "The database has no space left on its disk",
    ]


def test_an_outage_that_lasts_is_logged_again_and_so_is_its_end_and_the_next_one(caplog):
    caplog.set_level(logging.INFO, "flowhub.worker")
    now = 100.0
    outage = DatabaseOutage(lambda: now)
    outage.failed(failure(GONE))
    now += REPEAT_S
    outage.failed(failure(GONE))
    outage.answered()
    outage.answered()
    outage.failed(failure(GONE))
    assert [line.partition(";")[0] for line in caplog.messages] == [
        "The database does not answer",
        "The database does not answer (for 5 min)",
        "The database answers again after 5 min.",
        "The database does not answer",
    ]
