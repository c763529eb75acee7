"""Conditions on rows of `jobs` as SQL, shared by the indexes, SQLAlchemy's queries and the plain SQL ones."""

# The words are written out: where they are bound parameters, SQLite does not see that a partial index fits.
LIVE = "state IN ('queued', 'running', 'paused')"

# The orders of `queue_order` within one priority (jobs/claims.py), each the expression of an index. Numbers are written
# out for the same reason. A job of unknown size comes last.
_LAST = "9223372036854775807"
SMALLEST = f"coalesce(bytes_total, {_LAST})"
# The bytes that are left of a job that has kept some; one that has kept none comes after all of those.
LEFT_OF_BEGUN = f"CASE WHEN bytes_done > 0 THEN coalesce(bytes_total - bytes_done, {_LAST}) ELSE {_LAST} END"
