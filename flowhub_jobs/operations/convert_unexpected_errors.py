"""Converts an unexpected exception into an error with a code: of the database, of the system, or internal."""

import errno

from flowhub_jobs.errors import DatabaseUnusable, FlowhubError, InternalError, TooManyThreads, UsageInvalid
from flowhub_jobs.fs.disk_errors import too_many_files
from flowhub_jobs.net.redaction import driver_message, scrub


def as_flowhub_error(error: Exception) -> FlowhubError:
    """Return an unexpected exception as an error with an exit status; an error of flowhub as it is."""
    if isinstance(error, FlowhubError):
        return error
    if type(error).__module__.partition(".")[0] in ("sqlite3", "sqlalchemy"):
        return _of_database(error)
    if isinstance(error, UnicodeEncodeError):  # a typed name that no table can hold
        return UsageInvalid(f"{error.object[:200]!r} is not UTF-8 text.", hint="Write the name in UTF-8.")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return too_many_files(f"{scrub(str(error.filename or 'A file'))} cannot be opened")
    if isinstance(error, OSError):
        return FlowhubError(f"{scrub(str(error.filename or 'The system'))}: {error.strerror or error}.")
    if (no_thread := TooManyThreads.of(error)) is not None:
        return no_thread
    hint = f"{InternalError.default_hint} FLOWHUB_DEBUG=1 shows where it happened."
    return InternalError(f"Internal error in flowhub: {type(error).__name__}: {scrub(str(error))[:300]}", hint=hint)


def _of_database(error: Exception) -> DatabaseUnusable:
    from flowhub_jobs.database.postgresql import hint_of, outage_text, sqlstate  # imports SQLAlchemy

    cause = getattr(error, "orig", None)
    hint = hint_of(cause) if cause is not None and sqlstate(cause) else None
    return DatabaseUnusable(f"The database {outage_text(error)}: {driver_message(error)}.", hint=hint)
