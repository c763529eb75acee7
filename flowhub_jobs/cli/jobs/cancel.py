"""cancel: cancels jobs; their partial downloads are kept or deleted."""

from typing import Annotated

import typer

from flowhub_jobs.cli.jobs.steering import steer
from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments
from flowhub_jobs.operations.actions import ELIGIBLE


def cancel(
    jobs: JobArguments = None,
    every: AllLive = False,
    group: Group = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the partial download too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel jobs.

    The partial download is kept for `retry`; --purge deletes it. For failed jobs, --purge only deletes the partial
    download.
    """
    steer(
        "cancel",
        jobs,
        every,
        group,
        ELIGIBLE["cancel"],
        lambda session, job: session.cancel(job, purge=purge),
    )
