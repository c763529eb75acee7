"""Installed models and options, for lists that mark them, read without importing SQLAlchemy.

A search answers in a tenth of a second; the import of SQLAlchemy alone takes longer.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote

from flowhub_jobs.store.layout import Store
from flowhub_jobs.values.sqlite_url import sqlite_file
from flowhub_jobs.values.store_settings import DEFAULT_STORE

OptionKey = tuple[str, str]  # model and option


def installed_options(database_url: str, node: str | None, stores: Sequence[Store]) -> frozenset[OptionKey] | None:
    """Return the options that `node` installed and that are still in one of the stores; None if they cannot be read.

    It cannot read PostgreSQL, a damaged database, or one of another version.
    """
    if (path := sqlite_file(database_url)) is None:
        return None
    if node is None or not path.exists():
        return frozenset()  # nothing was ever installed here
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)) as connection:
            query = (
                'SELECT model, "option", name FROM artifacts '
                "WHERE node = ? AND store_id IN (?, ?) AND model IS NOT NULL"
            )
            rows = []
            for store in stores:
                identity = store.identity()
                unknown = "" if store.name == DEFAULT_STORE else identity
                rows += [(store.root, *row) for row in connection.execute(query, (node, identity, unknown))]
    except sqlite3.Error:
        return None
    return frozenset((model, option) for root, model, option, name in rows if os.path.lexists(root / name))
