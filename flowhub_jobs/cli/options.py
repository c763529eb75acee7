"""The options that several verbs share, declared once."""

from typing import Annotated

import typer

from flowhub_jobs.values.convert_settings import WORKER_JOBS_MAX

# A verb declares --json to accept and document it; `main` reads it, before any verb runs (output.chosen).
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print only ids, names or references, one a line.")]
JobArguments = Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="Job numbers and ranges: 12 128-130.")]
AllLive = Annotated[bool, typer.Option("--all", help="All eligible jobs.")]
Group = Annotated[str | None, typer.Option("--group", metavar="G", help="All eligible jobs of this group.")]
Tonight = Annotated[bool, typer.Option("--tonight", help="Start in the schedule's window (without one, 23:00-07:00).")]
StartAt = Annotated[str | None, typer.Option("--at", metavar="TIME", help="Start at this time: 02:30, +3h, RFC 3339.")]
Priority = Annotated[int | None, typer.Option("--priority", metavar="N", help="Higher starts first (default 0).")]
GroupName = Annotated[
    str | None, typer.Option("--group", metavar="NAME", help="Group name, for --group of other commands.")
]
PlaceIn = Annotated[
    list[str] | None,
    typer.Option("--place", metavar="APP", help="Once installed, place it in this program (see `place`); repeatable."),
]
InStore = Annotated[
    str | None,
    typer.Option("--store", metavar="NAME", help="Install it in this store of config.toml's [stores]."),
]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, max=WORKER_JOBS_MAX, help="Number of concurrent jobs (default 3)."),
]
LimitRate = Annotated[
    str | None,
    typer.Option("--limit-rate", metavar="RATE", help="Speed limit for all jobs, in bytes a second: 500K, 5M, off."),
]
OnNodes = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="NODES",
        help='Download on these nodes: NODE,NODE, all, any (the first that has room), "vram>=24G".',
    ),
]
OfNode = Annotated[
    str | None, typer.Option("--node", metavar="NAME", help="Of this node (default: this machine), or of all.")
]
Later = Annotated[bool, typer.Option("--later", help="Only queue the job, for a worker.")]
