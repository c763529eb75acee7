"""path: prints where an installed model is, for a runtime."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.library.match import file_to_open
from flowhub_jobs.operations.schemas.library import path_json
from flowhub_jobs.values.enums import Condition


def path(
    ref: Annotated[
        str, typer.Argument(metavar="REF", help="model, model@option, hf:…, or a name from `flowhub list`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Print the path of an installed model for a runtime.

    The path is the model's file, the first of its parts, or its folder.
    """
    with open_session() as session:
        model = session.installed.find_one(ref)
    where = file_to_open(model.path)
    if model.condition in (Condition.CHANGED, Condition.DAMAGED):
        state = "is damaged" if model.condition is Condition.DAMAGED else "was changed by hand since it was verified"
        output.hint(f"flowhub: {output.clean(model.name)} {state}; `flowhub verify` shows more.")
    if output.chosen.json:
        output.result_json(path_json(model, where))
    else:
        output.print_raw(str(where))
