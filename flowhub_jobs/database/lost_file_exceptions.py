"""The errors of a lost database file, which are errors of SQLAlchemy as well."""

import sqlalchemy as sa

from flowhub_jobs.errors import DatabaseDamaged, DatabaseReplaced

# So that a run whose end cannot be written handles them like any other failure of the database.
# Both bases have a `code`: FlowhubError's comes first.


class Replaced(DatabaseReplaced, sa.exc.SQLAlchemyError):  # type: ignore[misc]
    def __str__(self) -> str:
        return self.message

    def again(self) -> "Replaced":
        """Return a fresh one for another thread: a traceback grows with each raise."""
        return Replaced(self.message, hint=self.hint)


class Damaged(DatabaseDamaged, sa.exc.SQLAlchemyError):  # type: ignore[misc]
    def __str__(self) -> str:
        return self.message

    def again(self) -> "Damaged":
        return Damaged(self.message, hint=self.hint)
