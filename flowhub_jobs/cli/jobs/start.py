"""start: starts jobs without waiting for their time or the schedule."""

from flowhub_jobs.cli.jobs.steering import steer
from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments
from flowhub_jobs.operations.actions import ELIGIBLE


def start(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Start jobs now, whatever --at or the schedule says.

    A started job still waits for the jobs in --after, for disk space and for the network.
    """
    steer("start", jobs, every, group, ELIGIBLE["start"], lambda session, job: session.requeue(job, "start"))
