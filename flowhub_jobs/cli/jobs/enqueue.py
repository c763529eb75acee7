"""enqueue: queues models for a worker to download."""

import os
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs import enqueue_run, plan_view
from flowhub_jobs.cli.jobs import wait as jobs_wait
from flowhub_jobs.cli.options import AsJson, GroupName, InStore, OnNodes, PlaceIn, Priority, Quiet, StartAt, Tonight
from flowhub_jobs.cli.session import open_session, warn_of_catalog
from flowhub_jobs.values.pasted_text import token_note


def enqueue(
    context: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF…", help="model, model@option, hf:owner/repo[:QUANT], or the URL of a file."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("-f", "--file", metavar="FILE", help="Read references from a list, one a line; - is stdin."),
    ] = None,
    tonight: Tonight = False,
    at: StartAt = None,
    after: Annotated[
        list[str] | None,
        typer.Option("--after", metavar="JOB", help="Start after these jobs have ended: 12, 12,15-18."),
    ] = None,
    priority: Priority = None,
    group: GroupName = None,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="RATE", help="Speed limit of each of these jobs: 500K, 5M.")
    ] = None,
    on: OnNodes = None,
    store: InStore = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="SHA-256 digest of the URL's file.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="File name to install the URL's file under (default: the end of the URL)."
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="GLOB",
            help="Of a Hub model: also download files that match this glob. Of a data set: only these. Repeatable.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", metavar="GLOB", help="Of a Hub repository: skip files that match this glob; repeatable."
        ),
    ] = None,
    place: PlaceIn = None,
    best_fit: Annotated[
        bool, typer.Option("--best-fit", help="Queue the variant that suits this machine best.")
    ] = False,
    require_fit: Annotated[
        bool, typer.Option("--require-fit", help="Queue nothing (exit 7) if a model would not run here.")
    ] = False,
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="Request the first bytes before queueing (default: unless a catalog has the digest).",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be downloaded.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the jobs end.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show live progress until the jobs end; Ctrl-C detaches.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Download installed models again.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Queue the valid references; exit 10 if one is invalid.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Queue models for a worker to download."""
    options = {
        "at": at,
        "tonight": tonight,
        "after": after,
        "priority": priority,
        "group": group,
        "rate": rate,
        "sha256": sha256,
        "name": name,
        "include": include,
        "exclude": exclude,
        "place": place,
        "store": store,
        "best_fit": best_fit,
        "require_fit": require_fit,
        "force": force,
    }
    output.choose(json=as_json, quiet=quiet)
    with open_session() as session:
        if note := token_note(os.environ):
            output.hint(note)
        checks = session.settings.check if check is None else check
        session.references.on_wait = output.hint
        session.references.may_lack_name = checks
        nodes = enqueue_run.nodes_of(session, on, for_this_machine=best_fit or require_fit)
        requested = enqueue_run.read(session, refs or [], file, options, context.command, nodes)
        unchecked = enqueue_run.check_sources(session, requested, pinned_too=bool(check)) if checks else []
        if not keep_going:
            enqueue_run.raise_if_bad(requested)
        requested.send_to(nodes)
        warn_of_catalog(session)
        enqueue_run.hint_notes(session)
        enqueue_run.hint_unchecked(unchecked)
        if dry_run:
            plan_view.print_plan(session, requested)
        else:
            numbers = enqueue_run.queue(session, requested)
            if wait or watch:
                jobs_wait.until_ended(session, numbers, watch=watch and output.chosen.hints)
            if quiet and not output.chosen.json:
                enqueue_run.print_numbers(numbers)
            else:
                enqueue_run.print_jobs(session, requested, numbers, brief=wait or watch)
        enqueue_run.raise_line_errors(requested)
        if (wait or watch) and not dry_run:
            jobs_wait.raise_job_failures(session, numbers)
