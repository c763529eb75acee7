"""How fast all jobs of a node may be together, by whose word; and how many of them each worker runs."""

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import is_live, jobs
from flowhub_jobs.jobs.controls import Controls
from flowhub_jobs.kinds import State

LIMIT = "limit"  # in `controls`: {"rate_bps": bytes a second}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes a second for all jobs together, by `limit`, by the schedule, by the setting; None: it sets no limit.

    `until` is when the one of `limit` ends by itself, in microseconds.
    """

    limit: int | None = None
    until: int | None = None
    schedule: int | None = None
    setting: int | None = None

    @property
    def rules(self) -> str | None:
        """Return which one is obeyed: the lowest; None where there is none."""
        found = {name: rate for name in ("limit", "schedule", "setting") if (rate := getattr(self, name)) is not None}
        return min(found, key=lambda name: found[name]) if found else None

    @property
    def rate_bps(self) -> int | None:
        return getattr(self, self.rules) if self.rules else None


def limits(controls: Controls, schedule_bps: int | None, setting_bps: int | None) -> Limits:
    """Return what is in force now; `schedule_bps` is what the gates say."""
    found, until = controls.get(LIMIT) or ({}, None)
    return Limits(found.get("rate_bps"), until, schedule_bps, setting_bps)


def running(engine: sa.Engine, node: str) -> Counter[str]:
    """Return how many jobs each worker of the node runs."""
    mine = (jobs.c.node == node, is_live, jobs.c.state == State.RUNNING)
    counted = sa.select(jobs.c.lease_worker, sa.func.count()).where(*mine).group_by(jobs.c.lease_worker)
    with reading(engine) as tx:
        return Counter({row[0]: row[1] for row in tx.execute(counted)})
