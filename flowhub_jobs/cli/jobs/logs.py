"""logs: prints every event of a job."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs import logs_view
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.job_numbers import job_numbers
from flowhub_jobs.operations.report import read_history
from flowhub_jobs.operations.schemas.jobs import logs_json


def logs(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB…", help="Job numbers and ranges: 12 128-130.")],
    as_json: AsJson = False,
) -> None:
    """Print every event of a job, oldest first."""
    with open_session() as session:
        happened = read_history(session.home, job_numbers(jobs))
    if output.chosen.json:
        output.result_json(logs_json(happened))
        return
    for job, events, attempts in happened:
        output.result("\n".join(logs_view.lines(job, events, attempts, headed=len(happened) > 1)))
