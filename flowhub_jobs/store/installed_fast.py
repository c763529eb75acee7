"""Which models are installed, for a list that marks them: read from the library without SQLAlchemy's import.

A search answers in a tenth of a second; to import SQLAlchemy alone takes more than that.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

from flowhub_jobs.store.layout import Store

_SQLITE = "sqlite:///"
Mark = tuple[str, str]  # model and option


def installed_marks(database_url: str, node: str | None, store: Path) -> frozenset[Mark] | None:
    """Return what `node` has installed and still lies in the store; None where this way of reading cannot tell.

    That is so with PostgreSQL, and with a database that is damaged or of another version.
    """
    if not database_url.startswith(_SQLITE):
        return None
    path = Path(unquote(database_url.removeprefix(_SQLITE)))
    if node is None or not path.exists():
        return frozenset()  # nothing was ever installed here
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)) as connection:
            asked = (
                'SELECT model, "option", name FROM artifacts '
                "WHERE node = ? AND store_id IN (?, '') AND model IS NOT NULL"
            )
            rows = connection.execute(asked, (node, Store(store).identity())).fetchall()
    except sqlite3.Error:
        return None
    return frozenset((model, option) for model, option, name in rows if os.path.lexists(store / name))
