"""The errors of a database that a process may no longer use: replaced, damaged, newer. SQLAlchemy's errors as well."""

import sqlalchemy as sa

from flowhub_jobs import __version__
from flowhub_jobs.database.newest_migration import HEAD
from flowhub_jobs.errors import DatabaseDamaged, DatabaseNewer, DatabaseReplaced

# So that a run whose end cannot be written handles them like any other failure of the database.
# Both bases have a `code`: FlowhubError's comes first.


class Replaced(DatabaseReplaced, sa.exc.SQLAlchemyError):  # type: ignore[misc]
    def __str__(self) -> str:
        return self.message

    def fresh_copy(self) -> "Replaced":
        """Return a fresh one for another thread: a traceback grows with each raise."""
        return Replaced(self.message, hint=self.hint)


class Damaged(DatabaseDamaged, sa.exc.SQLAlchemyError):  # type: ignore[misc]
    def __str__(self) -> str:
        return self.message

    def fresh_copy(self) -> "Damaged":
        return Damaged(self.message, hint=self.hint)


class Newer(DatabaseNewer, sa.exc.SQLAlchemyError):  # type: ignore[misc]
    def __init__(self, revision: str) -> None:
        super().__init__(
            f"A newer flowhub has migrated the database: its schema is {revision}, "
            f"and flowhub {__version__} knows schemas up to {HEAD}."
        )
        self.revision = revision

    def __str__(self) -> str:
        return self.message

    def fresh_copy(self) -> "Newer":
        return Newer(self.revision)
