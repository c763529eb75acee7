"""The morning report as JSON: `flowhub/report/1`."""

from datetime import datetime
from typing import Any

from flowhub_jobs.jobs.report import ActionNeeded, CompletedJob, Report
from flowhub_jobs.times import rfc3339
from flowhub_jobs.values.jobs import Job


def page(morning: Report, node: str) -> dict[str, Any]:
    """Return the report. Bytes, seconds, bytes a second; all keys always, unknown is null."""
    totals = morning.totals
    return {
        "schema": "flowhub/report/1",
        "node": node,
        "since": rfc3339(morning.since),
        "until": rfc3339(morning.until),
        "came": [_came_object(came) for came in morning.came],
        "healed": [{"kind": one.kind, "count": one.count, "jobs": list(one.jobs)} for one in morning.recoveries],
        "going": [_going_object(job) for job in morning.going],
        "needs_you": [_need_object(need) for need in morning.needs],
        "totals": {
            "bytes": totals.bytes,
            "bytes_fetched": totals.fetched,
            "bytes_fetched_twice": totals.twice,
            "work_s": round(totals.work_s, 3),
            "rate_bps": totals.rate_bps,
        },
    }


def _came_object(came: CompletedJob) -> dict[str, Any]:
    job = came.job
    return {
        **_which(job),
        "bytes": job.bytes_total,
        "bytes_fetched": job.bytes_fetched,
        "finished_at": _time(job.finished_at),
        "work_s": None if came.seconds is None else round(came.seconds, 3),
        "rate_bps": came.rate_bps,
        "sha256_state": str(job.sha256_state),
        "target": job.target,
    }


def _going_object(job: Job) -> dict[str, Any]:
    return {
        **_which(job),
        "state": str(job.state),
        "reason": job.reason and str(job.reason),
        "not_before": _time(job.not_before),
        "bytes_total": job.bytes_total,
        "bytes_done": job.bytes_done,
        "rate_bps": job.rate_bps,
        "eta_s": job.eta_s,
    }


def _need_object(need: ActionNeeded) -> dict[str, Any]:
    which = _which(need.job) if need.job else {"job": None, "ref": None}
    return {**which, "code": need.code, "message": need.message, "hint": need.hint}


def _which(job: Job) -> dict[str, Any]:
    return {"job": job.id, "ref": job.ref}


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
