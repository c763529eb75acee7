"""limit: sets or shows the speed limit of all jobs together."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.limits import check_limit, in_force, limit_lines, parse_jobs_max, set_jobs_max, set_limit
from flowhub_jobs.operations.schemas.controls import limit_json


def limit(
    rate: Annotated[str | None, typer.Argument(metavar="[RATE|off]", help="Bytes a second: 500K, 5M, off.")] = None,
    span: Annotated[str | None, typer.Option("--for", metavar="TIME", help="Duration or end: 2h, 90m, 07:00.")] = None,
    jobs: Annotated[
        str | None, typer.Option("--jobs", metavar="N|off", help="Jobs at a time on this node, under all workers.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Limit the speed of all jobs together, or show the limit.

    Applies to running jobs within a second. The lowest of this limit, the schedule's and config.toml's applies.
    """
    check_limit(rate, span)
    most = None if jobs is None else parse_jobs_max(jobs)
    with open_session() as session:
        if rate is not None:
            set_limit(session, rate, span)
        if jobs is not None:
            set_jobs_max(session, most)
        limits = in_force(session)
        if output.chosen.json:
            output.result_json(limit_json(limits))
        else:
            for line in limit_lines(limits, session.now_us()):
                output.result(line)
