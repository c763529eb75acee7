"""Conditions on rows of `jobs`, as SQL that the indexes, SQLAlchemy's queries and the plain ones share."""

# The words are written out: where they are bound parameters, SQLite does not see that a partial index fits.
LIVE = "state IN ('queued', 'running', 'paused')"
# In `jobs.node` of a job that no node has taken yet; no node has this name.
ANY_NODE = "*"
