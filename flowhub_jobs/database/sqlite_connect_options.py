"""Options that every connection to a SQLite file has, whether SQLAlchemy or the `sqlite3` module opens it."""

from functools import partial

BUSY_TIMEOUT_S = 30
# SQLite does not check what is stored as text: bytes that are no UTF-8 must not end a query of other rows.
as_text = partial(str, encoding="utf-8", errors="surrogateescape")
