"""Values that the workers of a node share, so that only one of them acts: rows in `controls`, by compare-and-set."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.tables import controls
from flowhub_jobs.system import Clock


@dataclass(frozen=True, slots=True)
class ValueVersion:
    """The value as it was read. `version` is the microsecond at which it was set, or a little later."""

    value: Any
    version: int


class SharedValue:
    """One value of a node, in JSON."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock, name: str) -> None:
        self._engine, self._node, self._name, self._clock = engine, node, name, clock

    def read(self) -> ValueVersion | None:
        """Return the value as it stands; None if it was never set."""
        with querying(self._engine) as tx:
            row = tx.execute(sa.select(controls.c.value, controls.c.set_at).where(self._own_row())).first()
        return None if row is None else ValueVersion(row.value, row.set_at)

    def compare_and_set(self, expected: ValueVersion | None, value: Any) -> ValueVersion | None:
        """Set the value unless it has changed since it was read; return the new version, or None: another was first."""
        now_us = self._clock.now_us()
        # The clock may stand still, or be set back: no version is used twice.
        new = ValueVersion(value, now_us if expected is None else max(now_us, expected.version + 1))
        try:
            with writing(self._engine) as tx:
                if expected is None:  # psycopg has no count of what was inserted
                    tx.execute(self._insert(new))
                    return new
                return new if tx.execute(self._update(expected, new)).rowcount == 1 else None
        except sa.exc.IntegrityError:
            return None

    def _insert(self, new: ValueVersion) -> sa.Insert:
        return controls.insert().values(node=self._node, name=self._name, value=new.value, set_at=new.version)

    def _update(self, expected: ValueVersion, new: ValueVersion) -> sa.Update:
        is_unchanged = sa.and_(self._own_row(), controls.c.set_at == expected.version)
        return sa.update(controls).where(is_unchanged).values(value=new.value, set_at=new.version)

    def _own_row(self) -> sa.ColumnElement[bool]:
        return sa.and_(controls.c.node == self._node, controls.c.name == self._name)
