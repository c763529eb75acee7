"""Installed models and options for a list that marks them, read without importing SQLAlchemy.

A search answers in a tenth of a second; the import of SQLAlchemy alone takes longer.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from flowhub_jobs.store.layout import Store
from flowhub_jobs.values.sqlite_url import sqlite_file

OptionKey = tuple[str, str]  # model and option


def installed_options(database_url: str, node: str | None, store: Path) -> frozenset[OptionKey] | None:
    """Return the options that `node` installed and that are still in the store; None if they cannot be read.

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
                "WHERE node = ? AND store_id IN (?, '') AND model IS NOT NULL"
            )
            rows = connection.execute(query, (node, Store(store).identity())).fetchall()
    except sqlite3.Error:
        return None
    return frozenset((model, option) for model, option, name in rows if os.path.lexists(store / name))
