"""resume: queues paused jobs again."""

from flowhub_jobs.cli.jobs.steering import steer
from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments


def resume(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Resume paused jobs.

    A start time set by --at is kept.
    """
    steer("resume", jobs, every, group, ("paused",), lambda session, job: session.again(job, "resume"))
