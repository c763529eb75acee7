"""Carries out a plan: the row, the folders and temporary files, their stamps, the names, the row again."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import AppFolderUnusable, Busy, DiskFull, FlowhubError, PlacementRefused, StoreOffline
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.placement import staging
from flowhub_jobs.placement.app import DIRECTORY, App
from flowhub_jobs.placement.conflicts import entries_for, missing_folders
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.placement.entries import Entry, EntryKind
from flowhub_jobs.placement.installed_for_placement import installed_for_placement
from flowhub_jobs.placement.remove import remove_files, remove_row
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.placement.values import Plan
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.system import sync_path

_ANOTHER_FOLDER = "Or name another folder under [apps] in config.toml."


class Overtaken(Busy):
    """A job installed a newer version while this one was placed: that one is wanted."""

    retryable = True


@dataclass(frozen=True, slots=True)
class PlacementResult:
    """The result of a placement: its row, whether it is new, and sentences for the user."""

    row: PlacementRow
    new: bool
    notes: tuple[str, ...] = ()


def plan_for(context: PlacementContext, entry: LibraryEntry, app: App, root: Path) -> Plan:
    """Return the plan of a placement. Nothing is written. Raises PlacementRefused."""
    _check_outside_store(root, context.store.root)
    artifact = context.library.artifact(entry.name)
    return app.plan(installed_for_placement(entry, context.store.root / entry.name, artifact), root)


def _check_outside_store(root: Path, store: Path) -> None:
    """Raise PlacementRefused for the store itself, and for flowhub's own folders in it. Other folders in it are
    allowed."""
    root, store = root.resolve(), store.resolve()
    if root == store or (root.is_relative_to(store) and root.relative_to(store).parts[0].startswith(".")):
        raise PlacementRefused(
            f"{root} is the store, or flowhub's own folder in it.",
            hint="The model is there already: name another folder.",
        )


def make_placement(
    context: PlacementContext, row: PlacementRow, entry: LibraryEntry, app: App, fault: FlowhubError | None = None
) -> PlacementResult:
    """Carry out a row that is `wanted`; `fault` came up while what the layout needs was asked for.

    If that fails, what was made is removed, and so is the row, unless a job wants it and the fault may pass.
    """
    try:
        if fault is not None:
            raise fault
        plan = plan_for(context, entry, app, row.root)
        with app_disk_errors(row.root):
            _make(context, row, plan, app)
    except BaseException as error:
        undo(context, context.rows.row(row.id) or row, error)
        raise
    return PlacementResult(context.rows.row(row.id) or row, new=True, notes=plan.notes)


def undo(context: PlacementContext, row: PlacementRow, error: BaseException) -> None:
    """Remove what a failed call made; the row, too, unless a job wants it and the fault may pass."""
    if row.job is not None and isinstance(error, SQLAlchemyError | KeyboardInterrupt):
        return  # the next call finishes it
    if row.job is None or not isinstance(error, FlowhubError) or not error.retryable:
        remove_row(context, row)
        return
    try:
        folders = remove_files(context, row)
    except FlowhubError:
        return  # the next try removes them first
    context.rows.update(row.id, state=RowState.WANTED, entries=None, folders=folders)


@contextmanager
def app_disk_errors(root: Path) -> Iterator[None]:
    """Convert the errors of the program's disk into flowhub's."""
    try:
        with disk_errors(root):
            yield
    except (DiskFull, StoreOffline) as error:
        cause = error.__cause__
        if isinstance(error, DiskFull):
            raise DiskFull(error.text, hint=f"Free some space there. {_ANOTHER_FOLDER}") from cause
        raise AppFolderUnusable(error.text, hint="Mount its disk so that it can be written.") from cause
    except FlowhubError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in (errno.EACCES, errno.EPERM):
            raise
        raise AppFolderUnusable(
            f"{cause.filename or root} may not be written: {cause.strerror}.",
            hint="Give your user the right to write there, or name another folder under [apps] in config.toml.",
        ) from cause


def _make(context: PlacementContext, row: PlacementRow, plan: Plan, app: App) -> None:
    _make_root(context, row.root, app)
    symlinks = plan.without_symlinks is None or staging.has_symlinks(row.root, row.token)
    other_entries = [entry for other in context.rows.all() if other.id != row.id for entry in other.entries]
    entries = entries_for(plan, row.root, other_entries, symlinks=symlinks)
    folders = missing_folders(entries, row.root)
    all_folders = [*row.folders, *(folder for folder in folders if folder not in row.folders)]
    _advance(context, row, state=RowState.PLACING, entries=entries, folders=all_folders)
    for folder in folders:
        folder.mkdir(exist_ok=True)
        sync_path(folder.parent)
    staged = staging.make(entries, row.token, _kinds(app, copy=row.how is LinkKind.COPY))
    _advance(context, row, state=RowState.STAGED, entries=staged, path=plan.path, how=_link_kind(staged))
    staging.put_in_place(staged, row.token)
    complete_row(context, row, staged)


def _advance(context: PlacementContext, row: PlacementRow, **values: Any) -> None:
    if not context.rows.advance(row, **values):
        raise Overtaken(
            f"A newer version of {row.name} was installed during the placement.",
            hint="A worker places the newer version.",
        )


def complete_row(context: PlacementContext, row: PlacementRow, entries: Sequence[Entry]) -> None:
    """Record that all files of a placement have their names."""
    completed = [replace(entry, replaces=None) for entry in entries]
    context.rows.complete(row, completed, context.clock.now_us())


def require_parent(context: PlacementContext, root: Path, app: App) -> None:
    """Raise AppFolderUnusable if a folder that the user named, by `dir:PATH` or [apps], is on a disk that is away.

    The folders that programs choose by themselves are made whole.
    """
    user_named = app.name.startswith(DIRECTORY) or app.name in context.roots
    if user_named and not root.is_dir() and not root.parent.is_dir():
        raise AppFolderUnusable(
            f"{root.parent} is not there, or its disk is not mounted.", hint="Make the folder, or mount its disk."
        )


def _make_root(context: PlacementContext, root: Path, app: App) -> None:
    require_parent(context, root, app)
    root.mkdir(parents=True, exist_ok=True)


def _kinds(app: App, *, copy: bool) -> tuple[LinkKind, ...]:
    if copy:
        return staging.WITH_COPY
    return staging.WITH_SYMLINK if app.follows_symlinks else staging.WITHOUT_SYMLINK


def _link_kind(entries: Sequence[Entry]) -> LinkKind | None:
    """Return how the largest file is there; one that the program had itself is a copy, or the same file."""
    links = [entry for entry in entries if entry.kind is EntryKind.LINK]
    if not links:
        return None
    largest = max(links, key=lambda entry: entry.size)
    if largest.how is not None:
        return largest.how
    assert largest.source is not None
    return LinkKind.HARDLINK if largest.target.samefile(largest.source) else LinkKind.COPY
