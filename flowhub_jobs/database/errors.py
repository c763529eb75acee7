"""The errors of a database file that is lost, as those who handle a failing database see them, too."""

import sqlalchemy as sa

from flowhub_jobs.errors import DatabaseDamaged, DatabaseReplaced

# Both are also errors of SQLAlchemy: a run whose end cannot be written handles them like any other of those.
# Of `code`, which both have, ours is used.


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
