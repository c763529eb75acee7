"""unplace: removes models from the folders of other programs."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.placement import rows_of
from flowhub_jobs.operations.placement import unplace as remove
from flowhub_jobs.operations.schemas.placements import unplaced_json


def unplace(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub placements`.")],
    program: Annotated[str | None, typer.Option("--in", metavar="APP", help="Only in this program.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove models from folders of other programs.

    The models stay installed. Files that the program made or changed stay as well.
    """
    with open_session() as session:
        removed = remove(session, rows_of(session, refs, program))
    if output.chosen.json:
        output.result_json(unplaced_json(removed))
        return
    for one in removed:
        output.result(output.fold(output.clean(f"Removed {one.name} from {one.app}: {one.path}."), after="  "))
