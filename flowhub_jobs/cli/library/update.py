"""update: queues newer versions of installed models."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs import enqueue_run, plan_view
from flowhub_jobs.cli.jobs import wait as jobs_wait
from flowhub_jobs.cli.library.outdated import Refs, check_of, errors_by_model, hint_rest
from flowhub_jobs.cli.options import AsJson, GroupName, Priority, StartAt, Tonight
from flowhub_jobs.cli.session import open_session, raise_outcome_errors, warn_of_catalog
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.library.outdated import refuse_changed_by_hand
from flowhub_jobs.operations.session import Session


def update(
    refs: Refs = None,
    every: Annotated[bool, typer.Option("--all", help="All outdated models.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be downloaded.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also replace models that were modified by hand.")] = False,
    tonight: Tonight = False,
    at: StartAt = None,
    priority: Priority = None,
    group: GroupName = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the jobs end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue newer versions of outdated models.

    The old version stays until the new one is verified.
    """
    if bool(refs) == every:
        raise UsageInvalid("Name models, or give --all.", hint="`flowhub outdated` lists outdated models.")
    options = {"at": at, "tonight": tonight, "after": None, "priority": priority, "group": group, "force": force}
    with open_session() as session:
        terms = OptionReader(session).terms(options)
        check = check_of(session, refs)
        warn_of_catalog(session)
        newer = {one.entry.name: one for one in check.outdated}
        checked = apply_to_each(list(newer), lambda name: refuse_changed_by_hand(session, newer[name], force=force))
        items = [EnqueueItem(one.artifact, terms) for name, one in newer.items() if checked[name] is None]
        if not output.chosen.json:
            hint_rest(check, list(checked.values()) if every else [], nothing=not items)
        if items or output.chosen.json:
            _plan(session, items) if dry_run else _queue(session, items, wait=wait)
    # A named model that was changed by hand is an error; with --all, it is only a hint.
    raise_outcome_errors(errors_by_model(check) | ({} if every else checked))


def _plan(session: Session, items: list[EnqueueItem]) -> None:
    plan_view.print_plan(session, enqueue_run.EnqueueList(items=items, count=len(items)))


def _queue(session: Session, items: list[EnqueueItem], *, wait: bool) -> None:
    requested = enqueue_run.EnqueueList(items=items, count=len(items))
    numbers = enqueue_run.queue(session, requested)
    if wait:
        jobs_wait.until_ended(session, numbers)
    enqueue_run.print_jobs(session, requested, numbers, brief=wait)
    if wait:
        jobs_wait.raise_job_failures(session, numbers)
