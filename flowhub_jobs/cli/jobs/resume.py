"""resume: queues paused jobs again."""

from flowhub_jobs.cli.jobs.steering import steer
from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments
from flowhub_jobs.operations.actions import ELIGIBLE


def resume(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Resume paused jobs.

    A start time set by --at is kept.
    """
    steer("resume", jobs, every, group, ELIGIBLE["resume"], lambda session, job: session.requeue(job, "resume"))
