"""sqlite_file: the database file of a URL, as SQLAlchemy reads it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from flowhub_jobs.values.sqlite_url import sqlite_file


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////home/me/flowhub.db",
        "sqlite:///flowhub.db",
        "sqlite:////home/50%25 off%3F/flowhub.db",
        "sqlite:////home/me/flowhub.db?timeout=3",
        "sqlite:////home/Käthe/flow hub.db",
    ],
)
def test_the_file_of_a_url_is_the_one_that_sqlalchemy_opens(url):
    assert sqlite_file(url) == Path(sa.make_url(url).database or "")


@pytest.mark.parametrize("url", ["postgresql://db/flowhub", "sqlite://", "sqlite:///", "sqlite:///:memory:", ""])
def test_other_databases_have_no_file(url):
    assert sqlite_file(url) is None
