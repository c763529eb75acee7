"""Errors of the database and of rows that cannot be read (exit status 1)."""

from flowhub_jobs.errors.base import FlowhubError


class DatabaseNewer(FlowhubError):
    code = "database_newer"
    default_hint = "Install that version of flowhub on this machine, then start its worker again. Nothing is lost."


class DatabaseUnusable(FlowhubError):
    code = "database_unusable"
    default_hint = "Look whether its disk is full or another program holds it; then try again. Nothing is lost."


class DatabaseReplaced(FlowhubError):
    """The database file that this process opened is no longer the one at its path, or its log was removed."""

    code = "database_replaced"
    retryable = True
    default_hint = "Run the command again. To restore a backup, stop the worker first."


class DatabaseDamaged(DatabaseUnusable):
    """SQLite finds its file malformed."""

    code = "database_damaged"
    default_hint = (
        "Stop the worker and restore a backup, or try `sqlite3 flowhub.db .recover`, or move flowhub.db and "
        "flowhub.db-wal away and start again. Models in the store stay; `flowhub adopt` lists them again."
    )


class JobUnreadable(FlowhubError):
    """A job's row was damaged, or written by a newer version."""

    code = "job_unreadable"
    default_hint = (
        "Queue the model again with {enqueue}; what was kept is used. "
        "If a newer flowhub queued it, run that version's worker."
    )
