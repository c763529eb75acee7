"""cap: sets or shows the most bytes that this node downloads in a day or month."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.caps import cap_lines, parse_cap, read_cap, set_cap
from flowhub_jobs.operations.schemas.controls import cap_json


def cap(
    size: Annotated[
        str | None, typer.Argument(metavar="[SIZE|off]", help="Bytes in each period: 200G, 500M, off.")
    ] = None,
    per: Annotated[
        str | None,
        typer.Option("--per", metavar="day|month", help="The period, by the local calendar (default month)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Cap downloaded bytes per day or month, or show usage.

    Every byte that jobs receive counts, repeated ones too. Once the cap is reached, jobs wait until the next period.
    """
    if size is None and per is not None:
        raise UsageInvalid("--per needs a size.", hint="`flowhub cap 200G --per month`.")
    new_cap = None if size is None else parse_cap(size, per)
    with open_session() as session:
        if size is not None:
            set_cap(session, new_cap)
        state = read_cap(session)
        if output.chosen.json:
            output.result_json(cap_json(state))
        else:
            for line in cap_lines(state, session.now_us()):
                output.result(output.fold(line))
