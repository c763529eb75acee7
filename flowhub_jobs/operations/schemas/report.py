"""The report as JSON: `flowhub/report/1`."""

from typing import Any

from flowhub_jobs.jobs.report_values import ActionNeeded, CompletedJob, Report
from flowhub_jobs.operations.schemas.plain_json import time_json
from flowhub_jobs.times import rfc3339
from flowhub_jobs.values.jobs import Job


def report_json(report: Report, node: str) -> dict[str, Any]:
    """Return `flowhub/report/1`."""
    totals = report.totals
    return {
        "schema": "flowhub/report/1",
        "node": node,
        "since": rfc3339(report.since),
        "until": rfc3339(report.until),
        "came": [_completed_json(completed) for completed in report.completed],
        "healed": [{"kind": one.kind, "count": one.count, "jobs": list(one.jobs)} for one in report.recoveries],
        "going": [_unfinished_json(job) for job in report.unfinished],
        "needs_you": [_need_json(need) for need in report.needs],
        "totals": {
            "bytes": totals.bytes,
            "bytes_fetched": totals.fetched,
            "bytes_fetched_twice": totals.twice,
            "work_s": round(totals.work_s, 3),
            "rate_bps": totals.rate_bps,
        },
    }


def _completed_json(completed: CompletedJob) -> dict[str, Any]:
    job = completed.job
    return {
        **_job_reference(job),
        "bytes": job.bytes_total,
        "bytes_fetched": job.bytes_fetched,
        "finished_at": time_json(job.finished_at),
        "work_s": None if completed.seconds is None else round(completed.seconds, 3),
        "rate_bps": completed.rate_bps,
        "sha256_state": str(job.sha256_state),
        "target": job.target,
    }


def _unfinished_json(job: Job) -> dict[str, Any]:
    return {
        **_job_reference(job),
        "state": str(job.state),
        "reason": job.reason and str(job.reason),
        "not_before": time_json(job.not_before),
        "bytes_total": job.bytes_total,
        "bytes_done": job.bytes_done,
        "rate_bps": job.rate_bps,
        "eta_s": job.eta_s,
    }


def _need_json(need: ActionNeeded) -> dict[str, Any]:
    which = _job_reference(need.job) if need.job else {"job": None, "ref": None}
    return {**which, "code": need.code, "message": need.message, "hint": need.hint}


def _job_reference(job: Job) -> dict[str, Any]:
    return {"job": job.id, "ref": job.ref}
