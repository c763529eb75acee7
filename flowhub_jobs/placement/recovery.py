"""Finishes or undoes what killed processes have begun, and makes the placements that completed jobs want."""

import logging
from pathlib import Path

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.placement import staging
from flowhub_jobs.placement.apps import app_named
from flowhub_jobs.placement.condition import condition_of_placement
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.placement.entries import Entry, PlacementState
from flowhub_jobs.placement.make import complete_row, make_placement
from flowhub_jobs.placement.remove import remove_files, remove_row
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.values.enums import EventKind

log = logging.getLogger("flowhub.placement")


def settle_all(context: PlacementContext) -> None:
    """Settle every row that is not `placed`, under the lock. No error is raised: the log and the job hear of it."""
    identity = context.library.store_id
    for row in context.rows.unfinished():
        if row.store_id not in (identity, ""):
            continue  # its model is on a disk that is away
        try:
            _settle(context, row)
        except FlowhubError as error:
            log.warning("%s is not placed in %s: %s", row.name, row.app, error.message)
            if context.rows.row(row.id) is None:  # else it is tried again
                text = f"Not placed in {row.app}: {error.message}"
                context.rows.note(row.job, context.clock.now_us(), EventKind.PLACEMENT_FAILED, text, error.code)


def _settle(context: PlacementContext, row: PlacementRow) -> None:
    if row.state is RowState.REMOVING:
        remove_row(context, row)
    elif row.state is RowState.STAGED:
        _finish(context, row)
    elif row.state is RowState.PLACING and row.job is None:
        remove_row(context, row)  # of a command that was killed: its user runs it again
    else:
        _make_wanted(context, row)


def _finish(context: PlacementContext, row: PlacementRow) -> None:
    try:
        with disk_errors(row.root):
            staging.put_in_place(row.entries, row.token, interrupted=True)
    except FlowhubError:
        remove_row(context, row)
        raise
    complete_row(context, row, row.entries)
    _tell(context, row)


def _make_wanted(context: PlacementContext, row: PlacementRow) -> None:
    """Place the model of a completed job; the files of its older version go first."""
    entry = context.library.entry(row.name)
    if entry is None:
        remove_row(context, row)
        return
    if _leads_to(row, context.store.root / row.name) and condition_of_placement(row, entry) is PlacementState.OK:
        context.rows.update(row.id, state=RowState.PLACED)
        return
    folders = remove_files(context, row)
    context.rows.update(row.id, state=RowState.WANTED, entries=None, folders=folders)
    make_placement(context, context.rows.row(row.id) or row, entry, app_named(row.app))
    _tell(context, context.rows.row(row.id) or row)


def _leads_to(row: PlacementRow, model: Path) -> bool:
    """Return whether the files of a placement are this model's, and not those of an older version, or of damaged files
    that were fetched again."""
    return all(entry.source is None or _is_link_of(entry, model) for entry in row.entries)


def _is_link_of(entry: Entry, model: Path) -> bool:
    try:
        same = entry.how is LinkKind.SYMLINK or (entry.source is not None and entry.target.samefile(entry.source))
    except OSError:
        return False
    return same and entry.source is not None and entry.source.is_relative_to(model)


def _tell(context: PlacementContext, row: PlacementRow) -> None:
    context.rows.note(
        row.job, context.clock.now_us(), EventKind.PLACED, f"Placed in {row.app}: {row.path} ({row.how})."
    )
