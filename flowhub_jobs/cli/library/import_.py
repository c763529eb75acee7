"""import: takes in models from a folder that `export` filled."""

from pathlib import Path
from typing import Annotated

import typer

from flowhub_jobs.cli.library.run_inline import run_or_queue
from flowhub_jobs.cli.options import AsJson, Later
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.library_jobs import LibraryJobs


def import_models(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder made by `flowhub export`.")],
    refs: Annotated[list[str] | None, typer.Argument(metavar="REF…", help="Only these models of the folder.")] = None,
    later: Later = False,
    as_json: AsJson = False,
) -> None:
    """Import models from a folder made by `export`.

    The models are verified while they are copied.
    """
    with open_session() as session:
        numbers = LibraryJobs(session).import_models(Path(folder).expanduser().absolute(), refs or [])
        run_or_queue(session, numbers, "Importing", later)
