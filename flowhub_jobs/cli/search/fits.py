"""fits: shows whether a model runs on this machine, or on another one."""

from pathlib import Path
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.search import fits_view
from flowhub_jobs.cli.session import open_session, warn_of_catalog
from flowhub_jobs.device.profile_reader import read_profile
from flowhub_jobs.operations.schemas.search import fits_json
from flowhub_jobs.operations.search import variants


def fits(
    ref: Annotated[
        str,
        typer.Argument(metavar="REF", help="model, model@option, hf:owner/repo[:QUANT], a URL, or an installed name."),
    ],
    context: Annotated[
        int | None,
        typer.Option("--ctx", metavar="N", min=1, max=10**9, help="Context length in tokens (default 4096)."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="FILE", help="Judge another machine: a file with its `flowhub device --json`."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Estimate, and request no file headers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show whether a model runs on this machine.

    Lists every variant of a model, with the arithmetic. Always exits 0.
    """
    machine = read_profile(Path(on).expanduser()) if on else None
    with open_session() as session:
        results = variants.judge(session, ref, machine, context=context, fetch_headers=not offline)
        warn_of_catalog(session)
        machine = machine or session.device
    if output.chosen.json:
        output.result_json(fits_json(machine, results))
    else:
        fits_view.print_fits(results, machine, on)
