"""The question that a person really has: why is it not moving, and what do I do?"""

from datetime import datetime

from flowhub_jobs.hub.desk import Desk
from flowhub_jobs.records import Job, Reason, State
from flowhub_jobs.times import clock_time
from flowhub_jobs.words import format_duration, format_rate

_REASONS = {
    Reason.AT: "It was queued for later.",
    Reason.WINDOW: "It waits for the schedule's window.",
    Reason.AFTER: "It waits for another job to end.",
    Reason.STORE_OFFLINE: "The store's disk is not there.",
    Reason.DISK: "There is not enough room on the store's disk.",
    Reason.NETWORK: "This machine is offline.",
    Reason.HOST_WAIT: "The host asked to be left alone for a while.",
    Reason.BACKOFF: "The last try failed; it is tried again by itself.",
    Reason.SLOTS: "Every worker is busy with other jobs; it starts when one of them ends.",
}
_NEXT = {
    Reason.AT: "`flowhub cancel` and enqueue it again without a time to start it now.",
    Reason.STORE_OFFLINE: "Mount the disk; the job goes on by itself.",
    Reason.DISK: "Free some space (`flowhub list`, `flowhub rm`); the job goes on by itself.",
    Reason.SLOTS: "`flowhub worker --jobs N` runs more at a time.",
}


def why_not_moving(desk: Desk, job: Job, now: datetime) -> list[str]:
    """Return the answer in at most four lines; for a job that moves, how fast."""
    if job.state is State.QUEUED:
        return _why_queued(desk, job, now)
    if job.state is State.RUNNING:
        return _why_running(desk, job)
    if job.state is State.FAILED and job.error:
        return [job.error["message"], job.error["hint"] or f"`flowhub retry {job.id}` queues it again."]
    if job.state is State.PAUSED:
        return [f"`flowhub resume {job.id}` lets it go on."]
    if job.state is State.CANCELLED:
        kept = " and goes on with what was kept" if job.bytes_done else ""
        return [f"`flowhub retry {job.id}` queues it again{kept}."]
    return [f"It is installed: {job.target}"]


def _why_queued(desk: Desk, job: Job, now: datetime) -> list[str]:
    lines = []
    if job.reason is not None:
        lines.append(_REASONS[job.reason])
        said = desk.home.reports.wait_text(job.id)
        if said and job.reason is not Reason.SLOTS:
            lines.append(said)
        if job.not_before is not None and job.not_before > now:
            left = format_duration((job.not_before - now).total_seconds())
            lines.append(f"Next try at {clock_time(job.not_before, now)}, in {left}.")
        if next_step := _NEXT.get(job.reason):
            lines.append(next_step)
    if not desk.home.living_workers():
        lines.append("No worker is running; start one with `flowhub worker`.")
    elif not lines:
        lines.append("A worker is about to take it.")
    return lines


def _why_running(desk: Desk, job: Job) -> list[str]:
    if not desk.home.living_workers():
        return ["Its worker is gone. The next one goes on where it stopped: `flowhub worker`."]
    if job.rate_bps:
        left = f", {format_duration(job.eta_s)} left" if job.eta_s else ""
        return [f"It moves: {format_rate(job.rate_bps)}{left}."]
    last = desk.home.reports.events(job.id)[-1:]
    return [event.text for event in last if event.kind in ("fault", "again", "healed")] or ["It is at work."]
