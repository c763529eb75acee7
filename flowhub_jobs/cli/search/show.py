"""show: shows one model, its variants, and whether they run here."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.search.show_view import print_details
from flowhub_jobs.cli.session import open_session, warn_of_catalog
from flowhub_jobs.operations.schemas.search import model_json
from flowhub_jobs.operations.search.model_details import model_details

_REF = "model, model@option, hf:owner/repo, or a name from `flowhub list`."


def show(ref: Annotated[str, typer.Argument(metavar="REF", help=_REF)], as_json: AsJson = False) -> None:
    """Show a model: its variants, and which of them run here."""
    with open_session() as session:
        details = model_details(session, ref)
        warn_of_catalog(session)
    if output.chosen.json:
        output.result_json(model_json(details))
    else:
        print_details(details)
