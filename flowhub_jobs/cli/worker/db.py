"""db backup, check: copies the database to one file, and checks it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.foreign_commands import AnsweringGroup
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.operations.database_backup_and_check import DatabaseFile, back_up_database, check_database
from flowhub_jobs.operations.schemas.database import database_json
from flowhub_jobs.settings import load_settings
from flowhub_jobs.units import format_bytes

app = typer.Typer(cls=AnsweringGroup, no_args_is_help=False, add_completion=False, rich_markup_mode=None)


@app.callback()
def db() -> None:
    """Back up the database, or check it."""


@app.command()
def backup(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="New file (default: flowhub-DATE.db in this folder).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database to a new file, while workers run.

    The copy is one checked file. To restore it, stop the workers, and put it in the place of flowhub.db.
    """
    target = file or Path(f"flowhub-{datetime.now().astimezone():%Y-%m-%dT%H%M%S}.db")
    _show(back_up_database(load_settings(), target), "Backup written to {}")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Check the whole database, including indexes and foreign keys.

    Exit status 1 if it is damaged.
    """
    _show(check_database(load_settings()), "{} is intact")


def _show(file: DatabaseFile, sentence: str) -> None:
    if output.chosen.json:
        output.result_json(database_json(file))
    else:
        counts = f"{file.jobs} jobs, {file.installed} installed models, schema {file.schema}"
        output.result(f"{sentence.format(output.clean(str(file.path)))}: {format_bytes(file.bytes)}, {counts}.")
