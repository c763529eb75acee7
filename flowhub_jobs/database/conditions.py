"""Conditions on rows of `jobs`, as SQL that the indexes, SQLAlchemy's queries and the plain ones share."""

# The words are written out: where they are bound parameters, SQLite does not see that a partial index fits.
LIVE = "state IN ('queued', 'running', 'paused')"
