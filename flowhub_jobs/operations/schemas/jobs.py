"""Jobs as JSON: `flowhub/jobs/1`, `flowhub/plan/1`, `flowhub/logs/1`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flowhub_jobs.operations.schemas.plain_json import fields_json
from flowhub_jobs.times import moment, rfc3339
from flowhub_jobs.values.jobs import ANY_NODE, Event, Job

if TYPE_CHECKING:
    from flowhub_jobs.device.fit import Verdict
    from flowhub_jobs.jobs.attempts_and_events import Attempt
    from flowhub_jobs.operations.enqueue_plan import EnqueuePlan
    from flowhub_jobs.operations.forecast import Forecast

_JOB = [
    "id",
    "ref",
    "model",
    "option",
    "format",
    "node",
    "state",
    "stage",
    "reason",
    "priority",
    "group",
    "attempt",
    "bytes_total",
    "bytes_done",
    "bytes_fetched",
    "rate_bps",
    "eta_s",
    "not_before",
    "sha256_state",
    "target",
    "files",
    "created_at",
    "started_at",
    "finished_at",
    "error",
    "kind",
    "wait",
    "limit_bps",
    "sources",
    "store",
]
_NESTED = {
    "files": ("path", "bytes", "bytes_done", "sha256"),
    "wait": ("message", "code", "host"),
    "sources": ("origin", "bytes"),
}


def jobs_json(jobs: Iterable[Job]) -> dict[str, Any]:
    return {"schema": "flowhub/jobs/1", "jobs": [job_json(job) for job in jobs]}


def job_json(job: Job) -> dict[str, Any]:
    """Return a job; its node and its target are null until a node has taken it."""
    unplaced = {"node": None, "target": None} if job.node == ANY_NODE else {}
    return fields_json(job, _JOB, _NESTED) | unplaced


def job_with_events_json(job: Job, events: Iterable[Event]) -> dict[str, Any]:
    """Return `flowhub/jobs/1` of one job, with all that happened to it."""
    return {"schema": "flowhub/jobs/1", "jobs": [job_json(job) | {"events": events_json(events)}]}


def events_json(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [fields_json(event, ("at", "kind", "text", "code")) for event in events]


def overview_json(
    live: Iterable[Job], need_user: Iterable[Job], *, workers: int, models: int, size: int, store: str
) -> dict[str, Any]:
    """Return `flowhub/jobs/1` of bare `flowhub`: live jobs, workers, and the models of the store (`size` bytes)."""
    installed = {"models": models, "bytes": size, "store": store}
    return jobs_json(live) | {"workers": workers, "installed": installed, "need_you": [job.id for job in need_user]}


def plan_json(plans: "Iterable[tuple[EnqueuePlan, Verdict]]", forecast: "Forecast") -> dict[str, Any]:
    """Return `flowhub/plan/1`; `done_at` and `usual_bps` are null if unknown."""
    room, done = forecast.room, moment(forecast.done_at)
    return {
        "schema": "flowhub/plan/1",
        "plan": [_plan_item_json(plan, verdict) for plan, verdict in plans],
        "disk": {
            "free_bytes": room.free,
            "reserve_bytes": room.reserve,
            "needed_bytes": forecast.to_fetch,
            "queued_bytes": forecast.queued,
            "free_after_bytes": forecast.free_after,
        },
        "usual_bps": forecast.usual_bps,
        "done_at": rfc3339(done) if done else None,
    }


def _plan_item_json(plan: "EnqueuePlan", verdict: "Verdict") -> dict[str, Any]:
    return {
        "ref": plan.artifact.ref,
        "model": plan.artifact.model,
        "option": plan.artifact.option,
        "action": plan.action,
        "job": plan.job,
        "target": str(plan.target),
        "bytes_total": plan.size,
        "bytes_done": plan.kept,
        "bytes_to_fetch": plan.to_fetch,
        "fit": str(verdict.fit),
        "why": verdict.why,
    }


def logs_json(histories: "Sequence[tuple[Job, Sequence[Event], Sequence[Attempt]]]") -> dict[str, Any]:
    """Return `flowhub/logs/1`: each job with its attempts and all its events, oldest first."""
    return {
        "schema": "flowhub/logs/1",
        "jobs": [
            {
                "id": job.id,
                "ref": job.ref,
                "state": str(job.state),
                "attempts": [_attempt_json(attempt) for attempt in attempts],
                "events": events_json(events),
            }
            for job, events, attempts in histories
        ],
    }


def _attempt_json(attempt: "Attempt") -> dict[str, Any]:
    names = ("worker", "started_at", "finished_at", "outcome")
    return {"attempt": attempt.number} | fields_json(attempt, names)
