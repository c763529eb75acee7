"""pause: pauses jobs until they are resumed."""

from flowhub_jobs.cli.jobs.steering import steer
from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments
from flowhub_jobs.operations.actions import ELIGIBLE


def pause(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Pause jobs until `resume`.

    The partial download is kept. A resumed job continues where it stopped.
    """
    steer(
        "pause",
        jobs,
        every,
        group,
        ELIGIBLE["pause"],
        lambda session, job: session.pause(job),
    )
