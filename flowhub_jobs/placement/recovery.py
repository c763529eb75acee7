"""Finishes or undoes the placements that killed processes began, and makes those that completed jobs want."""

import logging
from collections.abc import Mapping
from pathlib import Path

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.placement import staging
from flowhub_jobs.placement.apps import app_named
from flowhub_jobs.placement.carry_out_plan import (
    Overtaken,
    app_disk_errors,
    complete_row,
    make_placement,
    require_parent,
    undo,
)
from flowhub_jobs.placement.condition import condition_of_placement
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.placement.entries import Entry, PlacementState
from flowhub_jobs.placement.remove import remove_files, remove_row
from flowhub_jobs.placement.retry_times import next_try
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.values.enums import EventKind

log = logging.getLogger("flowhub.placement")


def settle_all(context: PlacementContext, faults: Mapping[str, FlowhubError] | None = None) -> None:
    """Settle every row that is due, under the lock. No error is raised: the log and the job's history record it.

    `faults` came up while the commits of these models were asked for.
    """
    ids, now = context.library.ids_here, context.clock.now_us()
    for row in context.rows.unfinished():
        if row.store_id not in ids or not row.is_due(now):
            continue  # its model is on a disk that is away, or it waits for its next try
        try:
            _settle(context, row, faults or {})
        except Overtaken:
            continue  # it is wanted still, and due
        except FlowhubError as error:
            record_failure(context, row, error)


def record_failure(context: PlacementContext, before: PlacementRow, error: FlowhubError) -> None:
    """Record a failed placement in the log and the job's history, and have the row wait for its next try if it has one.
    The history records each kind of fault that may pass once.
    """
    row, now = context.rows.row(before.id), context.clock.now_us()
    if row is None:
        log.warning("%s is not placed in %s: %s", before.name, before.app, error.message)
        context.rows.write_event(before.job, now, *refusal(before.app, error))
        return
    failures = row.tries + 1
    context.rows.update(row.id, error=error.as_dict(), tries=failures, next_at=next_try(now, failures))
    if row.error is not None and row.error.get("code") == error.code:
        return
    if row.state is RowState.REMOVING:
        log.warning("%s is not removed from %s yet: %s", row.name, row.app, error.message)
    else:
        log.warning("%s is not placed in %s yet: %s A worker tries it again.", row.name, row.app, error.message)
        text = f"Not placed in {row.app} yet: {error.message} A worker tries it again."
        context.rows.write_event(row.job, now, EventKind.PLACEMENT_WAITS, text, error.code)


def refusal(program: str, error: FlowhubError) -> tuple[EventKind, str, str]:
    """Return the event of a placement that is not tried again: its kind, its text, and the error's code."""
    return EventKind.PLACEMENT_FAILED, f"Not placed in {program}: {error.message}", error.code


def _settle(context: PlacementContext, row: PlacementRow, faults: Mapping[str, FlowhubError]) -> None:
    if row.state is RowState.REMOVING:
        remove_row(context, row)
    elif row.state is RowState.STAGED:
        _finish(context, row)
    elif row.state is RowState.PLACING and row.job is None:
        remove_row(context, row)  # of a command that was killed: its user runs it again
    else:
        _make_wanted(context, row, faults)


def _finish(context: PlacementContext, row: PlacementRow) -> None:
    try:
        with app_disk_errors(row.root):
            staging.put_in_place(row.entries, row.token, interrupted=True)
    except FlowhubError as error:
        undo(context, row, error)
        raise
    complete_row(context, row, row.entries)
    _note_placed(context, row)


def _make_wanted(context: PlacementContext, row: PlacementRow, faults: Mapping[str, FlowhubError]) -> None:
    """Place the model of a completed job; the files of its older version go first."""
    entry = context.library.entry(row.name)
    if entry is None:
        remove_row(context, row)
        return
    if _is_current(row, context.store.root / row.name) and condition_of_placement(row, entry) is PlacementState.OK:
        complete_row(context, row, row.entries)
        return
    app = app_named(row.app)
    require_parent(context, row.root, app)  # else the files of the older version would be forgotten
    folders = remove_files(context, row)
    context.rows.update(row.id, state=RowState.WANTED, entries=None, folders=folders)
    fault = faults.get(row.name) if app.needs_commit else None
    make_placement(context, context.rows.row(row.id) or row, entry, app, fault)
    _note_placed(context, context.rows.row(row.id) or row)


def _is_current(row: PlacementRow, model: Path) -> bool:
    """Return whether the files of a placement are this model's, and not those of an older version, or of damaged files
    that were fetched again."""
    return all(entry.source is None or _is_link_of(entry, model) for entry in row.entries)


def _is_link_of(entry: Entry, model: Path) -> bool:
    try:
        is_link = entry.how is LinkKind.SYMLINK or (entry.source is not None and entry.target.samefile(entry.source))
    except OSError:
        return False
    return is_link and entry.source is not None and entry.source.is_relative_to(model)


def _note_placed(context: PlacementContext, row: PlacementRow) -> None:
    log.info("%s is placed in %s: %s", row.name, row.app, row.path)
    kind_text = f" ({row.how.text})" if row.how else ""
    context.rows.write_event(
        row.job, context.clock.now_us(), EventKind.PLACED, f"Placed in {row.app}: {row.path}{kind_text}."
    )
