"""Removes placements: flowhub's own files, as it made them, and its empty folders. All else stays the program's."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.placement import staging
from flowhub_jobs.placement.apps import app_named
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.placement.entries import Entry, EntryKind, is_own, shared_with
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.system import rename_new


def remove_row(context: PlacementContext, row: PlacementRow) -> None:
    """Remove a placement, finished or not. An interrupted call is completed by the next one."""
    context.rows.update(row.id, state=RowState.REMOVING)
    context.rows.remove(row, remove_files(context, row))


def remove_files(context: PlacementContext, row: PlacementRow) -> list[Path]:
    """Remove the files of a placement; return its folders that stay, since they are not empty."""
    with disk_errors(row.root):
        staging.remove_temporary(row.entries, row.token)
        others = [other for other in context.rows.all() if other.id != row.id and other.root == row.root]
        targets = frozenset(entry.target for entry in row.entries if entry.own)
        needed = app_named(row.app).still_needed(row.root, targets) if targets else frozenset()
        for entry in reversed(row.entries):
            _remove_file(context, entry, others, stays=entry.target in needed)
        return staging.remove_folders(row.folders)


def _remove_file(context: PlacementContext, entry: Entry, others: Sequence[PlacementRow], *, stays: bool) -> None:
    for other in others:
        if shared := shared_with(entry, other.entries):
            _hand_over(context, entry, other, shared[0])
            return
    if not stays:
        staging.remove_own(entry)
        _restore(context, entry, others)


def _hand_over(context: PlacementContext, entry: Entry, other: PlacementRow, heir: Entry) -> None:
    """Leave a file to another placement. A symbolic link to this model's file is made one to the other's."""
    if entry.how is not LinkKind.SYMLINK or entry.source == heir.source or not is_own(entry, entry.target):
        return
    temporary = heir.temporary(other.token, len(other.entries))
    temporary.unlink(missing_ok=True)
    replacement = staging.make_one(replace(heir, how=None, text=None), temporary, staging.WITH_SYMLINK)
    os.replace(temporary, heir.target)
    _update_entry(context, other, replacement)


def _restore(context: PlacementContext, entry: Entry, others: Sequence[PlacementRow]) -> None:
    """Write the text of another placement that the removed one had replaced, such as a branch of the Hub's cache."""
    if entry.kind is not EntryKind.TEXT or os.path.lexists(entry.target) or not entry.target.parent.is_dir():
        return
    for other in others:
        for other_entry in other.entries:
            if other_entry.target == entry.target and other_entry.own:
                temporary = other_entry.temporary(secrets.token_hex(4), 0)
                restored = staging.make_one(other_entry, temporary, ())
                rename_new(temporary, other_entry.target)
                _update_entry(context, other, restored)
                return


def _update_entry(context: PlacementContext, row: PlacementRow, changed: Entry) -> None:
    current = context.rows.row(row.id) or row
    context.rows.update(row.id, entries=[changed if one.target == changed.target else one for one in current.entries])
