"""Records the mirrors that sent wrong bytes: a node does not use them for a day."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.postgresql import is_outage
from flowhub_jobs.database.tables import refused_mirrors
from flowhub_jobs.system import Clock

REFUSED_US = 86_400_000_000


class RefusedMirrors:
    """The refused mirrors of one node, by their URL prefixes."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    def current(self) -> frozenset[str]:
        """Return the mirrors that are not asked now."""
        now_us = self._clock.now_us()
        # A later end than a day from now was written before the clock was set back.
        where = refused_mirrors.c.node == self._node, refused_mirrors.c.until.between(now_us + 1, now_us + REFUSED_US)
        with querying(self._engine) as tx:
            return frozenset(tx.execute(sa.select(refused_mirrors.c.mirror).where(*where)).scalars())

    def refuse(self, mirrors: Iterable[str]) -> bool:
        """Refuse these mirrors for a day; return whether the database took it: it may not answer for now."""
        until_us = self._clock.now_us() + REFUSED_US
        rows = [{"node": self._node, "mirror": mirror, "until": until_us} for mirror in mirrors]
        same = refused_mirrors.c.node == self._node, refused_mirrors.c.mirror.in_([row["mirror"] for row in rows])
        try:
            with writing(self._engine) as tx:
                tx.execute(sa.delete(refused_mirrors).where(*same))
                tx.execute(refused_mirrors.insert(), rows)
        except SQLAlchemyError as error:
            if not is_outage(error):
                raise
            return False
        return True
