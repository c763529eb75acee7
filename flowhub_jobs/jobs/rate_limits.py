"""The speed limit of all jobs of a node, and its origin; the number of jobs that each worker runs."""

from collections import Counter
from dataclasses import dataclass, replace

from flowhub_jobs.database.lazy import Database
from flowhub_jobs.jobs.controls import Controls, ControlsInForce
from flowhub_jobs.jobs.shared_select_sql import IS_LIVE

LIMIT = "limit"  # in `controls`: {"rate_bps": bytes a second}
_RUNNING = (
    "SELECT lease_worker, count(*) AS running FROM jobs "  # noqa: S608, fixed text
    f"WHERE node = :node AND {IS_LIVE} AND state = 'running' GROUP BY lease_worker"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes a second for all jobs together, by `limit`, by the schedule, by the setting; None: it sets no limit.

    `until` is when the one of `limit` ends by itself, in microseconds.
    """

    limit: int | None = None
    until: int | None = None
    schedule: int | None = None
    setting: int | None = None
    jobs_max: int | None = None  # how many jobs may run at a time on the node

    @property
    def lowest(self) -> str | None:
        """Return the name of the limit in force: the lowest; None where there is none."""
        rates = {name: rate for name in ("limit", "schedule", "setting") if (rate := getattr(self, name)) is not None}
        return min(rates, key=lambda name: rates[name]) if rates else None

    @property
    def rate_bps(self) -> int | None:
        return getattr(self, self.lowest) if self.lowest else None


def limits(controls: Controls, schedule_bps: int | None, setting_bps: int | None) -> Limits:
    """Return what is in force now; `schedule_bps` is what the gates say."""
    return limits_of(controls.in_force(LIMIT), schedule_bps, setting_bps)


def limits_of(in_force: ControlsInForce, schedule_bps: int | None, setting_bps: int | None) -> Limits:
    """Return the same from what `Controls.in_force` returned for LIMIT, and perhaps for other names."""
    value, until = in_force.get(LIMIT, ({}, None))
    return Limits(value.get("rate_bps"), until, schedule_bps, setting_bps)


def limits_with_jobs(controls: Controls, schedule_bps: int | None, setting_bps: int | None) -> Limits:
    """Return the same, with the number of jobs at a time."""
    return replace(limits(controls, schedule_bps, setting_bps), jobs_max=controls.jobs_max())


def running_jobs_by_worker(database: Database, node: str) -> Counter[str]:
    """Return how many jobs each worker of the node runs."""
    with database.reading() as snapshot:
        return Counter({row["lease_worker"]: row["running"] for row in snapshot.rows(_RUNNING, node=node)})
