"""Limit, schedule and cap as JSON: `flowhub/limit/1`, `flowhub/schedule/1`, `flowhub/cap/1`."""

from typing import TYPE_CHECKING, Any

from flowhub_jobs.jobs.rate_limits import Limits
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.operations.schemas.plain_json import time_json
from flowhub_jobs.times import known_moment, moment

if TYPE_CHECKING:
    from flowhub_jobs.operations.caps import CapState

_NO_WINDOWS: dict[str, Any] = {"windows": [], "days": [], "rate_bps": None}


def limit_json(limits: Limits) -> dict[str, Any]:
    """Return `flowhub/limit/1`; null is no limit. `rules` names the limit that applies: limit, schedule or setting."""
    return {
        "schema": "flowhub/limit/1",
        "rate_bps": limits.rate_bps,
        "rules": limits.lowest,
        "limit_bps": limits.limit,
        "until": time_json(known_moment(limits.until)) if limits.until else None,
        "schedule_bps": limits.schedule,
        "setting_bps": limits.setting,
        "jobs": limits.jobs_max,
    }


def schedule_json(schedule: Schedule | None, now: int) -> dict[str, Any]:
    """Return `flowhub/schedule/1` at `now` (microseconds). Without a schedule it is open.

    `outside_bps` null means that no job runs outside the windows, `rate_bps` null that windows have no limit. `more`
    has the windows from number 2 on.
    """
    windows = schedule.as_json() if schedule else {**_NO_WINDOWS, "outside_bps": None, "more": []}
    return {
        "schema": "flowhub/schedule/1",
        **windows,
        "open": schedule is None or schedule.is_open(now),
        "next_change": time_json(moment(schedule.next_change(now))) if schedule else None,
    }


def cap_json(state: "CapState") -> dict[str, Any]:
    """Return `flowhub/cap/1`; null is no cap. `received_bytes` is of the cap's period, which ends at `turns_at`."""
    use = state.use
    return {
        "schema": "flowhub/cap/1",
        "cap_bytes": use.cap.bytes if use else None,
        "per": use.cap.per if use else None,
        "received_bytes": use.received if use else None,
        "left_bytes": use.left if use else None,
        "turns_at": time_json(known_moment(use.turns_at)) if use else None,
        "day_bytes": state.day,
        "month_bytes": state.month,
    }
