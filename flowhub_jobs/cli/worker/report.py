"""report: shows downloads, recoveries and problems of the last night."""

from datetime import datetime
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson, OfNode
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.cli.worker import report_view
from flowhub_jobs.operations.report import read_report, report_begins
from flowhub_jobs.operations.schemas.report import report_json

LAST_NIGHT = "last-night"


def report(
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="T", help="Start of the report: last-night (18:00 yesterday), 12h, 22:00, RFC 3339."
        ),
    ] = LAST_NIGHT,
    node: OfNode = None,
    as_json: AsJson = False,
) -> None:
    """Show what was downloaded, what recovered, what needs you."""
    begin = report_begins(since, datetime.now().astimezone())
    with open_session(node) as session:
        report = read_report(session.home, begin)
        if output.chosen.json:
            output.result_json(report_json(report, node or session.node))
        else:
            output.result("\n".join(report_view.lines(report, nodes=len(session.home.nodes) > 1)))
