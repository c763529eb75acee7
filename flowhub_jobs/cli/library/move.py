"""move: moves installed models to another store."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.library.run_inline import run_or_queue
from flowhub_jobs.cli.options import AsJson, Later
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.library_jobs import LibraryJobs


def move(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Store of config.toml's [stores], or default.")],
    later: Later = False,
    as_json: AsJson = False,
) -> None:
    """Move installed models to another store.

    Copies and verifies every byte, then removes the old files. Placements follow. An interrupted move is continued by
    the next worker.
    """
    with open_session() as session:
        OptionReader(session).store(to)  # raises for a name that is not a store's
        library_jobs = LibraryJobs(session)
        models = library_jobs.installed(refs)
        for model in models:
            if model.store == to:
                output.hint(f"{output.clean(model.name)} is in the store {to} already.")
        run_or_queue(session, library_jobs.move(models, to), "Moving", later)
