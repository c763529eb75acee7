"""The options that several verbs share, declared once."""

from typing import Annotated

import typer

# A verb declares --json to accept and document it; `main` reads it, before any verb runs (output.chosen).
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print ids, names or references alone, one a line.")]
JobArguments = Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="Numbers and ranges: 12 128-130.")]
AllLive = Annotated[bool, typer.Option("--all", help="All eligible jobs.")]
Group = Annotated[str | None, typer.Option("--group", metavar="G", help="All eligible jobs of this group.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]
Jobs = Annotated[int | None, typer.Option("--jobs", metavar="N", min=1, help="Jobs at a time (default 3).")]
LimitRate = Annotated[
    str | None, typer.Option("--limit-rate", metavar="RATE", help="Bytes a second for all jobs: 500K, 5M, off.")
]
Later = Annotated[bool, typer.Option("--later", help="Only queue it: a worker does it.")]
