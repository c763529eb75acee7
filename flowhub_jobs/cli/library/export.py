"""export: copies installed models to a folder, for another machine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flowhub_jobs.cli.library.run_inline import run_or_queue
from flowhub_jobs.cli.options import AsJson, Later
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.operations.session import Session


def export(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")],
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="Target folder.")],
    later: Later = False,
    as_json: AsJson = False,
) -> None:
    """Copy installed models to a folder, for another machine.

    Writes a manifest with their digests. `flowhub import DIR` imports them on another machine.
    """
    folder = Path(to).expanduser().absolute()
    with open_session() as session:
        library_jobs = LibraryJobs(session)
        _check_target(session, folder)
        run_or_queue(session, library_jobs.export(library_jobs.installed(refs), folder), "Exporting", later)


def _check_target(session: Session, folder: Any) -> None:
    if any(folder.is_relative_to(home.store.root) for home in session.home.each_store()):
        raise UsageInvalid(f"{folder} is inside the store.", hint="Export to a folder elsewhere.")
    if folder.exists() and not folder.is_dir():
        raise UsageInvalid(f"{folder} is not a folder.", hint="Name a folder; it is created if it does not exist.")
