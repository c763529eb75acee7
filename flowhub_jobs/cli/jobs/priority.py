"""priority: changes the order in which queued jobs start."""

from typing import Annotated

import typer

from flowhub_jobs.cli.jobs.steering import steer
from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments
from flowhub_jobs.jobs.enqueue_rows import checked_priority
from flowhub_jobs.values.enums import LIVE_STATES


def priority(
    number: Annotated[int, typer.Argument(metavar="N", help="Higher starts first (default 0).")],
    jobs: JobArguments = None,
    every: AllLive = False,
    group: Group = None,
    as_json: AsJson = False,
) -> None:
    """Change the priority of jobs.

    Running jobs continue; queued jobs start in the new order.
    """
    new_priority = checked_priority(number)
    steer(
        "priority",
        jobs,
        every,
        group,
        LIVE_STATES,
        lambda session, job: session.set_priority(job, new_priority),
    )
