"""The speed limit and the schedule as JSON: `flowhub/limit/1`, `flowhub/schedule/1`."""

from typing import Any

from flowhub_jobs.jobs.rate_limits import Limits
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.operations.schemas.plain_json import time_json
from flowhub_jobs.times import known_moment, moment


def limit_json(limits: Limits) -> dict[str, Any]:
    """Return `flowhub/limit/1`; null is no limit. `rules` names the limit that applies: limit, schedule or setting."""
    return {
        "schema": "flowhub/limit/1",
        "rate_bps": limits.rate_bps,
        "rules": limits.rules,
        "limit_bps": limits.limit,
        "until": time_json(known_moment(limits.until)) if limits.until else None,
        "schedule_bps": limits.schedule,
        "setting_bps": limits.setting,
    }


def schedule_json(schedule: Schedule | None, now: int) -> dict[str, Any]:
    """Return `flowhub/schedule/1` at `now` (microseconds). Without a schedule it is open.

    `outside_bps` null means that no job runs outside the windows.
    """
    windows = schedule.as_json() if schedule else {"windows": [], "days": [], "outside_bps": None, "more": []}
    return {
        "schema": "flowhub/schedule/1",
        **windows,
        "open": schedule is None or schedule.is_open(now),
        "next_change": time_json(moment(schedule.next_change(now))) if schedule else None,
    }
